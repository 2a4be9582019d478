# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Token log-probs in XLA, one vocabulary tile at a time.

Forward: an online logsumexp over tiles of the head, sliced inside the scan.
Backward: each tile's logits are computed again, and the gradients of hidden
states, head and bias accumulate in float32. [N, V] never exists. The
gradient is exact: nothing is filtered and nothing is dropped. The formulas
are in `vjp`.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from prefjax.kernels import problem as problem_lib
from prefjax.kernels import tiling

# Below any logit, yet finite: -inf - -inf would be NaN in the online update.
LOWEST = -1e30


@dataclasses.dataclass(frozen=True)
class Plan:
  """Static options of one call: what to compute and in which tiles."""

  problem: problem_lib.Problem
  rows: tiling.Tiles
  vocab: tiling.Tiles

  def stats(self, x, weight, bias, targets):
    return tiling.over_rows(
      self.rows,
      functools.partial(block_stats, self),
      (x, targets),
      weight,
      bias,
    )

  def gradients(self, needs, x, weight, bias, targets, stats, cotangents):
    return _gradients(self, needs, x, weight, bias, targets, stats, cotangents)


def tile_logits(plan: Plan, x, weight, bias, index):
  """Logits [n, v] of one tile, and which of its columns are new."""
  start, size = plan.vocab.start(index), plan.vocab.size
  w = tiling.take(weight, start, size, plan.problem.vocab_axis)
  b = tiling.take(bias, start, size)
  return problem_lib.logits(plan.problem, x, w, b), plan.vocab.fresh(index), w


def block_stats(plan: Plan, rows, weight, bias):
  """Statistics of a block of rows.

  Args:
    plan: static options.
    rows: (x [n, D], targets int32 [n]).
    weight: the whole head.
    bias: [V] or None.

  Returns:
    top, log_sum, target logit and entropy, each [n]; logsumexp is
    top + log_sum, kept apart because large logits would swallow log_sum.
    The entropy is 0 where it is not wanted.
  """
  x, targets = rows
  dtype = problem_lib.accumulation_dtype(x, weight, bias)
  n = x.shape[0]

  def body(index, carry):
    top, total, moment, target_logit = carry
    z, fresh, _ = tile_logits(plan, x, weight, bias, index)
    if fresh is not None:
      z = jnp.where(fresh[None, :], z, LOWEST)
    new_top = jnp.maximum(top, jnp.max(z, axis=1))
    scale = jnp.exp(top - new_top)
    shifted = z - new_top[:, None]
    e = jnp.exp(shifted)
    if plan.problem.entropy:
      # sum of e^(z - top) (z - top), moved to the new top.
      moment = scale * (moment + total * (top - new_top))
      moment += jnp.sum(e * jnp.where(e > 0, shifted, 0.0), axis=1)
    total = total * scale + jnp.sum(e, axis=1)
    column = targets - plan.vocab.start(index)
    found = jnp.take_along_axis(
      z, jnp.clip(column, 0, plan.vocab.size - 1)[:, None], axis=1
    )[:, 0]
    is_here = (targets >= index * plan.vocab.size) & (column < plan.vocab.size)
    return new_top, total, moment, jnp.where(is_here, found, target_logit)

  zero = jnp.zeros((n,), dtype)
  top, total, moment, target_logit = tiling.fold(
    plan.vocab, body, (jnp.full((n,), LOWEST, dtype), zero, zero, zero)
  )
  log_sum = jnp.log(total)
  entropy = log_sum - moment / total if plan.problem.entropy else zero
  return top, log_sum, target_logit, entropy


def _has_flipped(plan: Plan, x, weight) -> bool:
  """Whether x.T is made once, and dw built as [D, V], for all tiles.

  On a CPU a bfloat16 product is several times as fast if it contracts the
  last axis of what is on its left, as stored: a transpose next to the
  product is folded into it, one outside the scan over tiles is not.
  """
  operand = problem_lib.operand_dtype(x, weight)
  return plan.vocab.count > 1 and operand == jnp.bfloat16


def flipped(plan: Plan, needs, x, weight):
  """x.T [D, n], None where the head's gradient is built from x."""
  return x.T if needs.weight and _has_flipped(plan, x, weight) else None


def head_zeros(plan: Plan, needs, x, weight, dtype):
  """Where the head's gradient is summed up, None where nobody wants it."""
  if not needs.weight:
    return None
  shape = weight.shape
  if plan.problem.transposed and _has_flipped(plan, x, weight):
    shape = shape[::-1]
  return jnp.zeros(shape, dtype)


def head_gradient(plan: Plan, x, weight, dw):
  """The sum, laid out like the head."""
  if dw is None or not _has_flipped(plan, x, weight):
    return dw
  return dw.T if plan.problem.transposed else dw


