# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Whole-vocabulary sums in XLA, one vocabulary tile at a time.

Forward: an online logsumexp for each stream, then a second walk that
accumulates sum_v g(lp_1[v], .., lp_m[v]) or its logsumexp. Backward: one
walk that computes the tiles again.

With c = G (or G exp(g - total) for a logsumexp), d_i = c dg/dlp_i and p_i
stream i's softmax, the gradient of its finished logits is
  d_i - p_i sum_v d_i[v],
to which a target's log-prob with cotangent A_i adds A_i (onehot - p_i). The
sum over v would cost one more walk in the backward pass; but it is linear in
G, so the forward walk of a differentiated call accumulates it for G = 1.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from prefjax.kernels import chunked, tiling, vjp


@dataclasses.dataclass(frozen=True)
class VocabPlan:
  """Static options: integrand (a tuple of values out), reduction, streams."""

  integrand: Callable[..., tuple[Any, ...]]
  reduce: str
  streams: tuple[chunked.Plan, ...]

  @property
  def rows(self) -> tiling.Tiles:
    return self.streams[0].rows

  @property
  def vocab(self) -> tiling.Tiles:
    return self.streams[0].vocab


def _stream_logps(plan, xs, weights, biases, norms, index):
  """Each stream's logits, log-probs and head tile for one vocabulary tile."""
  zs, logps, tiles = [], [], []
  for stream, x, w, b, (top, log_sum) in zip(
    plan.streams, xs, weights, biases, norms, strict=True
  ):
    z, fresh, tile = chunked.tile_logits(stream, x, w, b, index)
    zs.append(z)
    logps.append((z - top[:, None]) - log_sum[:, None])
    tiles.append(tile)
  return zs, logps, tiles, fresh


def _partials(plan, logps):
  """Values g_k and partial derivatives dg_k / dlp_i of one tile."""
  values, pull = jax.vjp(plan.integrand, *logps)
  partials = []
  for k in range(len(values)):
    seeds = tuple(
      jnp.ones_like(v) if j == k else jnp.zeros_like(v)
      for j, v in enumerate(values)
    )
    partials.append(pull(seeds))
  return values, partials


def _block_totals(plan: VocabPlan, needs, rows, weights, biases):
  """Totals of a block of rows and what its backward pass wants kept.

  Args:
    plan: static options.
    needs: per stream `vjp.Needs`, or None outside differentiation.
    rows: (xs, targets) of the block.
    weights, biases: per stream.

  Returns:
    totals [k][n] as (top, log_sum) for a logsumexp, (sum, 0) for a sum;
    norms [m] of (top, log_sum); logps at the target [m]; for each (k, i)
    sum_v of the partial derivative, None where nobody asks for it.
  """
  xs, targets = rows
  norms, logps_at_target = [], []
  for stream, x, w, b in zip(plan.streams, xs, weights, biases, strict=True):
    top, log_sum, target_logit, _ = chunked.block_stats(
      stream, (x, targets), w, b
    )
    norms.append((top, log_sum))
    logps_at_target.append((target_logit - top) - log_sum)
  zero = jnp.zeros(targets.shape, jnp.result_type(*logps_at_target))
  lowest = jnp.full_like(zero, chunked.LOWEST)
  is_log = plan.reduce == "logsumexp"
  probe = [zero] * len(plan.streams)
  count = len(jax.eval_shape(plan.integrand, *probe))
  wanted = [
    needs is not None and (n.x or n.weight or n.bias)
    for n in (needs or [None] * len(plan.streams))
  ]

  def body(index, carry):
    _, logps, _, fresh = _stream_logps(plan, xs, weights, biases, norms, index)
    if any(wanted):
      values, partials = _partials(plan, logps)
    else:
      values, partials = plan.integrand(*logps), [()] * count
    new = []
    for value, partial, (top, total, slopes) in zip(
      values, partials, carry, strict=True
    ):
      weight = None
      if is_log:
        if fresh is not None:
          value = jnp.where(fresh[None], value, chunked.LOWEST)
        new_top = jnp.maximum(top, jnp.max(value, axis=1))
        weight = jnp.exp(value - new_top[:, None])
        scale = jnp.exp(top - new_top)
        top, total = new_top, total * scale + jnp.sum(weight, axis=1)
        slopes = tuple(None if s is None else s * scale for s in slopes)
      else:
        if fresh is not None:
          value = jnp.where(fresh[None], value, 0.0)
        total = total + jnp.sum(value, axis=1)
      moved = []
      for i, slope in enumerate(slopes):
        if slope is not None:
          part = partial[i] if weight is None else partial[i] * weight
          if fresh is not None:
            part = jnp.where(fresh[None], part, 0.0)
          slope = slope + jnp.sum(part, axis=1)
        moved.append(slope)
      new.append((top, total, tuple(moved)))
    return tuple(new)

  start = (lowest, zero, tuple(zero if w else None for w in wanted))
  final = tiling.fold(plan.vocab, body, (start,) * count)
  totals, slopes = [], []
  for top, total, slope in final:
    if is_log:
      slopes.append(tuple(None if s is None else s / total for s in slope))
      totals.append((top, jnp.log(total)))
    else:
      slopes.append(slope)
      totals.append((total, zero))
  return tuple(totals), tuple(norms), tuple(logps_at_target), tuple(slopes)


def _run(plan, needs, xs, weights, biases, targets):
  return tiling.over_rows(
    plan.rows,
    functools.partial(_block_totals, plan, needs),
    (xs, targets),
    weights,
    biases,
  )


def _outputs(totals, logps):
  return tuple(a + b for a, b in totals), logps


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _vocab_sum(plan: VocabPlan, xs, weights, biases, targets):
  totals, _, logps, _ = _run(plan, None, xs, weights, biases, targets)
  return _outputs(totals, logps)


