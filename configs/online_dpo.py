# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Online DPO (Guo et al., arXiv:2402.04792).

Claim: pairs of fresh responses, judged while training, beat pairs collected
before it.

  prefjax train --config=configs/online_dpo.py --workdir=runs/online_dpo \
    --config.data.train=prompts.jsonl

A record has a prompt and what `rl.rewards` compare with, here "answer".
`configs/online_dpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import online


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = online.for_method(
    "online_dpo",
    beta=0.1,
    loss="dpo",
  )
  c.rl.samples = 2
  return online.finish(c, arg)
