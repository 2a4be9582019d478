# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Flipped labels: rates, keys, errors."""

import jax
import numpy as np
import pytest

from prefjax import data


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5])
def test_the_rate_is_met(rate):
  flips = data.flip_preferences(jax.random.key(0), 10_000, rate=rate)
  assert flips.shape == (10_000,) and flips.dtype == bool
  assert abs(flips.mean() - rate) < 0.015


def test_the_ends_are_exact():
  assert not data.flip_preferences(0, 10_000, rate=0).any()
  assert data.flip_preferences(0, 10_000, rate=1).all()


def test_one_key_one_mask():
  first = data.flip_preferences(jax.random.key(3), 100, rate=0.5)
  again = data.flip_preferences(jax.random.key(3), 100, rate=0.5)
  old = data.flip_preferences(jax.random.PRNGKey(3), 100, rate=0.5)
  other = data.flip_preferences(jax.random.key(4), 100, rate=0.5)
  np.testing.assert_array_equal(first, again)
  np.testing.assert_array_equal(first, old)
  assert (first != other).any()
  np.testing.assert_array_equal(
    data.flip_preferences(3, 100, rate=0.5),
    data.flip_preferences(3, 100, rate=0.5),
  )
  generator = np.random.default_rng(0)
  one = data.flip_preferences(generator, 100, rate=0.5)
  two = data.flip_preferences(generator, 100, rate=0.5)
  assert (one != two).any()


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_rates_out_of_range(rate):
  with pytest.raises(ValueError, match=f"flip_preferences: rate={rate}"):
    data.flip_preferences(0, 4, rate=rate)
