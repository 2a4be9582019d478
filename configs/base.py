# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Every key with its default; other configs start from here."""

import ml_collections

from configs import common
from prefjax import config


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """The defaults of `prefjax.config.Config`.

  Args:
    arg: "tiny" for a run of seconds on a laptop CPU.
  """
  options = common.parse_arg(arg, tiny=False)
  c = ml_collections.ConfigDict(config.to_json(config.Config()))
  if options.tiny:
    make_tiny(c)
  return c


def make_tiny(c: ml_collections.ConfigDict) -> None:
  """Cuts a config down: a random two-layer model, 20 updates, no plots."""
  c.model.source = "preset:tiny"
  c.model.tokenizer = ""
  c.model.compute_dtype = "float32"
  c.data.language = dict(n=96, eval_n=16)
  c.data.batch_size = 8
  c.data.max_prompt = 48
  c.data.max_response = 40
  c.train.steps = 20
  c.opt.learning_rate = 1e-3
  c.opt.warmup_steps = 2
  c.eval.every = 10
  c.eval.samples = 0
  c.checkpoint.every = 5
