# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""DPO with likelihood of the chosen response (Pang et al., arXiv:2404.19733).

Claim: the likelihood term keeps right reasoning likely.

  prefjax train --config=configs/rpo.py --workdir=runs/rpo \
    --config.data.train=pairs.jsonl

`configs/rpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("rpo", beta=0.1, alpha=1.0)
  return base.finish(c, arg)
