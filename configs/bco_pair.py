# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""BCO on pairs (Jung et al., arXiv:2404.04656).

Claim: a binary classifier of good and bad responses, with a running reward
shift, aligns like DPO.

  prefjax train --config=configs/bco_pair.py --workdir=runs/bco_pair \
    --config.data.train=pairs.jsonl

`configs/bco_pair.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("bco_pair", beta=0.1)
  return base.finish(c, arg)
