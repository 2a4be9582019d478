# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""SPPO with win rates (Wu et al., arXiv:2405.00675).

Claim: regressing log-ratios on win rates against the own policy converges
where pairwise losses only push two answers apart.

  prefjax train --config=configs/sppo.py --workdir=runs/sppo \
    --config.data.train=ranked.jsonl

Scores are win rates in [0, 1].
`configs/sppo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("sppo", records="ranked", beta=0.1)
  # The best against the worst response of a group, with their win rates.
  c.data.view = "pair"
  return base.finish(c, arg)
