# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Flipped labels, for studies of noisy preferences."""

import numpy as np

from prefjax.core import checks, prng


def flip_preferences(key, batch_size: int, *, rate: float) -> np.ndarray:
  """Which pairs swap chosen and rejected: independent draws.

  Args:
    key: integer seed, JAX key or NumPy generator.
    batch_size: number of pairs N.
    rate: in [0, 1], probability of a swap.

  Returns:
    bool [N], True where the pair is swapped; none at rate 0, all at rate 1.

  Raises:
    ValueError: rate is out of range.
  """
  checks.in_range("flip_preferences", 0, 1, rate=rate)
  generator = prng.host_generator(key, "flip_preferences")
  # random() is below 1, so rate 1 flips every pair, and never below 0.
  return generator.random(batch_size) < rate
