# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""RSO's hinge loss (Liu et al., arXiv:2309.06657).

Claim: the reference-normalised hinge loss of SLiC on pairs near the optimal
policy does as well as DPO or better, and stops at a margin of 1 / beta.

  prefjax train --config=configs/hinge.py --workdir=runs/hinge \
    --config.data.train=pairs.jsonl

`configs/hinge.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("hinge", beta=0.1)
  return base.finish(c, arg)
