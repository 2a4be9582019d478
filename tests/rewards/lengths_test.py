# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Rewards that depend on length."""

import numpy as np
import pytest

from prefjax import rewards


def test_the_penalty_sets_in_softly_and_ends():
  lengths = np.array([0, 60, 61, 80, 100, 101, 10_000])
  np.testing.assert_allclose(
    rewards.overlong_penalty(lengths, max_length=100, cache=40),
    [0, 0, -1 / 40, -0.5, -1, -1, -1],
    rtol=1e-6,
  )


def test_errors():
  with pytest.raises(ValueError, match="overlong_penalty: cache=0"):
    rewards.overlong_penalty([1], cache=0)
  with pytest.raises(ValueError, match="at most max_length=10"):
    rewards.overlong_penalty([1], max_length=10, cache=11)
