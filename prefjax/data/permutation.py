# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A keyed permutation of 0..n-1 that needs no memory.

A balanced Feistel network over the next even power of two, walked until the
value lies below n (Black and Rogaway, "Ciphers with arbitrary finite
domains", CT-RSA 2002). Any position of any epoch costs the same, so a run
resumes at step one million as fast as at step one, and the order depends on
integer arithmetic only, never on the version of a random number generator.
"""

import numpy as np

_ROUNDS = 8
_MASK = (1 << 64) - 1


def mix(value: int) -> int:
  """SplitMix64's finaliser on a Python integer (Steele et al., 2014)."""
  value = (value + 0x9E3779B97F4A7C15) & _MASK
  value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
  value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
  return value ^ (value >> 31)


def _mix_array(value: np.ndarray) -> np.ndarray:
  """`mix` on uint64 arrays; wrapping is meant."""
  with np.errstate(over="ignore"):
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def key(*parts: int) -> int:
  """A 64-bit key from integers such as (seed, epoch)."""
  out = 0
  for part in parts:
    out = mix(out ^ mix(part & _MASK))
  return out


class Permutation:
  """A bijection of 0..n-1 chosen by a key.

  Args:
    n: size of the domain, 1 or more.
    key: 64 bits; see `key`.
  """

  def __init__(self, n: int, key: int):
    if n < 1:
      raise ValueError(f"Permutation: n={n} must be 1 or more")
    self._n = n
    bits = max(2, (n - 1).bit_length())
    self._half = np.uint64((bits + 1) // 2)
    self._low = np.uint64((1 << int(self._half)) - 1)
    self._keys = [np.uint64(mix(key ^ mix(r + 1))) for r in range(_ROUNDS)]

  def _once(self, value: np.ndarray) -> np.ndarray:
    left, right = value >> self._half, value & self._low
    for round_key in self._keys:
      left, right = right, left ^ (_mix_array(right ^ round_key) & self._low)
    return (left << self._half) | right

  def __call__(self, positions) -> np.ndarray:
    """int64, like `positions`: where each position goes.

    Raises:
      ValueError: a position is outside 0..n-1.
    """
    value = np.asarray(positions)
    if value.size and (value.min() < 0 or value.max() >= self._n):
      raise ValueError(f"Permutation: a position is outside 0..{self._n - 1}")
    shape = value.shape
    value = self._once(value.astype(np.uint64).reshape(-1))
    outside = value >= np.uint64(self._n)
    while outside.any():
      value[outside] = self._once(value[outside])
      outside = value >= np.uint64(self._n)
    return value.astype(np.int64).reshape(shape)
