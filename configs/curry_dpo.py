# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Curry-DPO (Pattnaik et al., arXiv:2403.07230).

Claim: several pairs of each prompt, from wide to narrow gaps in quality, each
stage against the end of the one before, beat one pair a prompt.

  prefjax train --config=configs/curry_dpo.py --workdir=runs/curry_dpo \
    --config.data.train=ranked.jsonl

Records have several responses with a score each. All pairs at once and a
fixed reference: --config=configs/curry_dpo.py:multi_pair.
`configs/curry_dpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base, common


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny, multi_pair."""
  options = common.parse_arg(arg, tiny=False, multi_pair=False)
  c = base.for_method("curry_dpo", records="ranked", beta=0.1)
  if options.multi_pair:
    c.data.curriculum = dict(by="pairs")
  else:
    c.train.reference_from = "previous"
    c.stages = {
      f"{stage + 1}_{name}": dict(
        data=dict(curriculum=dict(by="rank", stage=stage))
      )
      for stage, name in enumerate(("wide", "middle", "narrow"))
    }
  return base.finish(c, "tiny" if options.tiny else None)
