# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""DAPO (Yu et al., arXiv:2503.14476).

Claim: a higher upper bound keeps exploration, groups without any spread are
sampled again, every token counts alike, and long answers are penalised gently.

  prefjax train --config=configs/dapo.py --workdir=runs/dapo \
    --config.data.train=prompts.jsonl

A record has a prompt and what `rl.rewards` compare with, here "answer".
`configs/dapo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import online


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = online.for_method(
    "dapo",
    clip_low=0.2,
    clip_high=0.28,
    aggregation="token",
    dynamic_sampling=True,
    overlong=16,
  )
  return online.finish(c, arg)
