# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Length-normalised DPO (Lambert et al., arXiv:2411.15124).

Claim: average log-ratios take away the gain from length.

  prefjax train --config=configs/dpo_norm.py --workdir=runs/dpo_norm \
    --config.data.train=pairs.jsonl

`configs/dpo_norm.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("dpo_norm", beta=5.0)
  return base.finish(c, arg)
