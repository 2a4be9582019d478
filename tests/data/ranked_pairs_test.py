# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Pairs from scores, levels and correctness, against plain loops."""

import numpy as np
import pytest

from prefjax import data
from prefjax.core import errors


def _groups(seed, rows=40, k=5, levels=5):
  rng = np.random.default_rng(seed)
  scores = rng.integers(levels, size=(rows, k)) / 2.0
  return scores.astype(np.float32), rng.random((rows, k)) < 0.7


def _filled(pairs, width):
  columns = [list(column) for column in zip(*pairs, strict=True)]
  columns = columns or [[], []]
  return [c + [-1] * (width - len(c)) for c in columns]


def _ranked_by_loops(scores, mask, scheme, min_gap):
  """The rules of `make_ranked_pairs` for one prompt, one after the other."""
  order = [i for i in range(len(scores)) if mask[i]]
  order.sort(key=lambda i: (-scores[i], i))
  found = []
  for i in range(len(order)):
    for j in range(i + 1, len(order)):
      gap = scores[order[i]] - scores[order[j]]
      if gap > min_gap and (i == 0 or scheme == "all"):
        found.append((-gap, i, -j))
  return [(order[i], order[-j]) for _, i, j in sorted(found)]


@pytest.mark.parametrize("scheme", ["best_vs_rest", "all"])
@pytest.mark.parametrize("min_gap", [0.0, 0.5])
def test_ranked_pairs_follow_the_rules(scheme, min_gap):
  scores, mask = _groups(0)
  out = data.make_ranked_pairs(scores, mask, scheme=scheme, min_gap=min_gap)
  width = 4 if scheme == "best_vs_rest" else 10
  for name in ("chosen_idx", "rejected_idx", "valid"):
    assert out[name].shape == (40, width) and out[name].dtype == np.int32
  assert out["gap"].dtype == np.float32
  for row in range(40):
    pairs = _ranked_by_loops(scores[row], mask[row], scheme, min_gap)
    chosen, rejected = _filled(pairs, width)
    np.testing.assert_array_equal(out["chosen_idx"][row], chosen)
    np.testing.assert_array_equal(out["rejected_idx"][row], rejected)
    assert out["valid"][row].sum() == len(pairs)
    gaps = [scores[row, a] - scores[row, b] for a, b in pairs]
    np.testing.assert_allclose(out["gap"][row, : len(pairs)], gaps)
    assert (out["gap"][row, len(pairs) :] == 0).all()


@pytest.mark.parametrize("scheme", ["best_vs_rest", "all"])
def test_missing_responses_may_hold_anything(scheme):
  scores, mask = _groups(1)
  holes = np.where(mask, scores, np.nan)
  expected = data.make_ranked_pairs(scores, mask, scheme=scheme)
  for hole in (holes, np.where(mask, scores, np.inf)):
    actual = data.make_ranked_pairs(hole, mask, scheme=scheme)
    for name, value in expected.items():
      np.testing.assert_array_equal(actual[name], value, err_msg=name)


def test_small_groups_and_the_same_pair_twice():
  one = data.make_ranked_pairs(np.ones((2, 1)), np.ones((2, 1)), scheme="all")
  assert one["chosen_idx"].shape == (2, 0)
  none = data.make_ranked_pairs(np.ones((2, 0)), np.ones((2, 0)))
  assert none["valid"].shape == (2, 0)
  scores, mask = _groups(2)
  out = data.make_ranked_pairs(scores, mask, scheme="all")
  for row in range(len(scores)):
    kept = out["valid"][row] == 1
    pairs = set(
      zip(
        out["chosen_idx"][row][kept],
        out["rejected_idx"][row][kept],
        strict=True,
      )
    )
    assert len(pairs) == kept.sum()


@pytest.mark.parametrize("max_pairs", [0, 3, 30])
def test_reasoning_pairs_cycle(max_pairs):
  _, mask = _groups(3)
  correct = np.random.default_rng(4).random(mask.shape) < 0.4
  out = data.reasoning_pairs(correct, mask, max_pairs=max_pairs)
  for row in range(len(mask)):
    right = np.flatnonzero(correct[row] & mask[row])
    wrong = np.flatnonzero(~correct[row] & mask[row])
    number = min(max_pairs, max(len(right), len(wrong)))
    if not len(right) or not len(wrong):
      number = 0
    pairs = [
      (right[p % len(right)], wrong[p % len(wrong)]) for p in range(number)
    ]
    chosen, rejected = _filled(pairs, max_pairs)
    np.testing.assert_array_equal(out["chosen_idx"][row], chosen)
    np.testing.assert_array_equal(out["rejected_idx"][row], rejected)
    assert out["valid"][row].sum() == number


@pytest.mark.parametrize("max_pairs", [0, 3, 30])
def test_level_pairs_by_gap_then_index(max_pairs):
  levels, mask = _groups(5, levels=3)
  out = data.preference_level_pairs(levels, mask, max_pairs=max_pairs)
  for row in range(len(mask)):
    pairs = sorted(
      (levels[row, j] - levels[row, i], i, j)
      for i in range(5)
      for j in range(5)
      if mask[row, i] and mask[row, j] and levels[row, i] > levels[row, j]
    )
    pairs = [(i, j) for _, i, j in pairs[:max_pairs]]
    chosen, rejected = _filled(pairs, max_pairs)
    np.testing.assert_array_equal(out["chosen_idx"][row], chosen)
    np.testing.assert_array_equal(out["rejected_idx"][row], rejected)


def test_no_responses_at_all():
  empty = np.zeros((2, 0))
  for build in (data.reasoning_pairs, data.preference_level_pairs):
    out = build(empty, empty, max_pairs=2)
    assert (out["chosen_idx"] == -1).all() and (out["valid"] == 0).all()


def test_errors():
  scores, mask = _groups(6)
  scores[3] = np.nan
  mask[3] = True
  with pytest.raises(errors.DataError, match="scores is not a number in row 3"):
    data.make_ranked_pairs(scores, mask)
  with pytest.raises(ValueError, match="scheme='best' is not one of"):
    data.make_ranked_pairs(scores, mask, scheme="best")
  with pytest.raises(ValueError, match=r"mask has shape \(40, 4\)"):
    data.make_ranked_pairs(scores, mask[:, :4])
  with pytest.raises(ValueError, match="max_pairs=-1"):
    data.reasoning_pairs(mask, mask, max_pairs=-1)


def test_a_score_of_minus_infinity_is_above_a_missing_one():
  found = data.make_ranked_pairs([[0, -np.inf, 1]], [[0, 1, 1]], scheme="all")
  np.testing.assert_array_equal(found["chosen_idx"], [[2, -1, -1]])
  np.testing.assert_array_equal(found["rejected_idx"], [[1, -1, -1]])
  np.testing.assert_array_equal(found["valid"], [[1, 0, 0]])
