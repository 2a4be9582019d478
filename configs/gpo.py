# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""General preference optimisation (Zhang et al., arXiv:2410.02197).

Claim: a policy whose log-ratios follow preferences against itself goes where
no scalar reward leads.

  prefjax train --config=configs/gpo.py --workdir=runs/gpo \
    --config.data.train=ranked.jsonl

Scores are mean preferences over the other samples of the prompt, as
`prefjax score --scorer=model` writes them with a general preference model.
`configs/gpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("gpo", records="ranked", beta=0.1)
  return base.finish(c, arg)
