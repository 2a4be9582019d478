# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Step-DPO (Lai et al., arXiv:2406.18629).

Claim: a pair of one right and one wrong step teaches reasoning better than
whole answers.

  prefjax train --config=configs/step_dpo.py --workdir=runs/step_dpo \
    --config.data.train=step_pairs.jsonl

`configs/step_dpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("step_dpo", records="step_pairs", beta=0.5)
  return base.finish(c, arg)
