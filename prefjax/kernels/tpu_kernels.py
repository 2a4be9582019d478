# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The bodies of the TPU kernels; `pallas_tpu` calls them.

Sizes need not be multiples of blocks. What a block holds past the end is
undefined, NaN for all one knows: columns past V are masked before they
reach a sum, what is multiplied into a sum over columns or rows is zeroed
past the end, and rows past N stay in rows that are never written.

Row statistics travel as [8, N], a row of the array each, because [N, 1]
would be padded to 128 lanes. Ids are exact in float32 up to 2^24.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from prefjax.kernels import blocks as blocks_lib
from prefjax.kernels import problem as problem_lib

# Below any logit, yet finite: -inf - -inf would be NaN in the online update.
LOWEST = -1e30
ROWS = 8  # float32 sublanes: how many statistics travel together


@dataclasses.dataclass(frozen=True)
class Shape:
  """Static facts of one kernel call; segments is None or their number."""

  problem: problem_lib.Problem
  rows: int
  vocab: int
  block: blocks_lib.Blocks
  has_bias: bool
  segments: int | None = None


def stack(rows) -> jax.Array:
  """Vectors [N] as the rows of [8, N]."""
  rows = [*rows, *[jnp.zeros_like(rows[0])] * (ROWS - len(rows))]
  return jnp.stack(rows)


def _pack(columns):
  """Up to 8 columns [n, 1] as rows of [8, n]."""
  n = columns[0].shape[0]
  lane = jax.lax.broadcasted_iota(jnp.int32, (n, ROWS), 1)
  packed = jnp.zeros((n, ROWS), jnp.float32)
  for i, column in enumerate(columns):
    packed = jnp.where(lane == i, column, packed)
  return packed.T


def _unpack(rows_ref, count):
  """The first rows of [8, n] as columns [n, 1]."""
  packed = rows_ref[...].T  # [n, 8]
  return [packed[:, i : i + 1] for i in range(count)]


def _column_ids(shape: Shape, index):
  first = index * shape.block.vocab
  return first + jax.lax.broadcasted_iota(jnp.int32, (1, shape.block.vocab), 1)


def _drop_past(array, axis, first, size):
  """Zeros where a block's entries are past the end of its array."""
  extent = tuple(n if i == axis else 1 for i, n in enumerate(array.shape))
  entry = first + jax.lax.broadcasted_iota(jnp.int32, extent, axis)
  return jnp.where(entry < size, array, jnp.zeros_like(array))


def _in_last_if(remainder, index, last, step):
  """step(True) in the last block if it runs past the end, else step(False)."""
  if not remainder:
    step(False)
    return
  pl.when(index == last)(lambda: step(True))
  pl.when(index != last)(lambda: step(False))


def _logits(shape: Shape, x, w, bias_ref):
  bias = bias_ref[0:1, :] if shape.has_bias else None
  return problem_lib.logits(shape.problem, x, w, bias)  # [n, v]


def _online_update(shape: Shape, index, z, target, state):
  """One vocabulary block's share of the four running statistics."""
  top_ref, total_ref, moment_ref, target_ref = state
  column = _column_ids(shape, index)
  if shape.vocab % shape.block.vocab:
    z = jnp.where(column < shape.vocab, z, LOWEST)
  top = top_ref[...]
  new_top = jnp.maximum(top, jnp.max(z, axis=1, keepdims=True))
  scale = jnp.exp(top - new_top)
  shifted = z - new_top
  e = jnp.exp(shifted)
  total = total_ref[...]
  if shape.problem.entropy:
    # sum of e^(z - top) (z - top), moved to the new top.
    part = jnp.sum(jnp.where(e > 0, e * shifted, 0.0), axis=1, keepdims=True)
    moment = scale * (moment_ref[...] + total * (top - new_top))
    moment_ref[...] = moment + part
  total_ref[...] = total * scale + jnp.sum(e, axis=1, keepdims=True)
  top_ref[...] = new_top
  target_ref[...] += jnp.sum(
    jnp.where(column == target, z, 0.0), axis=1, keepdims=True
  )


