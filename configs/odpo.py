# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""ODPO (Amini et al., arXiv:2402.10571).

Claim: pairs whose rewards differ more need a larger margin.

  prefjax train --config=configs/odpo.py --workdir=runs/odpo \
    --config.data.train=ranked.jsonl

`configs/odpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("odpo", records="ranked", beta=0.1, alpha=1.0)
  # The best against the worst response of a group, with their scores.
  c.data.view = "pair"
  return base.finish(c, arg)
