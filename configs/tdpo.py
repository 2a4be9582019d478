# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""TDPO (Zeng et al., arXiv:2404.11999).

Claim: a KL term a token balances both sides' divergence from the reference.

  prefjax train --config=configs/tdpo.py --workdir=runs/tdpo \
    --config.data.train=pairs.jsonl

`configs/tdpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("tdpo", beta=0.1, alpha=0.5)
  return base.finish(c, arg)
