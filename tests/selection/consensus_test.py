# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Consensus of annotators."""

import itertools

import numpy as np
import pytest

from prefjax import selection


def test_those_who_agree_most():
  rng = np.random.default_rng(0)
  ratings = rng.integers(5, size=(60, 5))
  mask = rng.random((60, 5)) < 0.7
  out = selection.consensus_ratings(ratings, mask, keep=2, max_range=1)
  for row in range(60):
    values = ratings[row, mask[row]]
    if len(values) < 2:
      assert (out["mean"][row], out["valid"][row]) == (0, 0)
      continue
    spread = min(
      abs(int(a) - int(b)) for a, b in itertools.combinations(values, 2)
    )
    first = next(
      (a, b)
      for a, b in itertools.combinations(values, 2)
      if abs(int(a) - int(b)) == spread
    )
    assert out["mean"][row] == sum(first) / 2
    assert out["valid"][row] == (spread <= 1)


def test_halves_round_up():
  out = selection.consensus_ratings([[2, 3]], [[1, 1]], keep=2)
  assert out["rounded"][0] == 3
  wide = selection.consensus_ratings([[0, 2, 4]], [[1, 1, 1]])
  assert wide["valid"][0] == 0
  wider = selection.consensus_ratings([[0, 2, 4]], [[1, 1, 1]], max_range=4)
  assert wider["valid"][0] == 1


def test_errors():
  with pytest.raises(ValueError, match="consensus_ratings: keep=0"):
    selection.consensus_ratings([[1]], [[1]], keep=0)