def _forward(plan: VocabPlan, xs, weights, biases, targets):
  needs = tuple(map(vjp.needs_of, xs, weights, biases))
  xs, weights, biases, targets = vjp.values((xs, weights, biases, targets))
  totals, norms, logps, slopes = _run(plan, needs, xs, weights, biases, targets)
  residuals = (needs, xs, weights, biases, targets, totals, norms, slopes)
  return _outputs(totals, logps), residuals


def _block_gradients(plan, needs, rows, weights, biases, shared):
  """dxs of a block of rows, and the shared gradients with its part added."""
  xs, targets, totals, norms, slopes, (g_totals, g_logps) = rows
  dtype = norms[0][0].dtype
  active = [n.x or n.weight or n.bias for n in needs]
  # What each stream's softmax is multiplied by: [m][n].
  pulls = []
  for i, is_active in enumerate(active):
    pull = 0.0 if g_logps[i] is None else g_logps[i]
    if is_active:
      for g, slope in zip(g_totals, slopes, strict=True):
        pull = pull if g is None else pull + g * slope[i]
    pulls.append(jnp.broadcast_to(pull, targets.shape).astype(dtype))

  flips = tuple(map(chunked.flipped, plan.streams, needs, xs, weights))

  def body(index, carry):
    dxs, dws, dbs = (list(c) for c in carry)
    zs, logps, tiles, fresh = _stream_logps(
      plan, xs, weights, biases, norms, index
    )
    values, pull_back = jax.vjp(plan.integrand, *logps)
    seeds = []
    for value, g, (top, log_sum) in zip(values, g_totals, totals, strict=True):
      if g is None:
        seed = jnp.zeros_like(value)
      elif plan.reduce == "logsumexp":
        # Stale columns are dropped below, together with everything else.
        share = jnp.exp((value - top[:, None]) - log_sum[:, None])
        seed = g[:, None] * share
      else:
        seed = jnp.broadcast_to(g[:, None], value.shape)
      seeds.append(seed.astype(value.dtype))
    slopes_v = pull_back(tuple(seeds))
    column = plan.vocab.start(index) + jnp.arange(plan.vocab.size)
    for i, stream in enumerate(plan.streams):
      if not active[i]:
        continue
      dz = slopes_v[i] - jnp.exp(logps[i]) * pulls[i][:, None]
      if g_logps[i] is not None:
        dz = dz + jnp.where(
          column[None] == targets[:, None], g_logps[i][:, None], 0.0
        )
      if fresh is not None:
        dz = jnp.where(fresh[None], dz, 0.0)
      dxs[i], dws[i], dbs[i] = chunked.add_gradients(
        stream,
        needs[i],
        zs[i],
        dz,
        xs[i],
        flips[i],
        tiles[i],
        index,
        dxs[i],
        dws[i],
        dbs[i],
      )
    return tuple(dxs), tuple(dws), tuple(dbs)

  zeros = tuple(jnp.zeros(x.shape, dtype) for x in xs)
  return tiling.fold(plan.vocab, body, (zeros, *shared))


def _backward(plan: VocabPlan, residuals, cotangents):
  needs, xs, weights, biases, targets, totals, norms, slopes = residuals
  dtype = norms[0][0].dtype
  cotangents = vjp.given(cotangents)

  def block(rows, fresh, shared):
    *kept, given = rows
    if fresh is not None:
      # Rows that an earlier block has done already add nothing.
      given = jax.tree.map(lambda c: jnp.where(fresh, c, 0.0), given)
    dxs, dws, dbs = _block_gradients(
      plan, needs, (*kept, given), weights, biases, shared
    )
    return dxs, (dws, dbs)

  dws = tuple(
    chunked.head_zeros(*each, dtype)
    for each in zip(plan.streams, needs, xs, weights, strict=True)
  )
  dbs = tuple(
    jnp.zeros(b.shape, dtype) if n.bias else None
    for n, b in zip(needs, biases, strict=True)
  )
  dxs, (dws, dbs) = chunked.over_row_gradients(
    plan,
    block,
    (xs, targets, totals, norms, slopes, cotangents),
    tuple(jnp.zeros(x.shape, dtype) for x in xs),
    (dws, dbs),
  )

  dws = tuple(map(chunked.head_gradient, plan.streams, xs, weights, dws))

  def finish(grads, primals):
    return tuple(
      None if g is None else g.astype(p.dtype)
      for g, p in zip(grads, primals, strict=True)
    )

  dxs = tuple(d if n.x else None for d, n in zip(dxs, needs, strict=True))
  return finish(dxs, xs), finish(dws, weights), finish(dbs, biases), None


_vocab_sum.defvjp(_forward, _backward, symbolic_zeros=True)


def vocab_totals(
  integrand,
  reduce: str,
  problems,
  xs,
  weights,
  biases,
  targets,
  *,
  block_rows: int | None = None,
  block_vocab: int | None = None,
):
  """Totals [k][N] and target log-probs [m][N] of rows [N, D_i].

  Args:
    integrand: m arrays -> tuple of k arrays, elementwise.
    reduce: "sum" or "logsumexp".
    problems: per stream static options.
    xs, weights, biases: per stream.
    targets: int32 [N], inside the vocabulary.
    block_rows: rows a tile, None for the table.
    block_vocab: vocabulary ids a tile, None for the table.
  """
  vocab = problems[0].vocab_of(weights[0])
  streams = tuple(
    chunked.make_plan(p, xs[0].shape[0], vocab, block_rows, block_vocab)
    for p in problems
  )
  plan = VocabPlan(integrand, reduce, streams)
  return _vocab_sum(plan, xs, weights, biases, targets)
