# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""IPO (Azar et al., arXiv:2310.12036, equation 17).

Claim: a squared loss with a target margin does not overfit preferences that
are deterministic, where DPO drives the KL term out of the objective.

  prefjax train --config=configs/ipo.py --workdir=runs/ipo \
    --config.data.train=pairs.jsonl

`configs/ipo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("ipo", beta=0.1)
  return base.finish(c, arg)
