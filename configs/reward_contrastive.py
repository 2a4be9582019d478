# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A reward model with SimCSE or SwAV (Wang et al., arXiv:2401.06080).

Claim: pulling two views of a pair's features together, and away from other
pairs, helps a reward model to generalise.

  prefjax train --config=configs/reward_contrastive.py \
    --workdir=runs/reward_contrastive --config.data.train=pairs.jsonl

`configs/reward_contrastive.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("reward_contrastive", kind="simcse", weight=0.1)
  c.opt.learning_rate = 1e-5
  c.eval.samples = 0  # it writes no answers
  c.data.batch_size = 32
  return base.finish(c, arg)
