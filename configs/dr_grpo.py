# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Dr. GRPO (Liu et al., arXiv:2503.20783).

Claim: GRPO divides by the spread of a group and by the length of a
response, and both bias what is learned; without them it is REINFORCE.

  prefjax train --config=configs/dr_grpo.py --workdir=runs/dr_grpo \
    --config.data.train=prompts.jsonl

A record has a prompt and what `rl.rewards` compare with, here "answer".
`configs/dr_grpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import online


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = online.for_method(
    "dr_grpo",
    scale="none",
    aggregation="fixed",
    clip_low=0.2,
    clip_high=0.2,
  )
  return online.finish(c, arg)
