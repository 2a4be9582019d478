# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Several groups in one row, so that layers run over few pads.

A batch is cut into cells of consecutive groups, one a device and part of a
step. The real tokens of a cell's groups lie one after the other in one row:
all prompts, then all responses. Norms, projections and MLPs, which look at
one token at a time, run over these rows, and the LM head over their
responses; only attention sees groups as they are padded, so that packing
changes no number but by rounding. What goes where is counted from the masks.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Packing(NamedTuple):
  """Which slot of a group's row is where in the packed one.

  T = P + K R slots a group, b groups a cell, n slots in a packed row.

  Attributes:
    source: int32 [C, n], the slot in [b T] that a packed one holds; 0 where
      it holds none.
    place: int32 [C, b T], the packed slot of each slot; of a pad, any.
    held: bool [C, n], packed slots that hold a token.
    real: bool [C, b T], slots that are packed.
    prompts: packed slots of prompts; the responses' come after them.
    before: int32 [C, n - prompts], the packed slot that predicts each packed
      response token.
  """

  source: jax.Array
  place: jax.Array
  held: jax.Array
  real: jax.Array
  prompts: int
  before: jax.Array

  @property
  def _cells(self) -> int:
    return self.source.shape[0]

  def pack(self, x: jax.Array) -> jax.Array:
    """[B, T, ...] -> [C, n, ...]; slots that hold nothing repeat slot 0."""
    flat = x.reshape(*self.real.shape, *x.shape[2:])
    return _take(flat, self.source, self.place, self.real)

  def unpack(self, x: jax.Array, groups: int) -> jax.Array:
    """[C, n, ...] -> [B, T, ...]; pads hold some other token's values."""
    flat = _take(x, self.place, self.source, self.held)
    return flat.reshape(groups, -1, *x.shape[2:])

  def predictors(self, x: jax.Array) -> jax.Array:
    """[C, n, D] -> [C, m, D]: the states that predict packed responses."""
    return jnp.take_along_axis(x, self.before[..., None], axis=1)

  def pack_responses(self, x: jax.Array, prompt: int) -> jax.Array:
    """[B, K, R] -> [C, m], of packed responses; `prompt` is P."""
    padded = jnp.pad(x.reshape(x.shape[0], -1), ((0, 0), (prompt, 0)))
    return self.pack(padded)[:, self.prompts :]

  def unpack_responses(self, x: jax.Array, shape, prompt: int) -> jax.Array:
    """[C, m] -> [B, K, R], 0 at pads; `prompt` is P."""
    whole = jnp.pad(x, ((0, 0), (self.prompts, 0)))
    padded = self.unpack(whole, shape[0])
    real = self.real.reshape(padded.shape)
    return jnp.where(real, padded, 0)[:, prompt:].reshape(shape)


@functools.partial(jax.custom_vjp, nondiff_argnums=())
def _take(x, index, back, kept):
  """x [C, a, ...] at index [C, c]; the gradient goes by `back` [C, a].

  No two slots that count take the same one, so the transpose is a gather
  too, and many times as fast as adding to scattered places.
  """
  del back, kept
  return _gather(x, index)


def _gather(x, index):
  # Made before it is moved: compilers would make each element of x in the
  # loop that moves it, one at a time.
  x = jax.lax.optimization_barrier(x)
  index = index.reshape(*index.shape, *[1] * (x.ndim - 2))
  return jnp.take_along_axis(x, index, axis=1, mode="promise_in_bounds")


def _take_forward(x, index, back, kept):
  return _gather(x, index), (back, kept)


def _take_backward(residuals, g):
  back, kept = residuals
  found = _gather(g, back)
  kept = kept.reshape(*kept.shape, *[1] * (g.ndim - 2))
  return jnp.where(kept, found, 0).astype(g.dtype), None, None, None


_take.defvjp(_take_forward, _take_backward)


def _placed(mask: jax.Array, slots: int) -> tuple[jax.Array, jax.Array]:
  """(source [C, slots], rank [C, N]) of the slots that a mask keeps."""
  rank = jnp.cumsum(mask, axis=1, dtype=jnp.int32) - 1
  target = jnp.where(mask, rank, slots)
  numbers = jnp.arange(mask.shape[1], dtype=jnp.int32)

  def one(target):
    empty = jnp.zeros((slots,), jnp.int32)
    return empty.at[target].set(numbers, mode="drop")

  return jax.vmap(one)(target), jnp.clip(rank, 0, slots - 1)


def make(
  prompt_mask: jax.Array,
  token_mask: jax.Array,
  slots: tuple[int, int],
  cells: int = 1,
) -> Packing:
  """The packing of a batch.

  Args:
    prompt_mask: bool [B, P].
    token_mask: bool [B, K, R].
    slots: packed slots for prompts and for responses, a group; a cell of b
      groups has b times as many, which must hold all of its tokens.
    cells: C, divides B.
  """
  b, p = prompt_mask.shape
  k, r = token_mask.shape[1:]
  t, groups = p + k * r, b // cells
  counts = tuple(groups * s for s in slots)
  own = jnp.concatenate(
    [prompt_mask, token_mask.reshape(b, k * r)], axis=1
  )  # [B, T]
  is_prompt = jnp.arange(t) < p
  real = own.reshape(cells, groups * t)
  prompt_source, prompt_place = _placed(
    (own & is_prompt).reshape(cells, -1), counts[0]
  )
  response_source, response_place = _placed(
    (own & ~is_prompt).reshape(cells, -1), counts[1]
  )
  of_prompt = jnp.tile(is_prompt, groups)
  place = jnp.where(of_prompt, prompt_place, counts[0] + response_place)
  held = [
    jnp.arange(count) < jnp.sum(real & mask, axis=1, keepdims=True)
    for count, mask in zip(counts, (of_prompt, ~of_prompt), strict=True)
  ]
  # A response's first token is predicted by the last one of its prompt.
  slot = response_source % t - p
  first = slot % r == 0
  last = response_source // t * t + p - 1
  last_place = jnp.take_along_axis(place, last, axis=1)
  earlier = counts[0] + jnp.arange(counts[1]) - 1
  before = jnp.where(first, last_place, earlier)
  return Packing(
    source=jnp.concatenate([prompt_source, response_source], axis=1),
    place=place,
    held=jnp.concatenate(held, axis=1),
    real=real,
    prompts=counts[0],
    before=jnp.clip(before, 0, sum(counts) - 1),
  )
