# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""SimPO (Meng et al., arXiv:2405.14734).

Claim: mean log-prob a token with a target margin beats DPO without any
reference model.

  prefjax train --config=configs/simpo.py --workdir=runs/simpo \
    --config.data.train=pairs.jsonl

`configs/simpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("simpo", beta=2.5, gamma=1.375)
  c.opt.learning_rate = 1e-6
  return base.finish(c, arg)
