# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""F-DPO (Wang et al., arXiv:2309.16240).

Claim: other divergences to the reference trade alignment against diversity.

  prefjax train --config=configs/f_dpo.py --workdir=runs/f_dpo \
    --config.data.train=pairs.jsonl

`configs/f_dpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("f_dpo", beta=0.1, divergence="js")
  return base.finish(c, arg)
