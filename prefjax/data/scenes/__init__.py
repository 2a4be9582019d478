# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Images and clips that the project draws itself, with questions and answers.

Everything is a function of (seed, split, index), like the records of
`prefjax.data.language`.
"""

from prefjax.data.scenes.clips import (
  DIRECTIONS,
  clip_records,
  describe,
  events,
  perturbed,
)
from prefjax.data.scenes.drawing import COLORS, SHAPES, Item, draw
from prefjax.data.scenes.images import PLACES, QUESTIONS, scene_records

__all__ = [
  "COLORS",
  "DIRECTIONS",
  "PLACES",
  "QUESTIONS",
  "SHAPES",
  "Item",
  "clip_records",
  "describe",
  "draw",
  "events",
  "perturbed",
  "scene_records",
]
