# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""KTO (Ethayarajh et al., arXiv:2402.01306).

Claim: single responses marked good or bad, with a prospect-theoretic loss,
align as well as pairs do. A file of pairs works too: each side is one label.

  prefjax train --config=configs/kto.py --workdir=runs/kto \
    --config.data.train=unpaired.jsonl

`configs/kto.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method(
    "kto",
    records="unpaired",
    beta=0.1,
    desirable_weight=1.0,
    undesirable_weight=1.0,
  )
  return base.finish(c, arg)
