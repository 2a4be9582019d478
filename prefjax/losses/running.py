# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Running statistics that some losses carry from step to step.

They are trainer state: checkpoint them, and on several devices update them
from the whole batch.
"""

import jax
import jax.numpy as jnp

from prefjax.core import checks, masking, numerics


def running_mean_update(mean, count, values, mask) -> dict[str, jax.Array]:
  """Exact mean of all values seen so far; not a loss.

    count' = count + n, mean' = mean + n (mean(values) - mean) / count'

  Args:
    mean: [] float, mean so far.
    count: [] float, number of values so far.
    values: any shape, new values.
    mask: the same shape, which values count; others may hold anything.

  Returns:
    {"mean": [] float32, "count": [] float32}, without gradient.

  Raises:
    ValueError: shapes differ.

  Limits:
    An all-masked update changes nothing. Order and split of the values do
    not matter beyond rounding.

  Reference:
    Jung et al., "Binary Classifier Optimization for Large Language Model
    Alignment", arXiv:2404.04656 (reward shift).
  """
  checks.same_shape("running_mean_update", values=values, mask=mask)
  mean, count, values = numerics.to_float32(mean, count, values)
  new = masking.count(mask)
  total = count + new
  shift = masking.masked_mean(values, mask) - mean
  mean = mean + shift * numerics.safe_divide(new, total)
  return jax.lax.stop_gradient({"mean": mean, "count": total})


def ema_moments(
  mean, std, values, *, decay=0.9, mask=None
) -> dict[str, jax.Array]:
  """Moving averages of a batch's mean and standard deviation; not a loss.

    mean' = decay mean + (1 - decay) mean(values)
    std'  = decay std  + (1 - decay) std(values)      divisor n - 1

  Args:
    mean: [] float, moving mean.
    std: [] float, moving standard deviation.
    values: [B], new values.
    decay: in [0, 1].
    mask: [B] or None, which values count; others may hold anything.

  Returns:
    {"mean": [] float32, "std": [] float32}, without gradient. Nothing
    counted leaves both; a single value says nothing of a spread and leaves
    the standard deviation.

  Raises:
    ValueError: shapes differ or decay is out of range.

  Limits:
    decay=1 changes nothing, decay=0 gives the batch's own moments.

  Reference:
    Wu et al., "beta-DPO: Direct Preference Optimization with Dynamic beta",
    arXiv:2407.08639.
  """
  checks.in_range("ema_moments", 0, 1, decay=decay)
  mean, std, values = numerics.to_float32(mean, std, values)
  mask = jnp.ones(values.shape, bool) if mask is None else mask
  checks.same_shape("ema_moments", values=values, mask=mask)
  values = masking.replace(values, mask)
  n = masking.count(mask)
  new_mean = jnp.where(n > 0, masking.masked_mean(values, mask), mean)
  new_std = jnp.where(n > 1, masking.masked_std(values, mask, ddof=1), std)
  return jax.lax.stop_gradient(
    {
      "mean": decay * mean + (1 - decay) * new_mean,
      "std": decay * std + (1 - decay) * new_std,
    }
  )
