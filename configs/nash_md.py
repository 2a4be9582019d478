# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Nash-MD (Munos et al., arXiv:2312.00886).

Claim: playing against a mixture of the policy and its reference finds
responses that no other beats, where preferences go in circles too.

  prefjax train --config=configs/nash_md.py --workdir=runs/nash_md \
    --config.data.train=prompts.jsonl

A record has a prompt and what `rl.rewards` compare with, here "answer".
`configs/nash_md.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import online


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = online.for_method(
    "nash_md",
    beta=0.1,
    mixture=0.5,
    sharpness=0.0,
  )
  c.rl.samples = 2
  return online.finish(c, arg)
