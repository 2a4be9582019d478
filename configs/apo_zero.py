# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""APO-zero (D'Oosterlinck et al., arXiv:2408.06266).

Claim: where the chosen response is better than the model, its likelihood
should rise and the rejected one's fall.

  prefjax train --config=configs/apo_zero.py --workdir=runs/apo_zero \
    --config.data.train=pairs.jsonl

`configs/apo_zero.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("apo_zero", beta=0.1)
  return base.finish(c, arg)
