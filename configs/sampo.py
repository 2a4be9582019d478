# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""SamPO (Lu et al., arXiv:2406.10957).

Claim: as many tokens of both sides take away the gain from length.

  prefjax train --config=configs/sampo.py --workdir=runs/sampo \
    --config.data.train=pairs.jsonl

`configs/sampo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("sampo", beta=0.1)
  return base.finish(c, arg)
