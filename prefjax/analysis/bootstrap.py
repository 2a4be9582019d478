# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Intervals by resampling: seeded, on the host.

`key` is a JAX key or an integer; the same key gives the same interval.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

Array = Any
# Indices drawn at once, so that large N does not need num * N integers.
_CHUNK = 1 << 22


def _generator(key: Any) -> np.random.Generator:
  if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
    words = [int(key) & ((1 << 64) - 1)]
  else:
    if jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key):
      key = jax.random.key_data(key)
    words = [int(word) for word in np.asarray(key).reshape(-1)]
  return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


def _check(function: str, size: int, num: int, level: float) -> None:
  if size < 1:
    raise ValueError(f"{function}: needs at least one item")
  if num < 1 or not 0 < level < 1:
    raise ValueError(
      f"{function}: num={num} must be 1 or more and level={level} in (0, 1)"
    )


def _percentiles(draws: np.ndarray, level: float) -> tuple[float, float]:
  tail = (1 - level) / 2
  low, high = np.quantile(draws, [tail, 1 - tail])
  return float(low), float(high)


def bootstrap_interval(
  key: Any,
  values: Any,
  *,
  statistic: Callable[[Any], Any],
  num: int = 1000,
  level: float = 0.95,
) -> tuple[float, float]:
  """Percentile interval of any statistic of items.

  Args:
    key: JAX key or integer seed.
    values: array, list of numbers, or pytree of arrays with a shared leading
      axis N; what belongs to one item is resampled together.
    statistic: maps resampled values to a scalar.
    num: number of resamples.
    level: coverage.

  Returns:
    (low, high).

  Raises:
    ValueError: leading axes differ, no item, or num or level out of range.
  """
  if isinstance(values, (list, tuple)) and all(map(np.isscalar, values)):
    values = np.asarray(values)
  values = jax.tree.map(np.asarray, values)
  sizes = {leaf.shape[0] for leaf in jax.tree.leaves(values)}
  if len(sizes) != 1:
    raise ValueError(
      f"bootstrap_interval: leading axes differ: {sorted(sizes)}"
    )
  size = sizes.pop()
  _check("bootstrap_interval", size, num, level)
  rng = _generator(key)
  draws = np.empty(num)
  for i in range(num):
    index = rng.integers(0, size, size)
    draws[i] = float(
      statistic(jax.tree.map(lambda leaf, index=index: leaf[index], values))
    )
  return _percentiles(draws, level)


def _mean_draws(key: Any, values: np.ndarray, num: int) -> np.ndarray:
  """Means of resamples [num] of values [N]."""
  rng = _generator(key)
  size = values.size
  rows = max(1, _CHUNK // size)
  parts = []
  for first in range(0, num, rows):
    index = rng.integers(0, size, (min(rows, num - first), size))
    parts.append(values[index].mean(1))
  return np.concatenate(parts)


def mean_interval(
  key: Any, values: Array, *, num: int = 1000, level: float = 0.95
) -> dict[str, float]:
  """A mean with its percentile interval.

  Args:
    key: JAX key or integer seed.
    values: [N].
    num: number of resamples.
    level: coverage.

  Returns:
    mean, low, high.

  Raises:
    ValueError: no item, or num or level out of range.
  """
  values = np.asarray(values, np.float64).reshape(-1)
  _check("mean_interval", values.size, num, level)
  low, high = _percentiles(_mean_draws(key, values, num), level)
  return {"mean": float(values.mean()), "low": low, "high": high}


def paired_difference(
  key: Any,
  before: Array,
  after: Array,
  *,
  num: int = 1000,
  level: float = 0.95,
) -> dict[str, float]:
  """mean(after - before) over the same items, resampling items.

  Args:
    key: JAX key or integer seed.
    before: [N].
    after: [N] the same items in the same order.
    num: number of resamples.
    level: coverage.

  Returns:
    mean, low, high, and p_value: two-sided, twice the share of resamples on
    the other side of zero (at least 1 / num, at most 1).

  Raises:
    ValueError: lengths differ, no item, or num or level out of range.
  """
  before = np.asarray(before, np.float64).reshape(-1)
  after = np.asarray(after, np.float64).reshape(-1)
  if before.size != after.size:
    raise ValueError(
      f"paired_difference: {before.size} items before but {after.size} after"
    )
  _check("paired_difference", before.size, num, level)
  draws = _mean_draws(key, after - before, num)
  low, high = _percentiles(draws, level)
  tail = min(np.mean(draws <= 0), np.mean(draws >= 0))
  return {
    "mean": float(np.mean(after - before)),
    "low": low,
    "high": high,
    "p_value": float(min(1.0, max(1.0 / num, 2 * tail))),
  }


def win_rate(
  key: Any,
  before: Array,
  after: Array,
  *,
  tie_band: float = 0.0,
  num: int = 1000,
  level: float = 0.95,
) -> dict[str, float]:
  """How often `after` scores higher than `before` on the same prompts.

  Args:
    key: JAX key or integer seed.
    before: [N] scores.
    after: [N] scores.
    tie_band: differences up to this are ties.
    num: number of resamples.
    level: coverage of the interval.

  Returns:
    wins, ties and losses as shares, win_rate = wins + ties / 2 with its
    interval low, high, and count = N.

  Raises:
    ValueError: lengths differ, no item, or num, level or tie_band out of
      range.
  """
  before = np.asarray(before, np.float64).reshape(-1)
  after = np.asarray(after, np.float64).reshape(-1)
  if before.size != after.size:
    raise ValueError(
      f"win_rate: {before.size} scores before but {after.size} after"
    )
  _check("win_rate", before.size, num, level)
  if not tie_band >= 0:
    raise ValueError(f"win_rate: tie_band={tie_band} must be 0 or more")
  gap = after - before
  outcome = np.where(np.abs(gap) <= tie_band, 0.5, (gap > 0).astype(float))
  interval = mean_interval(key, outcome, num=num, level=level)
  return {
    "wins": float(np.mean(outcome == 1)),
    "ties": float(np.mean(outcome == 0.5)),
    "losses": float(np.mean(outcome == 0)),
    "win_rate": interval["mean"],
    "low": interval["low"],
    "high": interval["high"],
    "count": int(outcome.size),
  }
