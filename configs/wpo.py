# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""WPO (Zhou et al., arXiv:2406.11827).

Claim: pairs that the policy itself would write count more, which brings off-
policy data closer to on-policy.

  prefjax train --config=configs/wpo.py --workdir=runs/wpo \
    --config.data.train=pairs.jsonl

`configs/wpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("wpo", beta=0.01)
  return base.finish(c, arg)
