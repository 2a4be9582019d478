# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Walking rows and vocabulary in tiles of one static size.

A last tile that would run past the end is moved back to end at it, and the
entries which an earlier tile has covered are marked as not fresh: no padded
copy of the head or of the hidden states is ever made.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


@dataclasses.dataclass(frozen=True)
class Tiles:
  """`count` tiles of `size` entries that cover `total` entries."""

  total: int
  size: int
  count: int

  def start(self, index) -> jax.Array:
    """First entry of a tile; the last one ends at `total`."""
    return jnp.minimum(index * self.size, self.total - self.size)

  def fresh(self, index) -> jax.Array | None:
    """bool [size]: entries no earlier tile holds; None if all always are."""
    if self.total == self.size * self.count:
      return None
    entry = self.start(index) + jnp.arange(self.size)
    return entry >= index * self.size


def balanced(total: int, wanted: int, multiple: int = 128) -> Tiles:
  """Tiles of about `wanted` entries with as little overlap as possible."""
  if total <= wanted:
    return Tiles(total, total, 1)
  count = -(-total // wanted)
  size = -(-total // count)
  size = min(-(-size // multiple) * multiple, total)
  return Tiles(total, size, -(-total // size))


def fold(tiles: Tiles, body: Callable[[Any, Any], Any], carry: Any) -> Any:
  """carry = body(index, carry) over all tiles; a scan, so that it can be
  differentiated again."""
  if tiles.count == 1:
    return body(0, carry)

  def step(carry, index):
    return body(index, carry), None

  return lax.scan(step, carry, jnp.arange(tiles.count))[0]


def take(array, start, size: int, axis: int = 0):
  """One tile of an array, or None for None."""
  if array is None:
    return None
  if array.dtype == jnp.bfloat16:
    return _take_half(array, start, size, axis)
  return lax.dynamic_slice_in_dim(array, start, size, axis)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _take_half(array, start, size, axis):
  # XLA on a CPU slices bfloat16 as float32 and, in a loop, makes a float32
  # copy of the whole array first. Integers it slices as they are.
  bits = lax.bitcast_convert_type(array, jnp.uint16)
  bits = lax.dynamic_slice_in_dim(bits, start, size, axis)
  return lax.bitcast_convert_type(bits, jnp.bfloat16)


@_take_half.defjvp
def _take_half_jvp(size, axis, primals, tangents):
  array, start = primals
  tangent = lax.dynamic_slice_in_dim(tangents[0], start, size, axis)
  return _take_half(array, start, size, axis), tangent


def put(buffer, value, start, axis: int = 0):
  """Writes a tile; what an earlier tile wrote there is replaced."""
  return lax.dynamic_update_slice_in_dim(
    buffer, value.astype(buffer.dtype), start, axis
  )


def add(buffer, value, start, axis: int = 0):
  """Adds to a tile of a buffer."""
  old = take(buffer, start, value.shape[axis], axis)
  return put(buffer, old + value.astype(buffer.dtype), start, axis)


def over_rows(
  tiles: Tiles, function: Callable[..., Any], rows: Any, *shared
) -> Any:
  """Applies a row-wise function block by block.

  Args:
    tiles: of the rows.
    function: (rows, *shared) -> pytree of arrays that lead with the rows.
    rows: pytree of arrays that lead with N.
    *shared: passed on as they are.
  """
  if tiles.count == 1:
    return function(rows, *shared)

  def block(index):
    start = tiles.start(index)
    return jax.tree.map(lambda a: take(a, start, tiles.size), rows)

  outputs = jax.eval_shape(lambda r: function(r, *shared), block(0))
  empty = jax.tree.map(
    lambda o: jnp.zeros((tiles.total, *o.shape[1:]), o.dtype), outputs
  )

  def body(index, filled):
    values = function(block(index), *shared)
    start = tiles.start(index)
    return jax.tree.map(lambda f, v: put(f, v, start), filled, values)

  return fold(tiles, body, empty)
