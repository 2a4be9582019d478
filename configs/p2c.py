# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Prefer to classify (Kim et al., arXiv:2306.04925).

Claim: which of two texts of a class shows it more teaches a classifier more
than the class does.

  prefjax train --config=configs/p2c.py --workdir=runs/p2c \
    --config.data.train=labelled.jsonl

A record has two texts as chosen and rejected, their class `label` and `tie`.
`configs/p2c.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method(
    "p2c", records="labelled", lambda_cons=1.0, lambda_div=0.1
  )
  c.opt.learning_rate = 1e-5
  c.eval.samples = 0  # it writes no answers
  return base.finish(c, arg)
