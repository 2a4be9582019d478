# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""MetaRM (Dou et al., arXiv:2405.00438).

Claim: a gradient taken after a step that tells samples of the policy apart
keeps a reward model sharp when the policy moves.

  prefjax train --config=configs/metarm.py --workdir=runs/metarm \
    --config.data.train=ranked.jsonl

All responses of a record serve the meta step; its scored ones are ranked.
`configs/metarm.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("metarm", records="ranked", meta_lr=5e-6)
  c.opt.learning_rate = 1e-5
  c.eval.samples = 0  # it writes no answers
  return base.finish(c, arg)
