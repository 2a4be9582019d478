# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A pair preference model (Zhao et al., arXiv:2305.10425).

Claim: a model that reads both answers at once, in both orders, compares them
better than one that scores each alone.

  prefjax train --config=configs/pair_preference.py \
    --workdir=runs/pair_preference --config.data.train=pairs.jsonl

`configs/pair_preference.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("pair_preference")
  c.opt.learning_rate = 1e-5
  c.eval.samples = 0  # it writes no answers
  c.data.max_response = 300
  c = base.finish(c, arg)
  if c.data.train.startswith("language:"):
    c.data.max_response = 112  # both answers
  return c
