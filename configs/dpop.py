# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""DPO-Positive, Smaug (Pal et al., arXiv:2402.13228).

Claim: a penalty where the chosen likelihood falls below the reference's.

  prefjax train --config=configs/dpop.py --workdir=runs/dpop \
    --config.data.train=pairs.jsonl

`configs/dpop.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("dpop", beta=0.3, lam=50.0)
  return base.finish(c, arg)
