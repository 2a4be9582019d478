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

from prefjax.kernels import select
from prefjax.models import spread

# How each of several weights is gathered on a mesh; None where none is.
Gathers = tuple[spread.Gather | None, ...] | None


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


def _is_cpu() -> bool:
  """Whether the program is for a CPU; it may be compiled for a TPU on one."""
  return select.target_device().platform == "cpu"


def _used(weights, gathers: Gathers, dtype):
  """The weights as they are multiplied, each gathered where it must be."""
  gathers = gathers or (None,) * len(weights)
  return [
    w.astype(dtype) if gather is None else gather.weight(w, dtype)
    for w, gather in zip(weights, gathers, strict=True)
  ]


def _project(x, weights, gathers: Gathers, transposed: bool):
  rows, used = x, _used(weights, gathers, x.dtype)
  # A CPU multiplies a single row on a path that is many times slower.
  alone = _is_cpu() and x.size == x.shape[-1]
  if alone:
    rows = jnp.broadcast_to(x.reshape(1, -1), (2, x.size))
  outputs = (_dot(rows, w, (rows.ndim - 1, int(transposed))) for w in used)
  outputs = (y.astype(x.dtype) for y in outputs)
  if alone:
    outputs = (y[:1].reshape(*x.shape[:-1], -1) for y in outputs)
  return tuple(outputs)


_project_low = jax.custom_vjp(_project, nondiff_argnums=(2, 3))


def _project_forward(x, weights, gathers, transposed):
  learned = any(w.perturbed for w in weights)
  x, weights = x.value, tuple(w.value for w in weights)
  flat = x.reshape(-1, x.shape[-1])  # [N, I]
  kept = None
  if learned:
    # CPUs multiply fast only where the contracted axis comes last, and the
    # compiler would fold a transposition made in the backward pass into the
    # product; one that is stored survives.
    kept = flat.T if _is_cpu() else flat
  return _project(x, weights, gathers, transposed), (kept, weights)


def _project_backward(gathers, transposed, residuals, cotangents):
  kept, weights = residuals
  live = [
    (i, g.reshape(-1, g.shape[-1]))  # [N, O]
    for i, g in enumerate(cotangents)
    if not isinstance(g, jax.custom_derivatives.SymbolicZero)
  ]
  dweights = [jnp.zeros_like(w) for w in weights]
  if kept is not None:
    axis = 1 if _is_cpu() else 0
    for i, g in live:
      dw = _dot(kept, g, (axis, 0)).astype(weights[i].dtype)
      dw = dw.T if transposed else dw
      gather = gathers and gathers[i]
      dweights[i] = gather.gradient(dw) if gather else dw
  leading = cotangents[0].shape[:-1]
  dtype = cotangents[0].dtype
  dx = jnp.zeros((*leading, weights[0].shape[int(transposed)]), dtype)
  if live:
    used = _used(weights, gathers, dtype)
    axis = 0 if transposed else 1
    dx = sum(_dot(g, used[i], (1, axis)) for i, g in live)
    dx = dx.astype(dtype).reshape(*leading, -1)
  return dx, tuple(dweights)


_project_low.defvjp(_project_forward, _project_backward, symbolic_zeros=True)


def project(
  x: jax.Array,
  *weights: jax.Array,
  gathers: Gathers = None,
  transposed: bool = False,
) -> tuple[jax.Array, ...]:
  """x [..., I] times each of `weights` [I, O]; one residual for all of them.

  The weights may have more precision than x: they are rounded to its dtype
  for the product, and their gradients are not rounded. With `transposed`
  they are [O, I].
  """
  if _is_low(x.dtype):
    return _project_low(x, weights, gathers, transposed)
  if gathers:
    weights = tuple(
      w if gather is None else spread.gathered(w, gather)
      for w, gather in zip(weights, gathers, strict=True)
    )
  axis = int(transposed)
  if not _is_cpu():
    last = x.ndim - 1
    return tuple(_dot(x, w.astype(x.dtype), (last, axis)) for w in weights)
  # The gradient of a three-dimensional product takes CPUs twice the time of
  # the same product over flat rows.
  flat = x.reshape(-1, x.shape[-1])
  return tuple(
    _dot(flat, w.astype(x.dtype), (1, axis)).reshape(*x.shape[:-1], -1)
    for w in weights
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
