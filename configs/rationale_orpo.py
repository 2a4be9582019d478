# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""ORPO with rationales, RORPO (Just et al., arXiv:2407.14477).

Claim: rationales help losses without a reference model too.

  prefjax train --config=configs/rationale_orpo.py \
    --workdir=runs/rationale_orpo --config.data.train=rationale.jsonl

Rows are {prompt, chosen, rejected, rationale}.
`configs/rationale_orpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method(
    "rationale_orpo", records="rationale", beta=0.1, gamma=1.0
  )
  # The rationale's prompt shows the request and both responses.
  c.data.max_prompt = 640
  return base.finish(c, arg, tiny_prompt=320)
