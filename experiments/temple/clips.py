# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Short clips of twelve kinds of events, told in order by letters.

A clip shows a noisy coloured shape a frame. Its description is one letter an
event, 'cafdbh'. A rejected description tells the same clip with its frames
dropped, reversed or shuffled; both are read against the clean clip.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from prefjax import data
from prefjax.data import scenes

FRAMES, SIZE = 8, 8
_KINDS = ("drop", "reverse", "shuffle")
_EVENTS = [
  scenes.Item(shape, color, 0, 0)
  for shape in scenes.SHAPES
  for color in ("green", "purple")
]
LETTERS = "abcdefghijkl"
_NOISE = 0.25
PROMPT = "tell"


def events(rng: np.random.Generator) -> np.ndarray:
  """Which events happen, all different; int [FRAMES]."""
  return rng.permutation(len(LETTERS))[:FRAMES]


@functools.cache
def _clean() -> np.ndarray:
  """Every event without noise, float64 [12, SIZE, SIZE, 3]."""
  drawn = [scenes.draw([event], size=SIZE, grid=1) for event in _EVENTS]
  return np.stack(drawn).astype(np.float64)


def frames(rng: np.random.Generator, which: Sequence[int]) -> list[np.ndarray]:
  """uint8 [SIZE, SIZE, 3] each, with Gaussian noise on every pixel."""
  clean = _clean()[np.asarray(which)]
  noisy = clean + 255 * _NOISE * rng.normal(size=clean.shape)
  return list(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


def told(which: Sequence[int]) -> str:
  """One letter an event, in their order."""
  return "".join(LETTERS[event] for event in which)


def demonstrations(
  rng: np.random.Generator, number: int, scrambled: float
) -> list[dict[str, Any]]:
  """Clips with right descriptions; some show their frames in any order."""
  rows = []
  for _ in range(number):
    which = events(rng)
    pictures = frames(rng, which)
    if rng.uniform() < scrambled:
      pictures = [pictures[i] for i in rng.permutation(FRAMES)]
    rows.append(
      {"prompt": PROMPT, "frames": pictures, "completion": told(which)}
    )
  return rows


def pairs(
  rng: np.random.Generator, number: int, magnitude: int
) -> list[dict[str, Any]]:
  """Right descriptions over those of the perturbed clip, filtered."""
  rows = []
  while len(rows) < number:
    which = events(rng)
    kind = str(rng.choice(_KINDS))
    if kind == "drop":
      order = data.drop_clips(rng, FRAMES, magnitude=magnitude)
    elif kind == "reverse":
      order = data.reverse_clips(FRAMES, magnitude=magnitude)
    else:
      order = data.shuffle_clips(rng, FRAMES, magnitude=magnitude)
    chosen, rejected = told(which), told(which[np.asarray(order)])
    kept = data.temporal_pair_filter(
      [len(chosen)], [len(rejected)], [kind == "drop"], [chosen in rejected]
    )
    if kept[0]:
      rows.append(
        {
          "prompt": PROMPT,
          "frames": frames(rng, which),
          "chosen": chosen,
          "rejected": rejected,
        }
      )
  return rows


def questions(rng: np.random.Generator, number: int) -> list[dict[str, Any]]:
  """Clips with the right telling and with two events changed around."""
  rows = []
  for _ in range(number):
    which = events(rng)
    first, second = sorted(rng.permutation(FRAMES)[:2])
    other = which.copy()
    other[[first, second]] = other[[second, first]]
    rows.append(
      {
        "prompt": PROMPT,
        "frames": frames(rng, which),
        "chosen": told(which),
        "rejected": told(other),
      }
    )
  return rows


def order_accuracy(right: str, text: str) -> float:
  """Share of neighbouring events that the text tells in their order."""
  at = {letter: place for place, letter in reversed(list(enumerate(text)))}
  hits = [
    a in at and b in at and at[a] < at[b]
    for a, b in zip(right, right[1:], strict=False)
  ]
  return float(np.mean(hits))
