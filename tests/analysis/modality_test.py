# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reliance on a part of the input."""

import numpy as np
import pytest

from prefjax import analysis


def test_mean_over_the_tokens_that_count():
  full = np.array([[-1.0, -2.0, np.nan], [-1.0, -1.0, -1.0], [0, 0, 0]])
  blind = np.array([[-2.0, -5.0, 0.0], [-1.0, -1.0, -1.0], [1, 1, 1]])
  mask = np.array([[1, 1, 0], [1, 1, 1], [0, 0, 0]])
  out = analysis.modality_reliance(full, blind, mask)
  np.testing.assert_allclose(out, [2.0, 0.0, 0.0])
  assert out.dtype == np.float32
  with pytest.raises(ValueError, match=r"mask has shape \(3, 2\)"):
    analysis.modality_reliance(full, blind, mask[:, :2])
