# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""LD-DPO (Liu et al., arXiv:2409.06411).

Claim: tokens past the shorter response's length count less, so answers grow
less.

  prefjax train --config=configs/ld_dpo.py --workdir=runs/ld_dpo \
    --config.data.train=pairs.jsonl

`configs/ld_dpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("ld_dpo", beta=0.1, alpha=0.5)
  return base.finish(c, arg)
