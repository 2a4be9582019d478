# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Matrix products that accumulate in float32 and stay fast in bfloat16.

In float32 these are plain products. In bfloat16 automatic differentiation
would multiply a float32 cotangent with a bfloat16 operand, which every
platform runs as a slow float32 product; the gradients written here round
the cotangent first and keep float32 accumulation.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax


def _is_low(dtype) -> bool:
  return jnp.dtype(dtype).itemsize < 4


def _dot(x, y, contract: tuple[int, int], batch: int = 0) -> jax.Array:
  """x . y over one axis of each after `batch` leading axes, float32."""
  leading = tuple(range(batch))
  return lax.dot_general(
    x,
    y,
    (((contract[0],), (contract[1],)), (leading, leading)),
    preferred_element_type=jnp.promote_types(x.dtype, jnp.float32),
  )


def _project(x, weights):
  return tuple(
    _dot(x, w.astype(x.dtype), (x.ndim - 1, 0)).astype(x.dtype) for w in weights
  )


_project_low = jax.custom_vjp(_project)


def _project_forward(x, weights):
  learned = any(w.perturbed for w in weights)
  x, weights = x.value, tuple(w.value for w in weights)
  flat = x.reshape(-1, x.shape[-1])  # [N, I]
  kept = None
  if learned:
    # CPUs multiply fast only where the contracted axis comes last, and the
    # compiler would fold a transposition made in the backward pass into the
    # product; one that is stored survives.
    kept = flat.T if jax.default_backend() == "cpu" else flat
  return _project(x, weights), (kept, weights)


def _project_backward(residuals, cotangents):
  kept, weights = residuals
  live = [
    (i, g.reshape(-1, g.shape[-1]))  # [N, O]
    for i, g in enumerate(cotangents)
    if not isinstance(g, jax.custom_derivatives.SymbolicZero)
  ]
  dweights = [jnp.zeros_like(w) for w in weights]
  if kept is not None:
    axis = 1 if jax.default_backend() == "cpu" else 0
    for i, g in live:
      dweights[i] = _dot(kept, g, (axis, 0)).astype(weights[i].dtype)
  leading = cotangents[0].shape[:-1]
  dtype = cotangents[0].dtype
  dx = jnp.zeros((*leading, weights[0].shape[0]), dtype)
  if live:
    dx = sum(_dot(g, weights[i].astype(dtype), (1, 1)) for i, g in live)
    dx = dx.astype(dtype).reshape(*leading, -1)
  return dx, tuple(dweights)


_project_low.defvjp(_project_forward, _project_backward, symbolic_zeros=True)


def project(x: jax.Array, *weights: jax.Array) -> tuple[jax.Array, ...]:
  """x [..., I] times each of `weights` [I, O]; one residual for all of them.

  The weights may have more precision than x: they are rounded to its dtype
  for the product, and their gradients are not rounded.
  """
  if _is_low(x.dtype):
    return _project_low(x, weights)
  if jax.default_backend() != "cpu":
    return tuple(x @ w.astype(x.dtype) for w in weights)
  # The gradient of a three-dimensional product takes CPUs twice the time of
  # the same product over flat rows.
  flat = x.reshape(-1, x.shape[-1])
  return tuple(
    (flat @ w.astype(x.dtype)).reshape(*x.shape[:-1], -1) for w in weights
  )


def _batched(x, y, transpose: bool):
  batch = x.ndim - 2
  return _dot(x, y, (x.ndim - 1, y.ndim - 1 if transpose else batch), batch)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _matmul_low(x, y, transpose):
  return _batched(x, y, transpose)


def _matmul_forward(x, y, transpose):
  return _batched(x, y, transpose), (x, y)


def _matmul_backward(transpose, residuals, g):
  x, y = residuals
  g = g.astype(x.dtype)
  dx = _batched(g, y, not transpose).astype(x.dtype)
  swap = functools.partial(jnp.swapaxes, axis1=-1, axis2=-2)
  if transpose:
    dy = _batched(swap(g), x, False)  # [..., S, h]
  else:
    dy = _batched(swap(x), g, False)
  return dx, dy.astype(y.dtype)


_matmul_low.defvjp(_matmul_forward, _matmul_backward)


def matmul(x: jax.Array, y: jax.Array, transpose: bool = False) -> jax.Array:
  """x [..., T, A] times y [..., A, S], or y [..., S, A] with transpose.

  The leading axes agree. Returns float32 (float64 for float64).
  """
  if _is_low(x.dtype):
    return _matmul_low(x, y, transpose)
  return _batched(x, y, transpose)
