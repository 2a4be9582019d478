# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""BPO, blind preference optimisation (Li et al., arXiv:2503.14189).

Claim: preferring the right response over one that was written without the
image makes a model look at the image.

  prefjax train --config=configs/bpo_blind.py --workdir=runs/bpo_blind \
    --config.data.train=scenes.jsonl

Rows are {prompt, images, chosen, rejected, blind}; paths of images are seen
from the folder of the file. `configs/bpo_blind.py:tiny` needs no file and no
download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("bpo_blind", records="scenes", beta=0.1, blind_weight=1.0)
  c.model.vision.update(image_size=224, patch=16, pool=2, width=192, heads=6)
  c = base.finish(c, arg)
  if c.model.source.startswith("preset:"):
    c.model.vision.update(image_size=16, patch=8, pool=1, width=16, heads=2)
    c.data.language.size = 16
  return c
