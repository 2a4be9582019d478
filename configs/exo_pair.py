# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""EXO (Ji et al., arXiv:2402.00856).

Claim: the reverse KL to the preference distribution seeks its modes.

  prefjax train --config=configs/exo_pair.py --workdir=runs/exo_pair \
    --config.data.train=pairs.jsonl

`configs/exo_pair.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("exo_pair", beta=0.1, label_smoothing=1e-3)
  return base.finish(c, arg)
