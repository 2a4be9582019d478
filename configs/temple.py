# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""TEMPLE, temporal preferences in stages (arXiv:2503.16929).

Claim: DPO on pairs of a clean and a perturbed clip, from strong to mild
perturbations and before instruction tuning, teaches the order of time.

  prefjax train --config=configs/temple.py --workdir=runs/temple \
    --config.data.train=clips.jsonl

Rows are {prompt, frames, chosen, rejected, magnitude}; paths of frames are
seen from the folder of the file. Each stage begins, and has its reference,
where the one before ended; the last one is supervised.
`configs/temple.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base
from prefjax import data

MAGNITUDES = (8, 4, 2)


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("temple", records="clips", beta=0.1)
  c.model.vision.update(image_size=112, patch=16, pool=7, width=192, heads=6)
  c.train.reference_from = "previous"
  schedule = data.difficulty_schedule(MAGNITUDES)
  c.stages = {
    f"{i + 1}_{stage['name']}": dict(
      data=dict(curriculum=dict(by="magnitude", value=stage["magnitude"]))
    )
    for i, stage in enumerate(schedule)
  }
  c.stages[f"{len(schedule) + 1}_sft"] = dict(
    method=dict(name="sft", kwargs=dict(average="token"))
  )
  c = base.finish(c, arg)
  if c.model.source.startswith("preset:"):
    c.model.vision.update(image_size=16, patch=8, pool=2, width=16, heads=2)
    c.data.language.size = 16
  return c
