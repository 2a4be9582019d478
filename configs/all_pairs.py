# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""RRHF-style ranking over all pairs (Yuan et al., arXiv:2304.05302).

Claim: hinge losses between all ordered pairs of a scored group, plus
likelihood of the best response, align without a reference model.

  prefjax train --config=configs/all_pairs.py --workdir=runs/all_pairs \
    --config.data.train=ranked.jsonl

`configs/all_pairs.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("all_pairs", records="ranked", delta=0.0, sft_weight=1.0)
  return base.finish(c, arg)
