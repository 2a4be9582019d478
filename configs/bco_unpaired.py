# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""BCO (Jung et al., arXiv:2404.04656).

Claim: a binary classifier of good and bad responses, with a running reward
shift, needs no pairs.

  prefjax train --config=configs/bco_unpaired.py --workdir=runs/bco_unpaired \
    --config.data.train=unpaired.jsonl

`configs/bco_unpaired.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("bco_unpaired", records="unpaired", beta=0.1)
  return base.finish(c, arg)
