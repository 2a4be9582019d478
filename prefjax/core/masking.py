# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reductions over the entries that a mask keeps.

Masked-out entries may hold anything, NaN included: they are replaced before
the arithmetic, so neither the value nor the gradient can see them. An
empty selection has a fixed answer, given with each function.
"""

import jax
import jax.numpy as jnp


def replace(values, mask, fill=0.0) -> jax.Array:
  """Values where the mask keeps them, `fill` elsewhere."""
  return jnp.where(jnp.asarray(mask, bool), values, fill)


def masked_sum(values, mask, axis=None, keepdims: bool = False):
  """Sum of the kept entries; 0 for none."""
  return jnp.sum(replace(values, mask), axis=axis, keepdims=keepdims)


def count(mask, axis=None, keepdims: bool = False):
  """Number of kept entries, float32."""
  return jnp.sum(
    jnp.asarray(mask, bool).astype(jnp.float32), axis=axis, keepdims=keepdims
  )


def masked_mean(values, mask, axis=None, keepdims: bool = False):
  """Mean of the kept entries; 0 for none."""
  total = masked_sum(values, mask, axis, keepdims)
  dtype = jnp.float64 if total.dtype == jnp.float64 else jnp.float32
  n = jnp.maximum(count(mask, axis, keepdims), 1)
  return total.astype(dtype) / n.astype(dtype)


def masked_max(values, mask, axis=None, keepdims: bool = False, empty=0.0):
  """Largest kept entry; `empty` for none."""
  best = jnp.max(replace(values, mask, -jnp.inf), axis=axis, keepdims=keepdims)
  return jnp.where(count(mask, axis, keepdims) > 0, best, empty)


def masked_min(values, mask, axis=None, keepdims: bool = False, empty=0.0):
  """Smallest kept entry; `empty` for none."""
  return -masked_max(-jnp.asarray(values), mask, axis, keepdims, -empty)


def masked_std(values, mask, axis=None, keepdims: bool = False, ddof: int = 0):
  """Standard deviation of the kept entries with divisor n - ddof.

  Exactly 0, with zero gradient, when the kept entries are all equal or fewer
  than ddof + 1: equal float32 values need not give a zero sum of squares.
  """
  mean = masked_mean(values, mask, axis, True)
  n = count(mask, axis, True).astype(mean.dtype)
  square = masked_sum((values - mean) ** 2, mask, axis, True)
  spread = masked_max(values, mask, axis, True) - masked_min(
    values, mask, axis, True
  )
  is_flat = (spread == 0) | (n <= ddof)
  variance = jnp.where(is_flat, 1.0, square / jnp.maximum(n - ddof, 1))
  std = jnp.where(is_flat, 0.0, jnp.sqrt(variance))
  if keepdims:
    return std
  return jnp.sum(std, axis=axis) if axis is None else jnp.squeeze(std, axis)


def masked_logsumexp(values, mask, axis=-1, keepdims: bool = False):
  """log sum exp over the kept entries; -inf for none."""
  kept = jnp.asarray(mask, bool)
  return jax.nn.logsumexp(
    replace(values, kept),
    axis=axis,
    b=kept.astype(jnp.float32),
    keepdims=keepdims,
  )


def masked_softmax(values, mask, axis=-1):
  """Softmax over the kept entries; all zeros for none."""
  kept = jnp.asarray(mask, bool)
  shifted = replace(values, kept, -jnp.inf)
  top = jax.lax.stop_gradient(masked_max(values, kept, axis, True))
  weight = jnp.where(kept, jnp.exp(jnp.where(kept, shifted - top, 0.0)), 0.0)
  total = jnp.sum(weight, axis=axis, keepdims=True)
  return weight / jnp.where(total == 0, 1.0, total)
