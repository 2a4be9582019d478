# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""ORPO (Hong et al., arXiv:2403.07691).

Claim: fine-tuning and preference learning in one stage, without a reference
model, by adding an odds-ratio term to the likelihood.

  prefjax train --config=configs/orpo.py --workdir=runs/orpo \
    --config.data.train=pairs.jsonl

`configs/orpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("orpo", beta=0.1)
  c.opt.learning_rate = 8e-6
  return base.finish(c, arg)
