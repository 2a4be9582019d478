# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""DPO (arXiv:2305.18290) on a prepared TFDS data set, without TensorFlow.

Any readable file becomes one, with a split of held-out prompts:

  prefjax data build --data=pairs.jsonl --out=prepared --eval_fraction=0.05
  prefjax train --config=configs/dpo_tfds.py --workdir=runs/dpo_tfds \
    --config.data.train=prepared/pairs

Data sets that others prepared as ArrayRecord files work too where their rows
have a known layout. Name their splits with --config.data.split=... and
--config.data.eval_split=...; an empty eval_split holds out a share of the
training records. `configs/dpo_tfds.py:tiny` needs no data set and no download,
and takes one all the same.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("dpo", beta=0.1)
  c.data.split = "train"
  c.data.eval_split = "test"
  c = base.finish(c, arg)
  if not c.data.train.startswith("language:"):
    c.data.train = "prepared/pairs"
  return c
