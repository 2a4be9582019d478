# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""CISPO (MiniMax-M1, arXiv:2506.13585).

Claim: bounding the importance weight, and not the surrogate, keeps the
gradient of rare tokens.

  prefjax train --config=configs/cispo.py --workdir=runs/cispo \
    --config.data.train=prompts.jsonl

A record has a prompt and what `rl.rewards` compare with, here "answer".
`configs/cispo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import online


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = online.for_method(
    "cispo",
    surrogate="truncated",
    clip_high=0.28,
    aggregation="token",
  )
  return online.finish(c, arg)
