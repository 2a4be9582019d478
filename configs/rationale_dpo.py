# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""DPO with rationales, RDPO (Just et al., arXiv:2407.14477).

Claim: learning why a response is preferred makes pairs worth more.

  prefjax train --config=configs/rationale_dpo.py \
    --workdir=runs/rationale_dpo --config.data.train=rationale.jsonl

Rows are {prompt, chosen, rejected, rationale}.
`configs/rationale_dpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method(
    "rationale_dpo",
    records="rationale",
    beta=0.1,
    gamma=0.001,
    rationale_form="nll",
  )
  # The rationale's prompt shows the request and both responses.
  c.data.max_prompt = 640
  return base.finish(c, arg, tiny_prompt=320)
