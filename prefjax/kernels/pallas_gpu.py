# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Token log-probs with Pallas kernels for GPUs, lowered through Triton.

Forward: each program walks one block of rows over one share of the
vocabulary with an online logsumexp; the shares are combined afterwards, so
few rows still fill the chip. Backward: a scan over vocabulary tiles, in
which a kernel writes the gradient of one tile's logits in the dtype of the
operands and the matrix library multiplies it into dx and dw. Unlike sums by
atomic additions this is exact and the same on every run, and a tile is a
few percent of the logits.

The kernels do not rely on what is past the end of an array: every load
there is masked.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from prefjax.kernels import chunked, tiling, vjp
from prefjax.kernels import problem as problem_lib

# Programs that keep the largest GPU busy: two for each of 132 processors.
_PROGRAMS = 264

# The backward pass holds one tile of logit gradients in this share of V.
_TILES = 32


@dataclasses.dataclass(frozen=True)
class Blocks:
  """Rows, vocabulary ids and hidden sizes a program multiplies at a time.

  Powers of two, as Triton wants.
  """

  rows: int
  vocab: int
  hidden: int
  warps: int
  stages: int


_HALF = Blocks(128, 128, 64, 8, 3)
_FULL = Blocks(64, 64, 32, 4, 2)


@dataclasses.dataclass(frozen=True)
class Shape:
  """Static facts of one kernel call."""

  problem: problem_lib.Problem
  rows: int
  vocab: int
  hidden: int
  block: Blocks


def _range(first, size: int, total: int):
  """Entries first .. first + size - 1, and which of them exist."""
  entry = first + jnp.arange(size, dtype=jnp.int32)
  return entry, entry < total


def _load(ref, index, mask):
  return triton.load(ref.at[index], mask=mask, other=0)


def _logits(shape: Shape, x_ref, w_ref, bias_ref, row, first):
  """Logits [n, v] of one block, and its column ids and which exist."""
  n, v, k = shape.block.rows, shape.block.vocab, shape.block.hidden
  _, has_row = _range(row, n, shape.rows)
  column, has_column = _range(first, v, shape.vocab)
  transposed = shape.problem.transposed
  operand = problem_lib.operand_dtype(x_ref, w_ref)

  def step(index, total):
    _, has = _range(index * k, k, shape.hidden)
    part = pl.ds(index * k, k)
    x = _load(x_ref, (pl.ds(row, n), part), has_row[:, None] & has[None])
    if transposed:
      mask = has_column[:, None] & has[None]
      w = _load(w_ref, (pl.ds(first, v), part), mask)
    else:
      mask = has[:, None] & has_column[None]
      w = _load(w_ref, (part, pl.ds(first, v)), mask)
    axis = 1 if transposed else 0
    return total + problem_lib.dot(x, w, (1, axis), operand, jnp.float32)

  raw = jax.lax.fori_loop(
    0, pl.cdiv(shape.hidden, k), step, jnp.zeros((n, v), jnp.float32)
  )
  if bias_ref is not None:
    bias = _load(bias_ref, pl.ds(first, v), has_column)
    raw = raw + bias.astype(jnp.float32)[None]
  return problem_lib.finish_logits(shape.problem, raw), column, has_column


