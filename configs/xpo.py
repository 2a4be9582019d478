# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""XPO (Xie et al., arXiv:2405.21046).

Claim: an optimistic bonus makes online DPO explore what the reference would
not say.

  prefjax train --config=configs/xpo.py --workdir=runs/xpo \
    --config.data.train=prompts.jsonl

A record has a prompt and what `rl.rewards` compare with, here "answer".
`configs/xpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import online


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = online.for_method(
    "xpo",
    beta=0.1,
    alpha=1e-05,
  )
  c.rl.samples = 2
  return online.finish(c, arg)
