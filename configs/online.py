# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What the configs of methods that learn from their own samples share."""

from typing import Any

import ml_collections

from configs import base, common


def for_method(name: str, **kwargs: Any) -> ml_collections.ConfigDict:
  """A method on SmolLM2-135M-Instruct and a file of prompts with answers.

  Args:
    name: registry name of the method.
    **kwargs: its hyper-parameters.
  """
  c = base.for_method(name, "prompts", **kwargs)
  c.opt.learning_rate = 1e-6
  c.opt.schedule = "constant"
  c.rl.samples = 8
  c.rl.max_new_tokens = 128
  c.rl.rewards = {"numeric": 1.0}
  return c


def finish(
  c: ml_collections.ConfigDict, arg: str | None
) -> ml_collections.ConfigDict:
  """The config, or its tiny variant where the argument asks for it."""
  tiny = common.parse_arg(arg, tiny=False).tiny
  c = base.finish(c, arg)
  if tiny:
    c.rl.prompts = 2 * c.data.batch_size if c.rl.prompts else 0
    c.rl.samples = 4
    c.rl.max_new_tokens = 24
    c.rl.rewards = {"gold": 1.0}
  return c
