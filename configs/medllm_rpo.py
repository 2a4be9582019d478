# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Continued pre-training, then RPO (Kawakami et al., arXiv:2504.18080).

Claim: with the likelihood of the chosen reasoning in the loss, asking for an
explanation no longer costs accuracy.

  prefjax train --config=configs/medllm_rpo.py --workdir=runs/medllm_rpo \
    --config.data.train=pairs.jsonl \
    --config.stages.1_pretraining.data.train=text.jsonl

The first stage reads text of the domain, the second pairs of reasoning.
`configs/medllm_rpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("rpo", beta=0.1, alpha=1.0, dpo_weight=1.0)
  # The reference of the second stage is what the first one made.
  c.train.reference_from = "previous"
  c.stages = {
    "1_pretraining": dict(
      data=dict(train="sft.jsonl"),
      method=dict(name="sft", kwargs=dict(average="token")),
    ),
    "2_preferences": dict(),
  }
  c = base.finish(c, arg)
  if c.data.train.startswith("language:"):
    c.stages["1_pretraining"].data.train = "language:sft"
  return c
