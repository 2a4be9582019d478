# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""PPO for language models (Ivison et al., arXiv:2406.09279).

Claim: with a value model, generalised advantages and a price on the
divergence, PPO does better than DPO on the same preferences.

  prefjax train --config=configs/ppo.py --workdir=runs/ppo \
    --config.data.train=prompts.jsonl

A record has a prompt and what `rl.rewards` compare with, here "answer".
`configs/ppo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import online


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = online.for_method(
    "ppo",
    kl_in_reward=0.05,
    clip_low=0.2,
    clip_high=0.2,
    lam=0.95,
    gamma=1.0,
    value_coef=0.1,
    value_clip=0.2,
    missing_eos=-10.0,
  )
  c.rl.samples = 1
  c.rl.prompts = 64
  c.data.batch_size = 32
  c.rl.temperature = 0.7
  return online.finish(c, arg)
