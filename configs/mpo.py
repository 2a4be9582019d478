# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Mixed preference optimisation (Wang et al., arXiv:2411.10442).

Claim: preference, quality and generation terms together.

  prefjax train --config=configs/mpo.py --workdir=runs/mpo \
    --config.data.train=pairs.jsonl

`configs/mpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("mpo", beta=0.1)
  return base.finish(c, arg)
