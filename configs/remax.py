# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""ReMax (Li et al., arXiv:2310.10505).

Claim: the reward of the greedy response is a good baseline for a sampled
one, and costs one more response.

  prefjax train --config=configs/remax.py --workdir=runs/remax \
    --config.data.train=prompts.jsonl

A record has a prompt and what `rl.rewards` compare with, here "answer".
`configs/remax.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import online


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = online.for_method(
    "remax",
    kl_in_reward=0.05,
    aggregation="sequence_sum",
  )
  c.rl.samples = 1
  c.data.batch_size = 32
  return online.finish(c, arg)
