# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""AOT on unpaired distributions (Melnyk et al., arXiv:2406.05882).

Claim: the sorted chosen rewards dominate the sorted rejected ones.

  prefjax train --config=configs/aot_unpaired.py --workdir=runs/aot_unpaired \
    --config.data.train=pairs.jsonl

`configs/aot_unpaired.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("aot_unpaired", beta=0.01)
  return base.finish(c, arg)
