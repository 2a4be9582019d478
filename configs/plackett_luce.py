# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""DPO for rankings (Rafailov et al., arXiv:2305.18290, appendix A.3).

Claim: a whole ranking under the Plackett-Luce model.

  prefjax train --config=configs/plackett_luce.py --workdir=runs/plackett_luce \
    --config.data.train=ranked.jsonl

`configs/plackett_luce.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("plackett_luce", records="ranked", beta=0.1)
  return base.finish(c, arg)
