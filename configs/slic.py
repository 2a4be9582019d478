# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""SLiC-HF (Zhao et al., arXiv:2305.10425).

Claim: a hinge between likelihoods, with a likelihood term, needs no
reference.

  prefjax train --config=configs/slic.py --workdir=runs/slic \
    --config.data.train=pairs.jsonl

`configs/slic.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("slic", delta=1.0, beta=1.0)
  c.method.mixture = dict(sft=0.1)
  return base.finish(c, arg)
