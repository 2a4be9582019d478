# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Robust DPO (Chowdhury et al., arXiv:2403.00409).

Claim: a loss that is unbiased under a known rate of flipped labels.

  prefjax train --config=configs/rdpo.py --workdir=runs/rdpo \
    --config.data.train=pairs.jsonl

Records that know how likely their label is wrong (the field flip_rate):
--config.method.kwargs.flip_rates=records.
`configs/rdpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("rdpo", beta=0.1, epsilon=0.1, flip_rates="epsilon")
  return base.finish(c, arg)
