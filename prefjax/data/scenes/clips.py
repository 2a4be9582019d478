# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Clips with descriptions of what happens in which order, as pairs.

A clip shows one event a frame: a coloured shape. The chosen description names
the events in order; the rejected one describes the same clip with blocks
dropped, reversed or shuffled (TEMPLE, arXiv:2503.16929), and is read against
the clean clip. With `motion`, some clips show one shape that moves, and the
pair is about its direction.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from prefjax.core import errors
from prefjax.data import temporal
from prefjax.data.language import randomness
from prefjax.data.scenes import drawing

KINDS = ("drop", "reverse", "shuffle")
PROMPTS = (
  "what happens?",
  "describe the clip.",
  "tell the events in order.",
)
DIRECTIONS = {
  "right": ((0, 0), (0, 1)),
  "left": ((0, 1), (0, 0)),
  "down": ((0, 0), (1, 0)),
  "up": ((1, 0), (0, 0)),
}
_OPPOSITE = {"right": "left", "left": "right", "up": "down", "down": "up"}
_MAX_TRIES = 64
Record = dict[str, Any]


def events(
  draw: randomness.Draws, number: int, shapes: Sequence[str]
) -> list[drawing.Item]:
  """One item a frame, neighbours different."""
  colors = tuple(drawing.COLORS)
  out: list[drawing.Item] = []
  while len(out) < number:
    item = drawing.Item(draw.pick(shapes), draw.pick(colors), 0, 0)
    if not out or item.name != out[-1].name:
      out.append(item)
  return out


def describe(items: Sequence[drawing.Item]) -> str:
  """The events in words: colour and shape by their first letters."""
  return " " + " ".join(f"{i.color[0]}-{i.shape[:2]}" for i in items)


def perturbed(
  draw: randomness.Draws, number: int, kind: str, magnitude: int
) -> np.ndarray:
  """Indices of the clips that a perturbation leaves, in its order."""
  seed = draw.below(2**31)
  if kind == "drop":
    return temporal.drop_clips(seed, number, magnitude=magnitude)
  if kind == "reverse":
    return temporal.reverse_clips(number, magnitude=magnitude)
  return temporal.shuffle_clips(seed, number, magnitude=magnitude)


def _event_pair(
  draw: randomness.Draws,
  frames: int,
  kinds: Sequence[str],
  magnitudes: Sequence[int],
  size: int,
) -> Record:
  for _ in range(_MAX_TRIES):
    items = events(draw, frames, drawing.SHAPES)
    kind, magnitude = draw.pick(kinds), draw.pick(magnitudes)
    order = perturbed(draw, frames, kind, magnitude)
    chosen = describe(items)
    rejected = describe([items[i] for i in order])
    kept = temporal.temporal_pair_filter(
      [len(chosen)], [len(rejected)], [kind == "drop"], [chosen in rejected]
    )[0]
    if kept and chosen != rejected:
      break
  else:
    raise errors.ConfigError(
      f"no perturbation of {frames} frames changes the description; raise"
      " magnitudes or frames"
    )
  return {
    "frames": [
      drawing.draw([drawing.Item(i.shape, i.color, 0, 0)], size=size, grid=1)
      for i in items
    ],
    "chosen": chosen,
    "rejected": rejected,
    "metadata": {"kind": kind, "magnitude": magnitude},
  }


def _motion_pair(draw: randomness.Draws, frames: int, size: int) -> Record:
  direction = draw.pick(tuple(DIRECTIONS))
  start, end = DIRECTIONS[direction]
  shape, color = draw.pick(drawing.SHAPES), draw.pick(tuple(drawing.COLORS))
  grid = 4
  lane = draw.below(grid)
  pictures = []
  for t in range(frames):
    step = round(t * (grid - 1) / max(frames - 1, 1))
    row, column = (
      lane if a == b else (step if b > a else grid - 1 - step)
      for a, b in zip(start, end, strict=True)
    )
    pictures.append(
      drawing.draw(
        [drawing.Item(shape, color, row, column)], size=size, grid=grid
      )
    )
  return {
    "frames": pictures,
    "chosen": f" it moves {direction}.",
    "rejected": f" it moves {_OPPOSITE[direction]}.",
    "metadata": {"kind": "motion", "magnitude": 0},
  }


def clip_records(
  seed: int,
  n: int,
  split: str = "train",
  *,
  size: int = 16,
  frames: int = 8,
  kinds: Sequence[str] = KINDS,
  magnitudes: Sequence[int] = (8, 4, 2),
  motion: float = 0.0,
  language: Any = None,
  start: int = 0,
) -> list[Record]:
  """{prompt, frames, chosen, rejected}: clips and what happens in them.

  Args:
    seed: data seed.
    n: number of records.
    split: another name gives other clips.
    size: height and width of frames, a multiple of 4.
    frames: frames of a clip, 2 or more; each is one event.
    kinds: perturbations, of KINDS.
    magnitudes: of perturbations, each 2 or more; a large one is easy to tell.
    motion: share of clips about a direction of motion.
    language: taken like other producers take it, and not used.
    start: index of the first record.

  Returns:
    n records; metadata has kind and magnitude (0 for motion).

  Raises:
    ConfigError: an argument is out of range.
  """
  del language
  if frames < 2 or not kinds or not magnitudes or min(magnitudes) < 2:
    raise errors.ConfigError(
      f"frames={frames} and magnitudes={tuple(magnitudes)} must be 2 or more,"
      " and some kinds"
    )
  for kind in kinds:
    if kind not in KINDS:
      raise errors.ConfigError(
        f"kinds: {kind!r} is not one of {', '.join(KINDS)}"
      )
  if not 0 <= motion <= 1:
    raise errors.ConfigError(f"motion={motion} is outside [0, 1]")
  out = []
  for offset, draw in enumerate(
    randomness.stream(seed, start, n, "clips", split)
  ):
    if draw.chance(motion):
      record = _motion_pair(draw, frames, size)
    else:
      record = _event_pair(draw, frames, kinds, magnitudes, size)
    out.append(
      {
        "id": f"clips-{seed}-{split}-{start + offset}",
        "prompt": draw.pick(PROMPTS),
        **record,
      }
    )
  return out
