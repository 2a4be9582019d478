# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Beta-DPO (Wu et al., arXiv:2407.08639).

Claim: one beta a batch, from its margins, and leaving unusual pairs out
withstand noisy pairs.

  prefjax train --config=configs/beta_dpo.py --workdir=runs/beta_dpo \
    --config.data.train=pairs.jsonl

`configs/beta_dpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("beta_dpo", beta=0.1, a=0.6)
  return base.finish(c, arg)
