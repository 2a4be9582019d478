# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""NCA (Chen et al., arXiv:2402.05369).

Claim: absolute likelihoods, not only margins, keep the chosen likelihood up.

  prefjax train --config=configs/nca_pair.py --workdir=runs/nca_pair \
    --config.data.train=pairs.jsonl

`configs/nca_pair.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("nca_pair", beta=0.01)
  return base.finish(c, arg)