def add_gradients(plan, needs, z, dz, x, xt, w, index, dx, dw, db):
  """Adds one tile's share to the three gradients that are wanted.

  Args:
    plan: static options.
    needs: which of the three.
    z: [n, v] finished logits of the tile.
    dz: [n, v] their gradient.
    x: [n, D] hidden states.
    xt: `flipped` of them.
    w: the tile of the head.
    index: of the tile.
    dx: [n, D], accumulated over tiles.
    dw: from `head_zeros`, this tile's part is added to.
    db: [V] or None.
  """
  d = dz * problem_lib.logits_slope(plan.problem, z)
  start = plan.vocab.start(index)
  return add_raw_gradients(plan.problem, needs, d, x, xt, w, start, dx, dw, db)


def add_raw_gradients(problem, needs, d, x, xt, w, start, dx, dw, db):
  """The same from `d`, the gradient of `x @ w + bias`, and the first id."""
  out, operand = dx.dtype, problem_lib.operand_dtype(x, w)
  axis = problem.vocab_axis
  if needs.bias:
    db = tiling.add(db, jnp.sum(d, axis=0, dtype=db.dtype), start)
  if needs.x:
    dx = dx + problem_lib.dot(d, w, (1, axis), operand, out)
  if needs.weight and xt is not None:
    tile = problem_lib.dot(xt, d, (1, 0), operand, out)  # [D, v]
    dw = tiling.add(dw, tile, start, 1)
  elif needs.weight:
    pair = (d, x) if problem.transposed else (x, d)
    tile = problem_lib.dot(*pair, (0, 0), operand, out)
    dw = tiling.add(dw, tile, start, axis)
  return dx, dw, db


def _block_gradients(plan, needs, rows, weight, bias, dw, db):
  """dx of a block of rows, and dw, db with the block's share added."""
  x, targets, (top, log_sum, entropy), (a, b, e) = rows
  dtype = top.dtype
  xt = flipped(plan, needs, x, weight)

  def body(index, carry):
    dx, dw, db = carry
    z, fresh, w = tile_logits(plan, x, weight, bias, index)
    logp = (z - top[:, None]) - log_sum[:, None]
    p = jnp.exp(logp)
    factor = b[:, None]
    if e is not None:
      # p (l + H) is 0 where p is, though l may be -inf there.
      safe = jnp.where(p > 0, logp, 0.0)
      factor = factor - e[:, None] * (safe + entropy[:, None])
    dz = p * factor
    column = plan.vocab.start(index) + jnp.arange(plan.vocab.size)
    dz = dz + jnp.where(column[None] == targets[:, None], a[:, None], 0.0)
    if fresh is not None:
      dz = jnp.where(fresh[None, :], dz, 0.0)
    return add_gradients(plan, needs, z, dz, x, xt, w, index, dx, dw, db)

  dx = jnp.zeros(x.shape, dtype)
  return tiling.fold(plan.vocab, body, (dx, dw, db))


def over_row_gradients(plan: Plan, function, rows, dx, dws):
  """Runs a backward block over all rows, accumulating what they share.

  Args:
    plan: static options (rows only are used).
    function: (rows, fresh [n] or None, dws) -> (dx of the block, dws).
    rows: pytree of arrays that lead with N.
    dx: pytree of zeros [N, D].
    dws: pytree of zeros of what all rows share.
  """
  tiles = plan.rows
  if tiles.count == 1:
    return function(rows, None, dws)

  def body(index, carry):
    dx, dws = carry
    start = tiles.start(index)
    block = jax.tree.map(lambda v: tiling.take(v, start, tiles.size), rows)
    step, dws = function(block, tiles.fresh(index), dws)
    # Rows that an earlier block holds come with cotangent 0: add, not put.
    dx = jax.tree.map(lambda d, s: tiling.add(d, s, start), dx, step)
    return dx, dws

  return tiling.fold(tiles, body, (dx, dws))


def _gradients(plan, needs, x, weight, bias, targets, stats, cotangents):
  dtype = stats[0].dtype

  def block(rows, fresh, shared):
    *kept, given = rows
    if fresh is not None:
      # Rows that an earlier block has done already add nothing.
      given = jax.tree.map(lambda c: jnp.where(fresh, c, 0), given)
    dx, dw, db = _block_gradients(
      plan, needs, (*kept, given), weight, bias, *shared
    )
    return dx, (dw, db)

  dw = head_zeros(plan, needs, x, weight, dtype)
  db = jnp.zeros(bias.shape, dtype) if needs.bias else None
  dx, (dw, db) = over_row_gradients(
    plan,
    block,
    (x, targets, stats, cotangents),
    jnp.zeros(x.shape, dtype),
    (dw, db),
  )
  return dx if needs.x else None, head_gradient(plan, x, weight, dw), db


def make_plan(
  problem: problem_lib.Problem,
  rows: int,
  vocab: int,
  block_rows: int | None = None,
  block_vocab: int | None = None,
) -> Plan:
  """Tiles for N rows and V ids; None takes the sizes measured on a CPU."""
  return Plan(
    problem,
    tiling.balanced(rows, block_rows or 2048, 8),
    tiling.balanced(vocab, block_vocab or 2048, 128),
  )
