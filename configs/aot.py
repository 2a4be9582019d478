# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""AOT on paired data (Melnyk et al., arXiv:2406.05882).

Claim: optimal transport makes the distribution of chosen margins dominate the
rejected one, not only pair by pair.

  prefjax train --config=configs/aot.py --workdir=runs/aot \
    --config.data.train=pairs.jsonl

`configs/aot.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("aot", beta=0.01)
  return base.finish(c, arg)
