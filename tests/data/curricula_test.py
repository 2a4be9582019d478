# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Stages and the batches of a curriculum."""

import jax
import numpy as np
import pytest

from prefjax import data
from prefjax.core import errors


def _sampler(stages, size=4, **keywords):
  return data.CurriculumSampler(stages, size, **{"key": 0, **keywords})


@pytest.mark.parametrize("num_stages", [1, 3, 7, 20])
def test_stages_are_even_and_ordered(num_stages):
  difficulty = np.random.default_rng(0).normal(size=11)
  stages = data.curriculum_stage_ids(difficulty, num_stages=num_stages)
  assert stages.dtype == np.int32 and stages.max() < num_stages
  sizes = np.bincount(stages, minlength=num_stages)
  assert sizes.max() - sizes.min() <= 1
  assert (np.diff(stages[np.argsort(difficulty)]) >= 0).all()


def test_equal_difficulties_keep_their_order():
  stages = data.curriculum_stage_ids(np.zeros(6), num_stages=3)
  np.testing.assert_array_equal(stages, [0, 0, 1, 1, 2, 2])
  assert data.curriculum_stage_ids(np.zeros(0)).shape == (0,)


def test_wide_gaps_are_easy():
  gap = np.array([0.5, 4.0, 2.0])
  stages = data.curriculum_stage_ids(data.difficulty_from_gap(gap))
  np.testing.assert_array_equal(stages, [2, 0, 1])


@pytest.mark.parametrize("order", ["easy_to_hard", "hard_to_easy"])
@pytest.mark.parametrize("shuffle_within", [True, False])
def test_stage_after_stage_each_example_once(order, shuffle_within):
  stages = np.array([2, 0, 1, 0, 2, 0, 0, 5, 1, 0])
  sampler = _sampler(stages, size=2, order=order, shuffle_within=shuffle_within)
  batches = list(sampler)
  assert len(batches) == len(sampler) == 6
  assert all(batch.dtype == np.int32 for batch in batches)
  assert all(len(set(stages[batch])) == 1 for batch in batches)
  seen = np.concatenate(batches)
  np.testing.assert_array_equal(np.sort(seen), np.arange(10))
  steps = np.diff(stages[seen])
  assert (steps >= 0).all() if order == "easy_to_hard" else (steps <= 0).all()
  if not shuffle_within:
    for stage in np.unique(stages):
      inside = seen[stages[seen] == stage]
      assert (np.diff(inside) > 0).all()


def test_random_pools_the_stages():
  stages = np.repeat([0, 1, 2], 20)
  batches = list(_sampler(stages, size=8, order="random"))
  np.testing.assert_array_equal(np.sort(np.concatenate(batches)), np.arange(60))
  assert [len(batch) for batch in batches] == [8] * 7 + [4]
  assert any(len(set(stages[batch])) > 1 for batch in batches)


def test_one_stage_is_a_shuffle_of_everything():
  both = [
    np.concatenate(list(_sampler(np.zeros(30, int), order=order)))
    for order in ("easy_to_hard", "random")
  ]
  for seen in both:
    np.testing.assert_array_equal(np.sort(seen), np.arange(30))
    assert (seen != np.arange(30)).any()


def test_a_key_decides_and_iterating_repeats():
  stages = np.repeat([0, 1], 20)

  def seen(key):
    return np.concatenate(list(_sampler(stages, key=key)))

  np.testing.assert_array_equal(
    seen(jax.random.key(1)), seen(jax.random.key(1))
  )
  assert (seen(1) != seen(2)).any()
  sampler = _sampler(stages)
  np.testing.assert_array_equal(
    np.concatenate(list(sampler)), np.concatenate(list(sampler))
  )


def test_empty_and_errors():
  assert list(_sampler(np.zeros(0, int))) == []
  assert len(_sampler(np.zeros(0, int), order="random")) == 0
  with pytest.raises(errors.DataError, match=r"stage_ids\[1\] is -1"):
    _sampler(np.array([0, -1]))
  with pytest.raises(ValueError, match="order='hard' is not one of"):
    _sampler(np.zeros(3), order="hard")
  with pytest.raises(ValueError, match="batch_size=0"):
    _sampler(np.zeros(3), size=0)
  with pytest.raises(errors.DataError, match=r"difficulty\[1\] is not a num"):
    data.curriculum_stage_ids(np.array([0.0, np.nan]))
  with pytest.raises(ValueError, match="num_stages=0"):
    data.curriculum_stage_ids(np.zeros(2), num_stages=0)
