# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Stable forms of the expressions that losses are made of."""

import math

import jax
import jax.numpy as jnp


def to_float32(*arrays) -> tuple[jax.Array, ...]:
  """Casts to float32, keeping float64 where x64 is on (proofs, goldens)."""

  def cast(x):
    x = jnp.asarray(x)
    return x if x.dtype == jnp.float64 else x.astype(jnp.float32)

  return tuple(cast(x) for x in arrays)


def log1mexp(x: jax.Array) -> jax.Array:
  """log(1 - exp(x)) for x < 0, without cancellation at either end.

  Near 0 the expm1 form is exact, far below 0 the log1p form is; each branch
  sees a harmless argument where the other is selected, so that gradients
  stay finite. x = 0 gives -inf, as the limit does.
  """
  near_zero = x > -math.log(2.0)
  near = jnp.log(-jnp.expm1(jnp.where(near_zero, x, -1.0)))
  far = jnp.log1p(-jnp.exp(jnp.where(near_zero, -1.0, x)))
  return jnp.where(near_zero, near, far)


def safe_divide(numerator, denominator, fill: float = 0.0) -> jax.Array:
  """numerator / denominator, `fill` (and no gradient) where it is zero."""
  is_zero = denominator == 0
  quotient = numerator / jnp.where(is_zero, 1, denominator)
  return jnp.where(is_zero, fill, quotient)


def soft_log_sigmoid_loss(margin, label_smoothing) -> jax.Array:
  """-(1-e) log sigmoid(m) - e log sigmoid(-m), the smoothed logistic loss."""
  return -(1 - label_smoothing) * jax.nn.log_sigmoid(
    margin
  ) - label_smoothing * jax.nn.log_sigmoid(-margin)


def tie_safe_abs(x: jax.Array) -> jax.Array:
  """|x| with zero gradient at x = 0, where `jnp.abs` has gradient 1."""
  return x * jax.lax.stop_gradient(jnp.sign(x))


def safe_norm(x, axis=-1, keepdims: bool = False, floor: float = 1e-12):
  """L2 norm floored before the root, so that 0 has gradient 0, not NaN."""
  square = jnp.sum(x * x, axis=axis, keepdims=keepdims)
  return jnp.sqrt(jnp.maximum(square, floor * floor))
