# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Perturbed clips, merging and filters."""

import numpy as np
import pytest

from prefjax import data
from prefjax.core import errors

SIZES = [(8, 1), (8, 2), (8, 3), (7, 2), (7, 4), (5, 16), (1, 2), (32, 16)]


@pytest.mark.parametrize(("number", "magnitude"), SIZES)
def test_blocks_are_consecutive_and_even(number, magnitude):
  groups = data.clip_groups(number, magnitude=magnitude)
  size = max(1, number // magnitude)
  assert groups[0] == 0 and set(np.diff(groups)) <= {0, 1}
  counts = np.bincount(groups)
  assert (counts[:-1] == size).all() and 1 <= counts[-1] <= size


@pytest.mark.parametrize(("number", "magnitude"), SIZES)
def test_reversal_moves_blocks_only(number, magnitude):
  groups = data.clip_groups(number, magnitude=magnitude)
  order = data.reverse_clips(number, magnitude=magnitude)
  np.testing.assert_array_equal(np.sort(order), np.arange(number))
  assert (np.diff(groups[order]) <= 0).all()
  for block in np.unique(groups):
    assert (np.diff(order[groups[order] == block]) == 1).all()
  if magnitude >= number:
    np.testing.assert_array_equal(order, np.arange(number)[::-1])
  if magnitude == 1:
    np.testing.assert_array_equal(order, np.arange(number))


@pytest.mark.parametrize(("number", "magnitude"), SIZES)
def test_shuffles_keep_blocks_together_and_change_the_order(number, magnitude):
  groups = data.clip_groups(number, magnitude=magnitude)
  changed = 0
  for key in range(30):
    order = data.shuffle_clips(key, number, magnitude=magnitude)
    np.testing.assert_array_equal(np.sort(order), np.arange(number))
    # Each block is one stretch with nothing moved inside.
    assert (np.diff(groups[order]) != 0).sum() == groups[-1]
    for block in np.unique(groups):
      assert (np.diff(order[groups[order] == block]) == 1).all()
    changed += (order != np.arange(number)).any()
  assert changed == (30 if groups[-1] > 0 else 0)


def test_a_shuffle_may_be_the_identity_if_allowed():
  same = [
    (
      data.shuffle_clips(key, 4, magnitude=2, avoid_identity=False)
      == np.arange(4)
    ).all()
    for key in range(40)
  ]
  assert 8 < sum(same) < 32  # half of them
  np.testing.assert_array_equal(
    data.shuffle_clips(5, 9, magnitude=9), data.shuffle_clips(5, 9, magnitude=9)
  )


@pytest.mark.parametrize(("number", "magnitude"), SIZES)
def test_drops_keep_the_promised_number_in_order(number, magnitude):
  kept = data.drop_clips(0, number, magnitude=magnitude)
  assert len(kept) == data.num_kept_clips(number, magnitude=magnitude)
  assert len(kept) == max(1, number // magnitude)
  assert (np.diff(kept) > 0).all() and kept.min() >= 0 and kept.max() < number


def test_every_clip_may_survive():
  counts = np.zeros(8)
  for key in range(400):
    counts[data.drop_clips(key, 8, magnitude=4)] += 1
  assert np.abs(counts - 100).max() < 5 * np.sqrt(400 * 3 / 16)


def test_no_clips():
  assert data.clip_groups(0, magnitude=2).shape == (0,)
  assert data.reverse_clips(0, magnitude=2).shape == (0,)
  assert data.shuffle_clips(0, 0, magnitude=2).shape == (0,)
  assert data.drop_clips(0, 0, magnitude=2).shape == (0,)
  with pytest.raises(ValueError, match="clip_groups: magnitude=0"):
    data.clip_groups(4, magnitude=0)


def test_the_pair_filter_at_its_bounds():
  def keep(chosen, rejected, drop, inside=0):
    arrays = [np.array([x]) for x in (chosen, rejected, drop, inside)]
    return int(data.temporal_pair_filter(*arrays)[0])

  assert keep(101, 100, 1) and not keep(100, 100, 1)
  assert keep(300, 100, 1) and not keep(300, 100, 0)
  assert keep(150, 100, 0) and not keep(151, 100, 0)
  assert keep(100, 150, 0) and not keep(100, 151, 0)
  assert not keep(101, 100, 1, 1) and not keep(100, 100, 0, 1)


def test_merging_is_average_linkage_of_plain_means():
  # {0, 1} merge at .9; with 2 the plain mean is .6 + .7, not weighted.
  table = np.array(
    [
      [1.0, 0.9, 0.7, 0.1],
      [0.9, 1.0, 0.5, 0.1],
      [0.7, 0.5, 1.0, 0.7],
      [0.1, 0.1, 0.7, 1.0],
    ]
  )
  merge = data.merge_similar_clips
  np.testing.assert_array_equal(merge(table, threshold=0.8), [0, 0, 1, 2])
  # Then 2 and 3 at .7; the two groups at (.6 + .1) / 2.
  np.testing.assert_array_equal(merge(table, threshold=0.5), [0, 0, 1, 1])
  np.testing.assert_array_equal(merge(table, threshold=0.3), [0, 0, 0, 0])
  np.testing.assert_array_equal(merge(table, threshold=0.9), [0, 1, 2, 3])
  with pytest.raises(errors.DataError, match="holds NaN"):
    merge(np.full((2, 2), np.nan))
  with pytest.raises(errors.DataError, match=r"shape \(2, 3\)"):
    merge(np.zeros((2, 3)))
  assert merge(np.zeros((0, 0))).shape == (0,)


def test_a_similarity_at_the_threshold_does_not_merge():
  table = np.array([[1, 0.8], [0.8, 1]])
  for dtype in (np.float32, np.float64):
    labels = data.merge_similar_clips(table.astype(dtype), threshold=0.8)
    np.testing.assert_array_equal(labels, [0, 1])


def test_videos_that_go_back_are_left_out():
  def keep(*groups):
    row = np.array([[*groups, *[0] * (14 - len(groups))]])
    mask = np.arange(14) < len(groups)
    return int(data.keep_temporal_video(row, mask[None])[0])

  assert keep(0, 1, 2, 3) and not keep(0, 1, 2)
  assert not keep(0, 1, 2, 3, 0)  # twice in 5 runs
  assert keep(0, 1, 2, 3, 4, 0)  # twice in 6
  assert keep(0, 1, 0, 2, 0, 3, 4, 5, 6)  # three times in 9
  assert not keep(0, 1, 0, 2, 0, 3, 0, 4, 5, 6, 7, 8)  # four times
  assert not keep()


def test_schedule():
  stages = data.difficulty_schedule((4, 2))
  assert [stage["magnitude"] for stage in stages] == [4, 2]
  assert stages[0]["name"] == "magnitude_4"
  with pytest.raises(ValueError, match="difficulty_schedule: magnitude=0"):
    data.difficulty_schedule((0,))


def test_at_least_one_clip_is_kept():
  found = data.num_kept_clips([0, 1, 7, 8], magnitude=4)
  np.testing.assert_array_equal(found, [1, 1, 1, 2])
