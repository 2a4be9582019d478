# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""GSPO (Zheng et al., arXiv:2507.18071).

Claim: importance ratios belong to responses, not tokens; clipping them as a
whole is steadier.

  prefjax train --config=configs/gspo.py --workdir=runs/gspo \
    --config.data.train=prompts.jsonl

A record has a prompt and what `rl.rewards` compare with, here "answer".
`configs/gspo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import online


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = online.for_method(
    "gspo",
    level="sequence",
    clip_low=0.0003,
    clip_high=0.0004,
    aggregation="sequence",
  )
  return online.finish(c, arg)
