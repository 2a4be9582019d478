# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""GRPO (Shao et al., arXiv:2402.03300).

Claim: the mean reward of several responses to a prompt is baseline enough;
no value model is needed.

  prefjax train --config=configs/grpo.py --workdir=runs/grpo \
    --config.data.train=prompts.jsonl

A record has a prompt and what `rl.rewards` compare with, here "answer".
`configs/grpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import online


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = online.for_method(
    "grpo",
    clip_low=0.2,
    clip_high=0.2,
    beta=0.04,
    scale="std",
    aggregation="sequence",
  )
  return online.finish(c, arg)
