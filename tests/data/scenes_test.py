# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Drawn images and clips: what is said of them is there."""

import numpy as np
import pytest

from prefjax.core import errors
from prefjax.data import scenes, temporal

_PRODUCERS = {"scenes": scenes.scene_records, "clips": scenes.clip_records}


def _same(a, b):
  if isinstance(a, dict):
    return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
  if isinstance(a, list):
    return len(a) == len(b) and all(map(_same, a, b))
  return bool(np.all(a == b))


@pytest.mark.parametrize("name", _PRODUCERS)
def test_records_are_a_function_of_seed_split_and_index(name):
  make = _PRODUCERS[name]
  whole = make(7, 30)
  assert _same(whole, make(7, 30))
  assert _same(whole[20:25], make(7, 5, start=20))
  assert not _same(whole, make(8, 30)) and not _same(whole, make(7, 30, "held"))
  assert len({r["id"] for r in whole}) == 30
  assert whole[3]["id"] == f"{name}-7-train-3"
  for record in whole:
    assert record["chosen"] != record["rejected"]


def _colors(cell):
  """Names of the colours in a part of an image."""
  pixels = cell.reshape(-1, 3)
  return {
    name
    for name, value in scenes.COLORS.items()
    if (pixels == value).all(axis=1).any()
  }


def test_answers_are_in_the_picture():
  kinds = set()
  for record in scenes.scene_records(1, 400):
    (image,) = record["images"]
    right, kind = record["metadata"]["right"], record["metadata"]["question"]
    kinds.add(kind)
    assert image.shape == (32, 32, 3) and image.dtype == np.uint8
    cells = [image[r : r + 16, c : c + 16] for r in (0, 16) for c in (0, 16)]
    filled = [bool(_colors(cell)) for cell in cells]
    if kind == "color":
      assert right in _colors(image)
    elif kind == "place":
      assert filled[scenes.PLACES.index(right)]
    elif kind == "count":
      assert int(right) <= sum(filled)
    else:
      assert right in scenes.SHAPES
    assert record["chosen"] == f" {right}"
    assert record["rejected"].strip() in record["metadata"]["answers"]
  assert kinds == set(scenes.QUESTIONS)


def test_hints_are_right_as_often_as_said():
  for rate in (0.0, 0.7, 1.0):
    rows = scenes.scene_records(0, 600, hint_right=rate, hints=0.5)
    hints = [r["metadata"] for r in rows if r["metadata"]["hint"]]
    assert 0.4 < len(hints) / 600 < 0.6
    right = np.mean([h["hint"] == h["right"] for h in hints])
    assert abs(right - rate) < 0.1
    for row in rows:
      hint = row["metadata"]["hint"]
      assert (f"maybe {hint}." in row["prompt"]) == (hint is not None)
      if hint is not None:  # the blind answer trusts the words
        assert row.get("blind", row["chosen"]) == f" {hint}"


def test_flipped_records_prefer_the_wrong_answer():
  rows = scenes.scene_records(0, 400, flip_rate=0.3)
  flipped = [r["chosen"] != f" {r['metadata']['right']}" for r in rows]
  assert flipped == [r["metadata"]["flipped"] for r in rows]
  assert 0.2 < np.mean(flipped) < 0.4


def test_clips_show_the_events_that_they_describe():
  shapes = {s[:2]: s for s in scenes.SHAPES}
  for record in scenes.clip_records(3, 60, magnitudes=(2, 4, 8)):
    words = record["chosen"].split()
    assert len(words) == len(record["frames"]) == 8
    for word, frame in zip(words, record["frames"], strict=True):
      color, shape = word.split("-")
      (name,) = [c for c in scenes.COLORS if c[0] == color]
      item = scenes.Item(shapes[shape], name, 0, 0)
      np.testing.assert_array_equal(frame, scenes.draw([item], size=16, grid=1))
    kind = record["metadata"]["kind"]
    said = record["rejected"].split()
    if kind == "drop":
      kept = 8 // record["metadata"]["magnitude"]
      assert len(said) == kept and len(said) < len(words)
    else:
      assert sorted(said) == sorted(words) and said != words
    if kind == "reverse":
      order = temporal.reverse_clips(
        8, magnitude=record["metadata"]["magnitude"]
      )
      assert said == [words[i] for i in order]


def test_motion_goes_where_it_is_said_to():
  rows = scenes.clip_records(0, 40, motion=1.0, frames=4)
  seen = set()
  for record in rows:
    centres = [
      np.argwhere(frame.max(axis=-1) > 100).mean(axis=0)
      for frame in record["frames"]
    ]
    down, right = centres[-1] - centres[0]
    direction = record["chosen"].removesuffix(".").split()[-1]
    seen.add(direction)
    want = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)}
    assert tuple(np.sign(np.round([down, right]))) == want[direction]
    assert record["metadata"]["magnitude"] == 0
  assert seen == set(scenes.DIRECTIONS)


@pytest.mark.parametrize(
  "make, arguments, message",
  [
    (scenes.scene_records, {"hint_right": 1.5}, "hint_right=1.5 is outside"),
    (scenes.scene_records, {"questions": ["age"]}, "'age' is not one of"),
    (scenes.scene_records, {"size": 9}, "size=9 is not a multiple of grid=2"),
    (scenes.clip_records, {"frames": 1}, "frames=1 and magnitudes="),
    (scenes.clip_records, {"magnitudes": (1,)}, "must be 2 or more"),
    (scenes.clip_records, {"kinds": ("turn",)}, "'turn' is not one of"),
    (scenes.clip_records, {"motion": -1}, "motion=-1 is outside"),
  ],
)
def test_arguments_that_are_refused(make, arguments, message):
  with pytest.raises(errors.ConfigError, match=message):
    make(0, 2, **arguments)