def _stats_kernel(shape: Shape, has_bias: bool, tiles: int, *refs):
  """Statistics of a block of rows over `tiles` blocks of the vocabulary.

  Grid (row blocks, shares). Refs: x [N, D], w, bias [V] if any, targets
  [N]; out: top, log-sum, target logit and entropy, each [shares, N].
  """
  x_ref, w_ref, *refs = refs
  bias_ref = refs.pop(0) if has_bias else None
  targets_ref, *outs = refs
  n, v = shape.block.rows, shape.block.vocab
  row, share = pl.program_id(0) * n, pl.program_id(1)
  _, has_row = _range(row, n, shape.rows)
  target = _load(targets_ref, pl.ds(row, n), has_row)

  def step(index, carry):
    top, total, moment, target_logit = carry
    first = (share * tiles + index) * v
    z, column, has = _logits(shape, x_ref, w_ref, bias_ref, row, first)
    z = jnp.where(has[None], z, chunked.LOWEST)
    new_top = jnp.maximum(top, jnp.max(z, axis=1))
    scale = jnp.exp(top - new_top)
    shifted = z - new_top[:, None]
    e = jnp.where(has[None], jnp.exp(shifted), 0.0)
    if shape.problem.entropy:
      # sum of e^(z - top) (z - top), moved to the new top.
      moment = scale * (moment + total * (top - new_top))
      moment += jnp.sum(jnp.where(e > 0, e * shifted, 0.0), axis=1)
    total = total * scale + jnp.sum(e, axis=1)
    is_target = column[None] == target[:, None]
    target_logit += jnp.sum(jnp.where(is_target, z, 0.0), axis=1)
    return new_top, total, moment, target_logit

  zero = jnp.zeros((n,), jnp.float32)
  start = (jnp.full((n,), chunked.LOWEST, jnp.float32), zero, zero, zero)
  top, total, moment, target_logit = jax.lax.fori_loop(0, tiles, step, start)
  log_sum = jnp.log(total)
  entropy = zero
  if shape.problem.entropy:
    entropy = jnp.where(total > 0, log_sum - moment / total, 0.0)
  for ref, value in zip(
    outs, (top, log_sum, target_logit, entropy), strict=True
  ):
    triton.store(ref.at[share, pl.ds(row, n)], value, mask=has_row)


def _gradient_kernel(shape: Shape, has_bias: bool, has_entropy: bool, *refs):
  """Gradient of a block of `hidden @ W + bias`.

  Grid (row blocks, vocabulary blocks). Refs: x [N, D], w, bias if any,
  targets, then top, log-sum, entropy, a, b and, with entropy, e, each [N];
  out: [N, V].
  """
  x_ref, w_ref, *refs = refs
  bias_ref = refs.pop(0) if has_bias else None
  *row_refs, out_ref = refs
  n, v = shape.block.rows, shape.block.vocab
  row, first = pl.program_id(0) * n, pl.program_id(1) * v
  _, has_row = _range(row, n, shape.rows)
  target, top, log_sum, entropy, a, b, *e = (
    _load(ref, pl.ds(row, n), has_row) for ref in row_refs
  )
  z, column, has = _logits(shape, x_ref, w_ref, bias_ref, row, first)
  logp = (z - top[:, None]) - log_sum[:, None]
  p = jnp.exp(logp)
  factor = b[:, None]
  if has_entropy:
    # p (l + H) is 0 where p is, though l may be -inf there.
    safe = jnp.where(p > 0, logp, 0.0)
    factor = factor - e[0][:, None] * (safe + entropy[:, None])
  is_target = column[None] == target[:, None]
  d = p * factor + jnp.where(is_target, a[:, None], 0.0)
  d = d * problem_lib.logits_slope(shape.problem, z)
  triton.store(
    out_ref.at[pl.ds(row, n), pl.ds(first, v)],
    d.astype(out_ref.dtype),
    mask=has_row[:, None] & has[None],
  )


