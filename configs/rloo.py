# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""RLOO (Ahmadian et al., arXiv:2402.14740).

Claim: REINFORCE with the mean of the other responses as baseline does as well
as PPO, without a value model.

  prefjax train --config=configs/rloo.py --workdir=runs/rloo \
    --config.data.train=prompts.jsonl

A record has a prompt and what `rl.rewards` compare with, here "answer".
`configs/rloo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import online


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = online.for_method(
    "rloo",
    kl_in_reward=0.05,
    aggregation="sequence_sum",
  )
  c.rl.samples = 4
  return online.finish(c, arg)
