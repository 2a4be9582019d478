# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Clips, descriptions and perturbations of the experiment on TEMPLE."""

import numpy as np
import pytest

from experiments.temple import clips


def test_order_accuracy_counts_neighbours_in_their_order():
  assert clips.order_accuracy("abcd", "abcd") == 1.0
  assert clips.order_accuracy("abcd", "dcba") == 0.0
  assert clips.order_accuracy("abcd", "cdab") == pytest.approx(2 / 3)
  assert clips.order_accuracy("abcd", "ab") == pytest.approx(1 / 3)
  assert clips.order_accuracy("abcd", "") == 0.0


@pytest.mark.parametrize("magnitude", [8, 4, 2])
def test_pairs_tell_a_clip_right_and_perturbed(magnitude):
  size = clips.FRAMES // magnitude
  for row in clips.pairs(np.random.default_rng(0), 60, magnitude):
    right, wrong = row["chosen"], row["rejected"]
    assert len(set(right)) == len(right) == len(row["frames"]) == clips.FRAMES
    assert set(wrong) <= set(right) and wrong != right
    if len(wrong) == len(right):  # blocks moved, nothing inside them
      blocks = {right[i : i + size] for i in range(0, clips.FRAMES, size)}
      assert {wrong[i : i + size] for i in range(0, clips.FRAMES, size)} == (
        blocks
      )
    else:
      assert len(wrong) == size
      assert [c for c in right if c in wrong] == list(wrong)


def test_frames_show_the_events_that_are_told():
  rows = clips.demonstrations(np.random.default_rng(2), 20, 0.0)
  clean = clips._clean()
  for row in rows:
    assert row["frames"][0].shape == (clips.SIZE, clips.SIZE, 3)
    gaps = np.square(np.asarray(row["frames"], float)[:, None] - clean[None])
    nearest = gaps.mean(axis=(2, 3, 4)).argmin(axis=1)
    assert clips.told(nearest) == row["completion"]
