# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A reward model that calls tools first (Themis, arXiv:2310.01045).

Claim: what a calculator or a calendar says about an answer, written before the
score is read, lets a reward model rank answers that it cannot check by itself.

  prefjax train --config=configs/themis.py --workdir=runs/themis \
    --config.data.train=pairs.jsonl

Records are pairs with metadata {"traces": [{"rounds": [{"thought", "tool",
"input", "observation"}], "rationale"}, ...]}, one trace a response; without
them no tool was needed. `--config.method.kwargs.observation_weight=0.0` does
not learn what tools say.
`configs/themis.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("themis", rm_weight=0.5)
  c.data.max_response = 512  # with its trace
  c.opt.learning_rate = 1e-5
  c.opt.schedule = "cosine"
  c.opt.weight_decay = 0.1
  c.eval.samples = 0  # it writes no answers
  c = base.finish(c, arg)
  if c.model.source.startswith("preset:"):
    c.data.max_response = 112
  return c
