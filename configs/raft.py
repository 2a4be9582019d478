# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""RAFT, best-of-n distillation (Dong et al., arXiv:2304.06767).

Claim: likelihood training on the best of several own responses is a strong
and simple baseline.

  prefjax train --config=configs/raft.py --workdir=runs/raft \
    --config.data.train=prompts.jsonl

A record has a prompt and what `rl.rewards` compare with, here "answer".
`configs/raft.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import online


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = online.for_method(
    "raft",
    top_k=1,
    min_score=None,
  )
  c.rl.samples = 8
  c.opt.learning_rate = 5e-6
  return online.finish(c, arg)
