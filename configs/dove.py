# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""DOVE, joint preference optimisation (Bansal et al., arXiv:2404.00530).

Claim: preferences between instruction-response pairs with different
instructions hold more than those under one instruction.

  prefjax train --config=configs/dove.py --workdir=runs/dove \
    --config.data.train=joint.jsonl

Rows are {prompt_chosen, chosen, prompt_rejected, rejected}; ordinary pairs
count too. `configs/dove.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("dove", records="joint", beta=0.1, prompt_weight=1.0)
  c = base.finish(c, arg)
  if c.model.source.startswith("preset:"):
    # Each side is a conversation of its own; these have no marks of turns.
    c.model.chat_template = "none"
  return c
