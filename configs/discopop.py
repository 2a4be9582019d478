# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""DiscoPOP (Lu et al., arXiv:2406.08414).

Claim: a loss found by search, between the logistic and the exponential one.

  prefjax train --config=configs/discopop.py --workdir=runs/discopop \
    --config.data.train=pairs.jsonl

`configs/discopop.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("discopop", beta=0.05, tau=0.05)
  return base.finish(c, arg)
