# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Iterative DPO: sample, score, pair, train, and again (arXiv:2312.11456).

Each round samples many prompts from the present policy, pairs the best with
the worst response, and trains on the pairs for some passes against the policy
that sampled them. A round that was cut off goes on with the same pairs.

  prefjax train --config=configs/iterative_dpo.py --workdir=runs/iterative \
    --config.data.train=prompts.jsonl

`configs/iterative_dpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import online


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = online.for_method("online_dpo", beta=0.1, loss="dpo")
  c.rl.prompts = 512
  c.rl.epochs = 2
  c.rl.samples = 8
  c.rl.reference = "round"
  return online.finish(c, arg)
