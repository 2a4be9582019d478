# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A Bradley-Terry reward model (Wang et al., arXiv:2401.06080).

Claim: pairs alone give a scalar reward; margins, soft labels and votes of
several heads make it bear wrong labels.

  prefjax train --config=configs/reward_bt.py --workdir=runs/reward_bt \
    --config.data.train=pairs.jsonl

The result, `runs/reward_bt`, is a model for `prefjax score --scorer=model` and
for the reward "model" of RL. Margins and soft labels of single records, as
`prefjax data annotate` writes them:

    --config.method.kwargs.margins=records
    --config.method.kwargs.smoothings=records

An ensemble that votes: --config.method.kwargs.members=5.
`configs/reward_bt.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("reward_bt", center=0.01, sft=0.0)
  c.opt.learning_rate = 1e-5
  c.eval.samples = 0  # it writes no answers
  return base.finish(c, arg)
