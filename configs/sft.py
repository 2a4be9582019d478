# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Supervised fine-tuning: maximum likelihood of the (best) responses.

The usual start of preference learning, and the model that pairs are drawn
from. Of pairs and ranked records the best response is learned.

  prefjax train --config=configs/sft.py --workdir=runs/sft \
    --config.data.train=sft.jsonl

`configs/sft.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("sft", records="sft", average="token")
  c.opt.learning_rate = 2e-5
  return base.finish(c, arg)
