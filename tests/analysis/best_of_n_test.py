# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Best of n and pass at k, against enumeration."""

import itertools
import math

import numpy as np
import pytest

from prefjax import analysis


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_expected_best_by_enumeration(n):
  scores = np.random.default_rng(0).normal(size=(3, 5))
  expected = [
    np.mean([max(chosen) for chosen in itertools.combinations(row, n)])
    for row in scores
  ]
  np.testing.assert_allclose(
    analysis.best_of_n_expected(scores, n=n), expected, rtol=1e-6
  )


def test_many_samples():
  scores = np.random.default_rng(1).normal(size=(1, 3000))
  value = analysis.best_of_n_expected(scores, n=1500)
  assert np.isfinite(value).all() and value < scores.max()


@pytest.mark.parametrize("k", [1, 2, 4])
def test_pass_at_k_by_enumeration(k):
  correct, expected = [0, 1, 2, 5], []
  for right in correct:
    draws = itertools.combinations([1] * right + [0] * (5 - right), k)
    expected.append(np.mean([any(draw) for draw in draws]))
  np.testing.assert_allclose(
    analysis.pass_at_k(correct, [5] * 4, k=k), expected, rtol=1e-6
  )


def test_ends():
  out = analysis.pass_at_k([[1, 3]], [[2, 3]], k=3)
  assert out.shape == (1, 2) and math.isnan(out[0, 0]) and out[0, 1] == 1
  np.testing.assert_allclose(
    analysis.best_of_n_kl([1, 2]), [0, math.log(2) - 0.5]
  )
  assert 0 < analysis.pass_at_k([1], [10_000], k=5_000)[0] < 1


def test_errors():
  with pytest.raises(ValueError, match="best_of_n_expected: n=6"):
    analysis.best_of_n_expected(np.ones((2, 5)), n=6)
  with pytest.raises(ValueError, match="best_of_n_kl: n=0"):
    analysis.best_of_n_kl([0, 2])
  with pytest.raises(ValueError, match="pass_at_k: correct=3 is outside 0..2"):
    analysis.pass_at_k([3], [2], k=1)