@dataclasses.dataclass(frozen=True)
class Plan:
  """Static options of one call.

  Attributes:
    problem: what to compute.
    tiles: of the vocabulary in the backward pass.
    interpret: run without a GPU, slowly.
  """

  problem: problem_lib.Problem
  tiles: tiling.Tiles
  interpret: bool = False

  def _shape(self, x, weight) -> Shape:
    is_half = problem_lib.operand_dtype(x, weight) == jnp.bfloat16
    return Shape(
      self.problem,
      x.shape[0],
      self.problem.vocab_of(weight),
      x.shape[1],
      _HALF if is_half else _FULL,
    )

  def _backup(self, x, weight) -> chunked.Plan:
    return chunked.make_plan(
      self.problem, x.shape[0], self.problem.vocab_of(weight)
    )

  def stats(self, x, weight, bias, targets):
    backup = self._backup(x, weight).stats
    return vjp.backed(self._stats, backup)(x, weight, bias, targets)

  def gradients(self, needs, x, weight, bias, targets, stats, cotangents):
    run = vjp.backed(
      functools.partial(self._gradients, needs),
      functools.partial(self._backup(x, weight).gradients, needs),
    )
    return run(x, weight, bias, targets, stats, cotangents)

  def _call(self, kernel, shape: Shape, grid, out_shape, name, *arrays):
    return pl.pallas_call(
      kernel,
      grid=grid,
      out_shape=out_shape,
      interpret=self.interpret,
      compiler_params=triton.CompilerParams(
        num_warps=shape.block.warps, num_stages=shape.block.stages
      ),
      name=name,
    )(*(a for a in arrays if a is not None))

  def _stats(self, x, weight, bias, targets):
    shape = self._shape(x, weight)
    blocks = pl.cdiv(shape.vocab, shape.block.vocab)
    rows = pl.cdiv(shape.rows, shape.block.rows)
    # So many shares that all processors have work, each of whole blocks.
    tiles = pl.cdiv(blocks, min(blocks, pl.cdiv(_PROGRAMS, rows)))
    shares = pl.cdiv(blocks, tiles)
    out = jax.ShapeDtypeStruct((shares, shape.rows), jnp.float32)
    stats = self._call(
      functools.partial(_stats_kernel, shape, bias is not None, tiles),
      shape,
      (rows, shares),
      [out] * 4,
      "token_logps_forward",
      x,
      weight,
      bias,
      targets,
    )
    return vjp.combine(
      self.problem,
      stats,
      functools.partial(jnp.max, axis=-2),
      functools.partial(jnp.sum, axis=-2),
    )

  def _gradients(self, needs, x, weight, bias, targets, stats, cotangents):
    tiles, axis = self.tiles, self.problem.vocab_axis
    operand = problem_lib.operand_dtype(x, weight)
    a, b, e = cotangents

    def body(index, carry):
      dx, dw, db = carry
      start = tiles.start(index)
      w = tiling.take(weight, start, tiles.size, axis)
      tile_bias = tiling.take(bias, start, tiles.size)
      shape = self._shape(x, w)
      d = self._call(
        functools.partial(
          _gradient_kernel, shape, bias is not None, e is not None
        ),
        shape,
        (
          pl.cdiv(shape.rows, shape.block.rows),
          pl.cdiv(shape.vocab, shape.block.vocab),
        ),
        # The gradient of a bias is no product: it wants the exact sum.
        jax.ShapeDtypeStruct(
          (shape.rows, shape.vocab), jnp.float32 if needs.bias else operand
        ),
        "token_logps_gradient",
        x,
        w,
        tile_bias,
        targets - start,
        *stats,
        a,
        b,
        e,
      )
      fresh = tiles.fresh(index)
      if fresh is not None:
        d = jnp.where(fresh[None], d, 0)
      return chunked.add_raw_gradients(
        self.problem, needs, d, x, None, w, start, dx, dw, db
      )

    zeros = (
      jnp.zeros(x.shape, jnp.float32),
      jnp.zeros(weight.shape, jnp.float32) if needs.weight else None,
      jnp.zeros(bias.shape, jnp.float32) if needs.bias else None,
    )
    dx, dw, db = tiling.fold(tiles, body, zeros)
    return dx if needs.x else None, dw, db


def make_plan(
  problem: problem_lib.Problem,
  x,
  weight,
  *,
  block_rows: int | None = None,
  block_vocab: int | None = None,
  interpret: bool = False,
  wide: bool = True,
) -> Plan:
  """The plan of a call.

  Args:
    problem: static options.
    x, weight: anything with a shape and dtype.
    block_rows: not to be set; programs take a fixed number of rows.
    block_vocab: ids a tile of the backward pass, None for 1/32 of them.
    interpret: run without a GPU, slowly.
    wide: gradients come in float32; they always do.

  Raises:
    ValueError: an input is float64, empty or too large, or a block is set
      that has no use.
  """
  del wide
  name = "impl='pallas_gpu'"
  if jnp.float64 in (x.dtype, weight.dtype):
    raise ValueError(f"{name}: no float64; use impl='chunked'")
  if block_rows is not None:
    raise ValueError(f"{name}: block_rows has no use; leave it out")
  if not x.size or not 0 < weight.size < 1 << 31:
    raise ValueError(
      f"{name}: hidden {x.shape} and head {weight.shape}, but it takes at"
      " least one row and fewer than 2^31 weights; use impl='chunked'"
    )
  vocab = problem.vocab_of(weight)
  wanted = block_vocab or max(1024, vocab // _TILES)
  return Plan(problem, tiling.balanced(vocab, wanted), interpret)
