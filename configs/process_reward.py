# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A process reward model (Lightman et al., arXiv:2305.20050).

Claim: labels of single steps find wrong reasoning that labels of answers
miss.

  prefjax train --config=configs/process_reward.py \
    --workdir=runs/process_reward --config.data.train=steps.jsonl

`configs/process_reward.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("process_reward", records="steps", after_error="drop")
  c.opt.learning_rate = 1e-5
  c.eval.samples = 0  # it writes no answers
  return base.finish(c, arg)
