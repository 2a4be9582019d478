# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Conservative DPO (Mitchell 2023; DPO is arXiv:2305.18290).

Claim: where a share of the labels is wrong, smoothing them keeps the policy
from growing ever more certain of each.

  prefjax train --config=configs/conservative_dpo.py \
    --workdir=runs/conservative_dpo --config.data.train=pairs.jsonl

`configs/conservative_dpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("conservative_dpo", beta=0.1, label_smoothing=0.1)
  return base.finish(c, arg)
