# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Preference strength, its groups and recipes."""

import numpy as np
import pytest

from prefjax import selection
from prefjax.core import errors


def test_votes_of_an_ensemble():
  rng = np.random.default_rng(0)
  chosen, rejected = rng.normal(size=(2, 4, 7))
  out = selection.preference_strength(chosen, rejected)
  gaps = chosen - rejected
  np.testing.assert_allclose(out["mean"], gaps.mean(0), rtol=1e-6)
  np.testing.assert_allclose(out["std"], gaps.std(0), rtol=1e-6)
  np.testing.assert_allclose(out["agreement"], (gaps > 0).mean(0))
  one = selection.preference_strength(chosen[:1], rejected[:1])
  assert (one["std"] == 0).all()
  # Members of any scale have one vote each.
  scale = np.array([1.0, 10.0, 0.1, 3.0])[:, None]
  votes = [
    selection.preference_strength(c, r, normalize=True)["mean"]
    for c, r in ((chosen, rejected), (scale * chosen, scale * rejected))
  ]
  np.testing.assert_allclose(*votes, rtol=1e-5)
  # A member that sees no difference divides by 1, whatever rounding says.
  flat = np.full((1, 7), 0.1, np.float32)
  same = selection.preference_strength(flat, 0 * flat, normalize=True)
  np.testing.assert_allclose(same["mean"], 0.1, rtol=1e-6)


@pytest.mark.parametrize("number", [1, 7, 10, 25, 50, 1000])
def test_group_sizes_are_exact(number):
  strength = np.random.default_rng(1).normal(size=number)
  groups = selection.strength_groups(strength)
  rank = np.argsort(np.argsort(strength))
  expected = [
    # Tenths in integers, where no rounding can go wrong.
    3
    if 10 * r >= 9 * number
    else 0
    if 10 * r < 2 * number
    else 1
    if 10 * r < 4 * number
    else 2
    for r in rank.tolist()
  ]
  np.testing.assert_array_equal(groups, expected)


def test_thresholds_and_ties():
  groups = selection.strength_groups(
    np.zeros(10), low=0.1, ambiguous=0.3, high=0.6
  )
  np.testing.assert_array_equal(groups, [0, 1, 1, 2, 2, 2, 3, 3, 3, 3])
  # Strong wins where the thresholds overlap.
  groups = selection.strength_groups(np.zeros(4), low=1.0, high=0.5)
  np.testing.assert_array_equal(groups, [0, 0, 3, 3])
  assert selection.strength_groups(np.zeros(0)).shape == (0,)


def test_recipes():
  strength = np.array([-2.0, 1.0, -0.5, 3.0, 0.5])

  def recipe(method, **keywords):
    out = selection.strength_recipe(strength, method=method, **keywords)
    return [out[name].tolist() for name in ("flip", "smoothing", "margin")]

  zero = [0.0] * 5
  flipped = [1, 0, 0, 0, 0]
  soft = [np.float32(0.3), 0, np.float32(0.3), 0, 0]
  assert recipe("flip") == [flipped, zero, zero]
  assert recipe("flip", flip_fraction=0.4) == [[1, 0, 1, 0, 0], zero, zero]
  assert recipe("soft", smoothing=0.3) == [zero, soft, zero]
  assert recipe("margin") == [zero, zero, strength.tolist()]
  assert recipe("flip_margin") == [flipped, zero, [2.0, 1.0, -0.5, 3.0, 0.5]]
  assert recipe("soft_margin", smoothing=0.3) == [zero, soft, strength.tolist()]


@pytest.mark.parametrize("number", [5, 10, 15, 35, 55, 1000])
def test_a_fifth_is_a_fifth(number):
  flip = selection.strength_recipe(np.arange(number), method="flip")["flip"]
  assert flip.sum() == number // 5


def test_errors():
  with pytest.raises(errors.DataError, match=r"strength\[1\] is not a number"):
    selection.strength_groups(np.array([0.0, np.nan]))
  with pytest.raises(ValueError, match=r"strength_groups: high=1.5 is outside"):
    selection.strength_groups(np.zeros(2), high=1.5)
  with pytest.raises(ValueError, match="method='drop' is not one of"):
    selection.strength_recipe(np.zeros(2), method="drop")
  with pytest.raises(ValueError, match="flip_fraction=2"):
    selection.strength_recipe(np.zeros(2), flip_fraction=2)
  with pytest.raises(errors.DataError, match="holds no model"):
    selection.preference_strength(np.zeros((0, 3)), np.zeros((0, 3)))
