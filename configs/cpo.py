# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""CPO (Xu et al., arXiv:2401.08417).

Claim: DPO without a reference, plus likelihood of the chosen response.

  prefjax train --config=configs/cpo.py --workdir=runs/cpo \
    --config.data.train=pairs.jsonl

`configs/cpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("cpo", beta=0.1, alpha=1.0)
  return base.finish(c, arg)
