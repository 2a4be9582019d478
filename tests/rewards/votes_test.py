# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Verdicts in both orders."""

import numpy as np
import pytest

from prefjax import rewards


def test_all_cases():
  forward = np.repeat([-1, 0, 1], 3)
  swapped = np.tile([-1, 0, 1], 3)
  np.testing.assert_array_equal(
    rewards.debias_order_votes(forward, swapped),
    [-1, -1, -1, -1, 2, 0, -1, 1, 2],
  )


def test_anything_else_is_unreadable():
  np.testing.assert_array_equal(
    rewards.debias_order_votes([2, 0], [1, 3]), [-1, -1]
  )
  assert rewards.debias_order_votes([0], [1]).dtype == np.int32
  with pytest.raises(ValueError, match=r"swapped_choice has shape \(1,\)"):
    rewards.debias_order_votes([0, 1], [0])
