# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""MAPL, multi-level aware preference learning (arXiv:2505.12845).

Claim: prompts with verifiable instructions added, and how preferences should
change with them, teach to follow several instructions at once.

  prefjax train --config=configs/mapl.py --workdir=runs/mapl \
    --config.data.train=pairs.jsonl

Rows are ordinary pairs; the instructions are drawn to fit the responses.
`configs/mapl.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method(
    "mapl",
    beta=0.1,
    lambda_intra=1.0,
    lambda_inter=1.0,
    keep_negative=True,
    stop_gradient_original=False,
  )
  c.data.max_prompt = 320
  return base.finish(c, arg, tiny_prompt=240)
