# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""APO-down (D'Oosterlinck et al., arXiv:2408.06266).

Claim: where the model is better than both responses, both likelihoods should
fall, the rejected one more.

  prefjax train --config=configs/apo_down.py --workdir=runs/apo_down \
    --config.data.train=pairs.jsonl

`configs/apo_down.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("apo_down", beta=0.1)
  return base.finish(c, arg)
