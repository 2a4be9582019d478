# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Random pairs of items: distribution and errors."""

import numpy as np
import pytest

from prefjax import data
from prefjax.core import errors


def test_no_item_meets_itself_and_all_come_alike():
  pairs = data.joint_pairs(0, 10, 20_000)
  assert pairs.shape == (20_000, 2) and pairs.dtype == np.int32
  assert (pairs[:, 0] != pairs[:, 1]).all()
  # Each ordered pair with probability 1 / 90, within 5 sigma.
  counts = np.zeros((10, 10))
  np.add.at(counts, tuple(pairs.T), 1)
  off = counts[~np.eye(10, dtype=bool)]
  sigma = np.sqrt(20_000 / 90)
  assert np.abs(off - 20_000 / 90).max() < 5 * sigma
  # Each item 2 * 20,000 / 10 times on average, within 5 sigma.
  appearances = np.bincount(pairs.ravel(), minlength=10)
  assert np.abs(appearances - 4000).max() < 5 * np.sqrt(20_000 * 2 * 0.09)


def test_prompts_differ_and_every_partner_is_possible():
  prompts = np.array(["b", "a", "b", "c", "a", "b"])
  pairs = data.joint_pairs(1, 6, 2000, prompt_ids=prompts)
  assert (prompts[pairs[:, 0]] != prompts[pairs[:, 1]]).all()
  possible = {(i, j) for i in range(6) for j in range(6)}
  possible = {(i, j) for i, j in possible if prompts[i] != prompts[j]}
  assert set(map(tuple, pairs.tolist())) == possible
  first = np.bincount(pairs[:, 0], minlength=6)
  assert np.abs(first - 2000 / 6).max() < 5 * np.sqrt(2000 * 5 / 36)


def test_one_key_one_draw():
  pairs = [data.joint_pairs(key, 5, 30) for key in (3, 3, 4)]
  np.testing.assert_array_equal(pairs[0], pairs[1])
  assert (pairs[0] != pairs[2]).any()


def test_errors():
  assert data.joint_pairs(0, 0, 0).shape == (0, 2)
  for number in (0, 1):
    with pytest.raises(errors.DataError, match="cannot be paired"):
      data.joint_pairs(0, number, 3)
  with pytest.raises(errors.DataError, match="4 items of 1 prompts"):
    data.joint_pairs(0, 4, 3, prompt_ids=["x"] * 4)
  with pytest.raises(errors.DataError, match=r"shape \(3,\), expected \(4,\)"):
    data.joint_pairs(0, 4, 3, prompt_ids=[1, 2, 3])
