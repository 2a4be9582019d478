# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Kappa, pair accuracy and gap correlation."""

import numpy as np
import pytest

from prefjax import analysis


@pytest.mark.parametrize("weights", ["quadratic", "linear", "none"])
def test_kappa_ends(weights):
  rng = np.random.default_rng(0)
  a, b = rng.integers(5, size=(2, 4000))
  kappa = analysis.weighted_kappa
  assert kappa(a, a, weights=weights) == 1
  assert abs(kappa(a, b, weights=weights)) < 0.05
  assert kappa(a, b, weights=weights) == pytest.approx(
    kappa(b, a, weights=weights)
  )
  same = np.full(5, 3)
  assert kappa(same, same, weights=weights) == 1
  assert kappa([], [], weights=weights) == 1


def test_distance_counts():
  a, near, far = [0, 1, 2, 3], [1, 0, 3, 2], [3, 2, 1, 0]
  for weights in ("quadratic", "linear"):
    kappa = [
      analysis.weighted_kappa(a, b, num_levels=4, weights=weights)
      for b in (near, far)
    ]
    assert kappa[0] > kappa[1]
  # All disagree: chance agreement is 1/4.
  assert analysis.weighted_kappa(
    a, near, num_levels=4, weights="none"
  ) == pytest.approx(1 - 1 / 0.75)


def test_pair_accuracy():
  chosen, rejected = [1.0, 2.0, 3.0, np.nan], [0.0, 2.0, 4.0, 1.0]
  assert analysis.pair_accuracy(chosen[:3], rejected[:3]) == 0.5
  mask = [1, 1, 0, 0]
  assert analysis.pair_accuracy(chosen, rejected, mask) == 0.75
  assert analysis.pair_accuracy(chosen, rejected, [0] * 4) == 0


def test_gap_correlation():
  out = analysis.gap_correlation([1, 2, 3, 4], [1, 4, 9, 16])
  assert out["spearman"] == pytest.approx(1) and out["pearson"] < 1
  level = analysis.gap_correlation([1, 1, 1], [1, 2, 3])
  assert level == {"pearson": 0.0, "spearman": 0.0}


def test_errors():
  with pytest.raises(ValueError, match="b holds ratings outside 0..4"):
    analysis.weighted_kappa([0], [5])
  with pytest.raises(ValueError, match="weights='cubic' is not one of"):
    analysis.weighted_kappa([0], [0], weights="cubic")
  with pytest.raises(ValueError, match="rejected_rewards has shape"):
    analysis.pair_accuracy([1.0], [1.0, 2.0])
