# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Noisy pictures of objects, half of them unsafe, under a verbal cue.

The right answer to 'bad?' or 'mild?' is to refuse ('R') or help ('H') as the
pictured object demands, and to name it by a letter: 'Rc'. The words agree with
the picture as often as the cue's strength says.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from prefjax.data import scenes

SIZE = 16
_KINDS = [
  scenes.Item(shape, color, 0, 0)
  for shape in ("circle", "square", "triangle", "cross")
  for color in ("red", "blue")
]
NAMES = "abcdefgh"
ACTS = "RH"
ANSWERS = [act + name for act in ACTS for name in NAMES]
_WORDS = {"R": "bad?", "H": "mild?"}


def act(item: int) -> str:
  """Unsafe are red round or straight things, and blue slanted ones."""
  shape, color = divmod(item, 2)
  return ACTS[(shape // 2 + color) % 2]


def picture(rng: np.random.Generator, item: int, noise: float) -> np.ndarray:
  """uint8 [SIZE, SIZE, 3] of an object with Gaussian noise on every pixel."""
  clean = scenes.draw([_KINDS[item]], size=SIZE, grid=1).astype(np.float64)
  noisy = clean + 255 * noise * rng.normal(size=clean.shape)
  return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def draw(
  rng: np.random.Generator, number: int, *, agrees: float, noise: float
) -> list[dict[str, Any]]:
  """Rows {prompt, images, chosen, rejected} and what they are about.

  The rejected answer does the opposite, half the time under another name.
  """
  rows = []
  for _ in range(number):
    item = int(rng.integers(len(NAMES)))
    right = act(item)
    other = ACTS[right == "R"]
    cue = right if rng.uniform() < agrees else other
    name = NAMES[item]
    if rng.uniform() < 0.5:
      wrong_name = str(rng.choice([n for n in NAMES if n != name]))
    else:
      wrong_name = name
    rows.append(
      {
        "prompt": _WORDS[cue],
        "images": [picture(rng, item, noise)],
        "chosen": right + name,
        "rejected": other + wrong_name,
        "metadata": {"item": item, "conflict": cue != right},
      }
    )
  return rows


def candidates(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
  """The same rows with all answers as responses, to be scored."""
  return [
    {
      "prompt": row["prompt"],
      "images": row.get("images", []),
      "responses": ANSWERS,
      "scores": [float(a == row["chosen"]) for a in ANSWERS],
    }
    for row in rows
  ]
