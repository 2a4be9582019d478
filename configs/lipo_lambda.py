# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""LiPO-lambda (Liu et al., arXiv:2402.01878).

Claim: a ranking loss weighted by the gain of a swap learns more from lists
than pairs do.

  prefjax train --config=configs/lipo_lambda.py --workdir=runs/lipo_lambda \
    --config.data.train=ranked.jsonl

`configs/lipo_lambda.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("lipo_lambda", records="ranked", beta=0.1)
  return base.finish(c, arg)
