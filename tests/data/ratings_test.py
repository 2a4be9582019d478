# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Aspect ratings to pairs."""

import numpy as np
import pytest

from prefjax import data
from prefjax.core import errors


def _group(seed=0, rows=40, k=4):
  rng = np.random.default_rng(seed)
  scores = rng.integers(5, size=(rows, k)) / 2
  mask = rng.random((rows, k)) < 0.75
  return np.where(mask, scores, np.nan), mask


def test_means_over_rated_aspects():
  ratings = np.array([[[4.0, 2.0, np.nan], [np.nan] * 3]])
  mask = np.array([[[1, 1, 0], [0, 0, 0]]])
  out = data.aspect_mean(ratings, mask)
  np.testing.assert_array_equal(out["score"], [[3, 0]])
  np.testing.assert_array_equal(out["valid"], [[1, 0]])
  out = data.aspect_mean(ratings, mask, weights=(3, 1, 9))
  np.testing.assert_array_equal(out["score"], [[3.5, 0]])
  out = data.aspect_mean(ratings, mask, weights=(0, 0, 9))
  np.testing.assert_array_equal(out["valid"], [[0, 0]])
  with pytest.raises(ValueError, match="expected 3 numbers of 0 or more"):
    data.aspect_mean(ratings, mask, weights=(1, 1))


def test_a_ten_that_the_aspects_contradict():
  out = data.repair_overall([10, 10, 10, 10, 9], [2.0, 2.1, 4.0, 4.1, 1.0])
  np.testing.assert_array_equal(out["score"], [1, 10, 10, 10, 9])
  np.testing.assert_array_equal(out["reannotate"], [0, 1, 1, 0, 0])


def test_best_and_worst_by_loops():
  scores, mask = _group()
  out = data.best_worst(scores, mask)
  for row in range(len(scores)):
    kept = np.flatnonzero(mask[row])
    if not kept.size:
      expected = (0, 0, 0.0)
    else:
      values = scores[row, kept]
      expected = (
        kept[values.argmax()],
        kept[values.argmin()],
        values.max() - values.min(),
      )
    actual = (out["chosen"][row], out["rejected"][row], out["gap"][row])
    assert actual == expected and out["valid"][row] == (expected[2] > 0)


def test_all_pairs_by_loops():
  scores, mask = _group(1)
  out = data.all_pairs(scores, mask, min_gap=0.5)
  for row in range(len(scores)):
    column = 0
    for i in range(4):
      for j in range(i + 1, 4):
        a, b = scores[row, i], scores[row, j]
        valid = bool(mask[row, i] and mask[row, j] and abs(a - b) > 0.5)
        assert out["valid"][row, column] == valid
        assert out["gap"][row, column] == (abs(a - b) if valid else 0)
        pair = (j, i) if b > a else (i, j)
        assert pair == (
          out["chosen"][row, column],
          out["rejected"][row, column],
        )
        column += 1


def test_all_pairs_of_permuted_responses():
  scores = np.random.default_rng(2).permutation(24).reshape(4, 6).astype(float)
  order = np.random.default_rng(3).permutation(6)

  def named(scores, names):
    out = data.all_pairs(scores)
    pairs = zip(out["chosen"], out["rejected"], strict=True)
    return [
      {(names[a], names[b]) for a, b in zip(*p, strict=True)} for p in pairs
    ]

  assert named(scores, np.arange(6)) == named(scores[:, order], order)


def test_best_and_random():
  scores, mask = _group(4, rows=8)
  draws = [data.best_random(key, scores, mask) for key in range(40)]
  best = data.best_worst(scores, mask)
  for row in range(8):
    chosen = {int(d["chosen"][row]) for d in draws}
    assert chosen == {int(best["chosen"][row])}
    kept = set(np.flatnonzero(mask[row])) - chosen
    seen = {int(d["rejected"][row]) for d in draws}
    assert seen == (kept or {0})
    for d in draws:
      if kept:
        gap = scores[row, d["chosen"][row]] - scores[row, d["rejected"][row]]
        assert d["gap"][row] == gap and d["valid"][row] == (gap > 0)
      else:
        assert d["valid"][row] == 0


def test_max_against_random():
  scores, mask = _group(5, rows=12)
  lengths = np.random.default_rng(6).permutation(48).reshape(12, 4)
  for share in (0.0, 1.0):
    seen = [set() for _ in range(12)]
    for key in range(60):
      out = data.max_vs_random_pairs(
        key, scores, lengths, mask, exclude_longest_prob=share
      )
      for row in range(12):
        if out["valid"][row]:
          seen[row].add(int(out["rejected"][row]))
    for row in range(12):
      kept = scores[row][mask[row]]
      lower = [
        i for i in np.flatnonzero(mask[row]) if scores[row, i] < kept.max()
      ]
      if share and len(lower) > 1:
        lower.remove(max(lower, key=lambda i: lengths[row, i]))
      assert seen[row] == set(lower)


def test_models_and_principles():
  models = data.sample_models(0, 500, num_models=7, k=4)
  assert all(len(set(row)) == 4 for row in models.tolist())
  counts = np.bincount(models.ravel(), minlength=7)
  assert np.abs(counts - 2000 / 7).max() < 5 * np.sqrt(500 * 4 / 7 * 3 / 7)
  drawn = data.sample_principles(0, ["sharegpt"] * 5000)
  shares = np.bincount(drawn, minlength=4) / 5000
  np.testing.assert_allclose(shares, [0.6, 0.2, 0.18, 0.02], atol=0.035)
  names = [
    data.PRINCIPLES[i]
    for i in data.sample_principles(1, ["evol_instruct", "truthful_qa"] * 50)
  ]
  assert names == ["helpful", "truthful"] * 50
  with pytest.raises(errors.DataError, match="did you mean 'flan'"):
    data.sample_principles(0, ["flam"])
  with pytest.raises(ValueError, match="sample_models: k=8"):
    data.sample_models(0, 3, num_models=7, k=8)


def test_no_response_at_all():
  scores = np.zeros((2, 0))
  for found in (
    data.best_worst(scores),
    data.best_random(0, scores),
    data.max_vs_random_pairs(0, scores, scores),
  ):
    for values in found.values():
      np.testing.assert_array_equal(values, [0, 0])