def _add_sums(shape: Shape, index, weight, segment, logp, sums_ref):
  """Adds a block's weighted log-probs to the sums of their segments."""
  n = shape.block.rows

  @pl.when(index == 0)
  def _():
    sums_ref[...] = jnp.zeros_like(sums_ref)

  row = index * n + jax.lax.broadcasted_iota(jnp.int32, (n, 1), 0)
  counts = (row < shape.rows) & (weight != 0.0)
  part = jnp.where(counts, weight * logp, 0.0)
  lane = jax.lax.broadcasted_iota(jnp.int32, (1, blocks_lib.LANES), 1)

  def add(chunk, carry):
    first = pl.multiple_of(chunk * blocks_lib.LANES, blocks_lib.LANES)
    is_mine = segment == first + lane  # [n, 128]
    sums_ref[0:1, pl.ds(first, blocks_lib.LANES)] += jnp.sum(
      jnp.where(is_mine, part, 0.0), axis=0, keepdims=True
    )
    return carry

  jax.lax.fori_loop(0, sums_ref.shape[1] // blocks_lib.LANES, add, 0)


def forward(shape: Shape, *refs):
  """Statistics of a block of rows, and the sums of its segments.

  Grid (row blocks, vocabulary blocks). Refs: x [n, D], w [D, v] or [v, D],
  bias [1, v] if any, rows [8, n] of target, weight and segment; out: stats
  [8, n], sums [1, S] if asked for; scratch: four of [n, 1].
  """
  x_ref, w_ref, *refs = refs
  bias_ref = refs.pop(0) if shape.has_bias else None
  rows_ref, stats_ref, *refs = refs
  sums_ref = None if shape.segments is None else refs.pop(0)
  top_ref, total_ref, moment_ref, target_ref = refs
  i, j = pl.program_id(0), pl.program_id(1)

  @pl.when(j == 0)
  def _():
    top_ref[...] = jnp.full_like(top_ref, LOWEST)
    for ref in (total_ref, moment_ref, target_ref):
      ref[...] = jnp.zeros_like(ref)

  target, weight, segment = _unpack(rows_ref, 3)
  z = _logits(shape, x_ref[...], w_ref[...], bias_ref)
  _online_update(shape, j, z, target.astype(jnp.int32), refs)

  @pl.when(j == pl.num_programs(1) - 1)
  def _():
    top, total, target_logit = top_ref[...], total_ref[...], target_ref[...]
    log_sum = jnp.log(total)
    entropy = jnp.zeros_like(total)
    if shape.problem.entropy:
      entropy = log_sum - moment_ref[...] / total
    stats_ref[...] = _pack([top, log_sum, target_logit, entropy])
    if sums_ref is not None:
      logp = (target_logit - top) - log_sum
      _add_sums(shape, i, weight, segment.astype(jnp.int32), logp, sums_ref)


def _logit_gradient(shape: Shape, index, z, rows_ref, with_entropy):
  """d loss / d (hidden @ W + bias) of one block, 0 in columns past V."""
  target, top, log_sum, entropy, a, b, e = _unpack(rows_ref, 7)
  column = _column_ids(shape, index)
  logp = (z - top) - log_sum
  p = jnp.exp(logp)
  factor = b
  if with_entropy:
    # p (l + H) is 0 where p is, though l may be -inf there.
    factor = b - e * (jnp.where(p > 0, logp, 0.0) + entropy)
  dz = p * factor + jnp.where(column == target.astype(jnp.int32), a, 0.0)
  dz = dz * problem_lib.logits_slope(shape.problem, z)
  if shape.vocab % shape.block.vocab:
    dz = jnp.where(column < shape.vocab, dz, 0.0)
  return dz


def dx(shape: Shape, with_entropy: bool, *refs):
  """Gradient of the hidden states. Grid (row blocks, vocabulary blocks).

  Refs: x, w, bias if any, rows [8, n]; out: dx [n, D]; scratch: [n, D].
  """
  x_ref, w_ref, *refs = refs
  bias_ref = refs.pop(0) if shape.has_bias else None
  rows_ref, dx_ref, sum_ref = refs
  j, last = pl.program_id(1), pl.num_programs(1) - 1

  @pl.when(j == 0)
  def _():
    sum_ref[...] = jnp.zeros_like(sum_ref)

  axis = 0 if shape.problem.transposed else 1
  operand = problem_lib.operand_dtype(x_ref, w_ref)
  z = _logits(shape, x_ref[...], w_ref[...], bias_ref)
  d = _logit_gradient(shape, j, z, rows_ref, with_entropy)

  def add(is_ragged):
    w = w_ref[...]
    if is_ragged:
      w = _drop_past(w, axis, j * shape.block.vocab, shape.vocab)
    sum_ref[...] += problem_lib.dot(d, w, (1, axis), operand, jnp.float32)

  _in_last_if(shape.vocab % shape.block.vocab, j, last, add)

  @pl.when(j == last)
  def _():
    dx_ref[...] = sum_ref[...].astype(dx_ref.dtype)


def dw(shape: Shape, with_entropy: bool, *refs):
  """Gradients of head and bias. Grid (vocabulary blocks, row blocks).

  Refs: x, w, bias if any, rows [8, n]; out: dw like the block of w, db
  [1, v] if there is a bias; scratch: float32 like the block of w.
  """
  x_ref, w_ref, *refs = refs
  bias_ref = refs.pop(0) if shape.has_bias else None
  rows_ref, dw_ref, *refs = refs
  db_ref = refs.pop(0) if shape.has_bias else None
  (sum_ref,) = refs
  j, i, last = pl.program_id(0), pl.program_id(1), pl.num_programs(1) - 1

  @pl.when(i == 0)
  def _():
    sum_ref[...] = jnp.zeros_like(sum_ref)
    if shape.has_bias:
      db_ref[...] = jnp.zeros_like(db_ref)

  first, remainder = i * shape.block.rows, shape.rows % shape.block.rows
  z = _logits(shape, x_ref[...], w_ref[...], bias_ref)
  d = _logit_gradient(shape, j, z, rows_ref, with_entropy)
  if remainder:
    d = _drop_past(d, 0, first, shape.rows)
  if shape.has_bias:
    db_ref[...] += jnp.sum(d, axis=0, keepdims=True)
  operand = problem_lib.operand_dtype(x_ref, w_ref)

  def add(is_ragged):
    x = x_ref[...]
    if is_ragged:
      x = _drop_past(x, 0, first, shape.rows)
    pair = (d, x) if shape.problem.transposed else (x, d)
    sum_ref[...] += problem_lib.dot(*pair, (0, 0), operand, jnp.float32)

  _in_last_if(remainder, i, last, add)

  @pl.when(i == last)
  def _():
    dw_ref[...] = sum_ref[...].astype(dw_ref.dtype)
