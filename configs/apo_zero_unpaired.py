# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""APO-zero on single labels (D'Oosterlinck et al., arXiv:2408.06266).

Claim: the anchored loss needs no pairs.

  prefjax train --config=configs/apo_zero_unpaired.py \
    --workdir=runs/apo_zero_unpaired --config.data.train=unpaired.jsonl

`configs/apo_zero_unpaired.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("apo_zero_unpaired", records="unpaired", beta=0.1)
  return base.finish(c, arg)
