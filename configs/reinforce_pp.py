# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""REINFORCE++ (Hu et al., arXiv:2501.03262).

Claim: rewards normalised over the whole batch of tokens need neither groups
nor a value model.

  prefjax train --config=configs/reinforce_pp.py --workdir=runs/reinforce_pp \
    --config.data.train=prompts.jsonl

A record has a prompt and what `rl.rewards` compare with, here "answer".
`configs/reinforce_pp.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import online


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = online.for_method(
    "reinforce_pp",
    kl_in_reward=0.05,
    gamma=1.0,
    aggregation="token",
  )
  c.rl.samples = 1
  c.data.batch_size = 32
  return online.finish(c, arg)
