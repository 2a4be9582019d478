# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""SPPO with hard labels (Wu et al., arXiv:2405.00675).

Claim: log-ratios regress to a fixed win and loss.

  prefjax train --config=configs/sppo_hard.py --workdir=runs/sppo_hard \
    --config.data.train=pairs.jsonl

`configs/sppo_hard.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("sppo_hard", beta=0.001)
  return base.finish(c, arg)
