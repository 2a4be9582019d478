# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Cal-DPO (Xiao et al., arXiv:2412.14516).

Claim: rewards calibrated to a fixed scale keep the chosen likelihood from
falling.

  prefjax train --config=configs/cal_dpo.py --workdir=runs/cal_dpo \
    --config.data.train=pairs.jsonl

`configs/cal_dpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("cal_dpo", beta=0.001)
  return base.finish(c, arg)
