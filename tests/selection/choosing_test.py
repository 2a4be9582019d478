# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Best of n and rejection sampling."""

import numpy as np
import pytest

from prefjax import selection

SCORES = np.array(
  [[1.0, 3.0, 3.0, 2.0], [np.nan, 5.0, np.nan, 5.0], [9.0] * 4, [-np.inf] * 4]
)
MASK = np.array([[1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0], [0, 1, 1, 0]])


def test_the_best_response():
  best = selection.best_of_n(SCORES, MASK)
  np.testing.assert_array_equal(best, [1, 1, -1, 1])
  assert best.dtype == np.int32
  np.testing.assert_array_equal(selection.best_of_n(SCORES[:1]), [1])
  np.testing.assert_array_equal(selection.best_of_n(np.ones((2, 0))), [-1, -1])


@pytest.mark.parametrize(
  ("top_k", "expected"),
  [
    (0, [[0, 0, 0, 0], [0, 0, 0, 0]]),
    (1, [[0, 1, 0, 0], [0, 1, 0, 0]]),
    (3, [[0, 1, 1, 1], [0, 1, 0, 1]]),
    (9, [[1, 1, 1, 1], [0, 1, 0, 1]]),
  ],
)
def test_the_best_few(top_k, expected):
  out = selection.rejection_select(SCORES, MASK, top_k=top_k)
  np.testing.assert_array_equal(out[:2], expected)
  np.testing.assert_array_equal(out[2], 0)


def test_good_enough():
  out = selection.rejection_select(SCORES, MASK, top_k=4, min_score=2.0)
  np.testing.assert_array_equal(
    out, [[0, 1, 1, 1], [0, 1, 0, 1], [0] * 4, [0] * 4]
  )


def test_errors():
  with pytest.raises(ValueError, match="rejection_select: top_k=-1"):
    selection.rejection_select(SCORES, top_k=-1)
  with pytest.raises(ValueError, match=r"best_of_n: mask has shape"):
    selection.best_of_n(SCORES, MASK[:, :2])
