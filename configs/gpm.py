# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The general preference model (Zhang et al., arXiv:2410.02197).

Claim: embeddings with a skew-symmetric score fit preferences that cycle, which
no scalar reward can.

  prefjax train --config=configs/gpm.py --workdir=runs/gpm \
    --config.data.train=pairs.jsonl

`configs/gpm.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("gpm", dim=6, prompt_gates=True, tau=0.1)
  c.opt.learning_rate = 1e-5
  c.eval.samples = 0  # it writes no answers
  return base.finish(c, arg)
