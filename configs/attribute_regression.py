# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Attribute regression (Wang et al., arXiv:2406.08673).

Claim: regressing several ratings and weighing them afterwards makes a better
reward than pairs of the same responses.

  prefjax train --config=configs/attribute_regression.py \
    --workdir=runs/attribute_regression --config.data.train=rated.jsonl

`configs/attribute_regression.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base
from prefjax.data import language


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  names = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
  c = base.for_method("attribute_regression", "rated", attributes=len(names))
  c.data.attributes = names
  c.opt.learning_rate = 1e-5
  c.eval.samples = 0  # it writes no answers
  c = base.finish(c, arg)
  if c.data.train.startswith("language:"):
    c.data.attributes = language.ASPECTS
    c.method.kwargs.attributes = len(language.ASPECTS)
  return c
