# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""R-DPO (Park et al., arXiv:2403.19159).

Claim: a length term in the reward takes length out of what DPO learns.

  prefjax train --config=configs/length_penalized_dpo.py \
    --workdir=runs/length_penalized_dpo --config.data.train=pairs.jsonl

`configs/length_penalized_dpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("length_penalized_dpo", beta=0.1, alpha=0.01)
  return base.finish(c, arg)
