# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The gradient of an objective over a whole batch.

  objective = sum_i c_i * sum(value_i * weight_i) / sum(weight_i)

over all rows of the global batch. The denominators are totalled over
micro-batches and devices before the backward pass, so neither changes the
result. Objectives that couple examples take two passes: the outputs of all
micro-batches are collected, the loss and its cotangents are taken on the
whole batch, and each micro-batch is back-propagated from its cotangents.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from prefjax.core import errors, types
from prefjax.methods import objective as objective_lib

Objective = objective_lib.Objective
Evaluation = objective_lib.Evaluation


@dataclasses.dataclass(frozen=True)
class Cut:
  """How a batch is spread.

  Attributes:
    micro_batches: parts that are run one after the other.
    axis: name of a mapped device axis (pmap, shard_map), or None under jit.
  """

  micro_batches: int = 1
  axis: str | None = None


def rows(batch: Any) -> int:
  """B of any batch."""
  return types.batch_field(batch, "example_id").shape[0]


def split(tree: Any, parts: int) -> Any:
  """[B, ...] -> [parts, B / parts, ...]; part j holds rows j, j + parts, ...

  Strided, so that rows that a device holds stay on it.
  """

  def one(x):
    x = x.reshape(x.shape[0] // parts, parts, *x.shape[1:])
    return jnp.swapaxes(x, 0, 1)

  return jax.tree.map(one, tree)


def unsplit(tree: Any) -> Any:
  """Undoes `split`."""

  def one(x):
    x = jnp.swapaxes(x, 0, 1)
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])

  return jax.tree.map(one, tree)


def quiet(batch: Any) -> Any:
  """The batch without NaN or infinity in rows of weight 0.

  Such a row only fills a place: its loss is not counted, but 0 * NaN is NaN
  in a backward pass. Finite content stays.
  """
  empty = jnp.asarray(types.batch_field(batch, "example_weight")) == 0

  def one(x):
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
      return x
    row = empty.reshape(-1, *[1] * (x.ndim - 1))
    return jnp.where(row & ~jnp.isfinite(x), 0, x)

  return jax.tree.map(one, batch)


def term_sums(terms: objective_lib.Terms) -> dict[str, types.WeightedSum]:
  """Each term as (sum(v w), sum(w)); weights carry no gradient.

  A row of weight 0 is not looked at, whatever its value is.
  """
  sums = {}
  for name, term in terms.items():
    weight = jax.lax.stop_gradient(term.weight)
    value = jnp.where(weight == 0, 0.0, term.value)
    sums[name] = types.WeightedSum(
      total=jnp.sum(value * weight), weight=jnp.sum(weight)
    )
  return sums


def combine(
  terms: objective_lib.Terms,
  sums: dict[str, types.WeightedSum],
  weights: dict[str, Any],
) -> jax.Array:
  """The objective from sums and global denominators; empty terms give 0."""
  total = jnp.float32(0.0)
  for name, term in terms.items():
    weight = jnp.where(weights[name] == 0, 1.0, weights[name])
    total = total + term.coefficient * sums[name].total / weight
  return total


def _psum(tree: Any, axis: str | None) -> Any:
  return tree if axis is None else jax.lax.psum(tree, axis)


def _metrics(result, sums) -> objective_lib.Metrics:
  named = {f"loss/{name}": value for name, value in sums.items()}
  return {**result.metrics, **named}


def _check(batch: Any, cut: Cut) -> None:
  if rows(batch) % cut.micro_batches:
    raise errors.ConfigError(
      f"train.micro_batches: {cut.micro_batches} does not divide the"
      f" {rows(batch)} rows that a device group holds"
    )


def _check_state(objective: Objective, before: Any, after: Any) -> None:
  """A state that a part of the batch changed would depend on the cut."""
  old, new = jax.tree.leaves(before), jax.tree.leaves(after)
  if len(old) != len(new) or any(
    a is not b for a, b in zip(old, new, strict=True)
  ):
    raise TypeError(
      f"{type(objective).__name__}.loss returns another method_state than it"
      " was given: set coupled = True and define outputs and terms, so that"
      " the state is updated from the whole batch"
    )


def evaluate(
  objective: Objective,
  params: Any,
  frozen: Any,
  batch: Any,
  method_state: Any,
  keys: Any,
  cut: Cut = Cut(),  # noqa: B008 - frozen
) -> tuple[Any, Evaluation]:
  """(gradients like params, Evaluation) over the whole batch.

  Args:
    objective: what is minimised.
    params: trained roles.
    frozen: other roles.
    batch: leads with B (with `cut.axis`, the rows of this device).
    method_state: the method's state before the batch.
    keys: [B] keys, one an example.
    cut: micro-batches and device axis.
  """
  _check(batch, cut)
  batch = quiet(batch)
  if objective.coupled:
    return _coupled(objective, params, frozen, batch, method_state, keys, cut)
  return _plain(objective, params, frozen, batch, method_state, keys, cut)


def _plain(objective, params, frozen, batch, method_state, keys, cut):
  """Examples are independent: gradients of micro-batches add up."""

  def run(params, part, part_keys):
    result = objective.loss(params, frozen, part, method_state, part_keys)
    _check_state(objective, method_state, result.method_state)
    return result

  if cut.micro_batches == 1:

    def whole(params):
      result = run(params, batch, keys)
      sums = term_sums(result.terms)
      weights = _psum({n: s.weight for n, s in sums.items()}, cut.axis)
      loss = combine(result.terms, sums, weights)
      return loss, _metrics(result, sums)

    (loss, metrics), grads = jax.value_and_grad(whole, has_aux=True)(params)
    loss, metrics, grads = _psum((loss, metrics, grads), cut.axis)
    return grads, Evaluation(loss, method_state, metrics)

  parts, part_keys = split((batch, keys), cut.micro_batches)

  def weigh(_, part):
    # Weights do not depend on the models, so the compiler drops these.
    result = run(params, *part)
    sums = term_sums(result.terms)
    return None, {name: s.weight for name, s in sums.items()}

  weights = jax.lax.scan(weigh, None, (parts, part_keys))[1]
  weights = _psum(jax.tree.map(jnp.sum, weights), cut.axis)

  def micro(params, part, keys):
    result = run(params, part, keys)
    sums = term_sums(result.terms)
    return combine(result.terms, sums, weights), _metrics(result, sums)

  def body(grads, part):
    out, more = jax.value_and_grad(micro, has_aux=True)(params, *part)
    return jax.tree.map(_accumulate, grads, more), out

  grads, sums = jax.lax.scan(body, _zeros_like(params), (parts, part_keys))
  loss, metrics = jax.tree.map(lambda x: jnp.sum(x, axis=0), sums)
  loss, metrics, grads = _psum((loss, metrics, grads), cut.axis)
  return _like(grads, params), Evaluation(loss, method_state, metrics)


def _zeros_like(params):
  """Accumulators in float32 or better."""

  def zeros(p):
    return jnp.zeros(p.shape, jnp.promote_types(p.dtype, jnp.float32))

  return jax.tree.map(zeros, params)


def _accumulate(total, more):
  return total + more.astype(total.dtype)


def _like(grads, params):
  return jax.tree.map(lambda g, p: g.astype(p.dtype), grads, params)


def _is_float(x) -> bool:
  return jnp.issubdtype(x.dtype, jnp.inexact)


def _coupled(objective, params, frozen, batch, method_state, keys, cut):
  """The loss needs the whole batch: two passes over the micro-batches."""

  def outputs(params, part, part_keys):
    return objective.outputs(params, frozen, part, method_state, part_keys)

  n = cut.micro_batches
  if n == 1:
    collected, pull = jax.vjp(lambda p: outputs(p, batch, keys), params)
  else:
    parts = split((batch, keys), n)

    def collect(_, part):
      return None, outputs(params, *part)

    collected = unsplit(jax.lax.scan(collect, None, parts)[1])

  def gather(tree):
    if cut.axis is None:
      return tree
    return jax.tree.map(
      lambda x: jax.lax.all_gather(x, cut.axis, tiled=True), tree
    )

  whole_batch, whole_keys, whole = gather((batch, keys, collected))
  leaves, structure = jax.tree.flatten(whole)
  smooth = [x for x in leaves if _is_float(x)]

  def loss_of(smooth):
    rest = iter(smooth)
    merged = [next(rest) if _is_float(x) else x for x in leaves]
    result = objective.terms(
      jax.tree.unflatten(structure, merged),
      whole_batch,
      method_state,
      whole_keys,
    )
    sums = term_sums(result.terms)
    loss = combine(result.terms, sums, {k: s.weight for k, s in sums.items()})
    return loss, (_metrics(result, sums), result.method_state)

  (loss, (metrics, state)), slopes = jax.value_and_grad(loss_of, has_aux=True)(
    smooth
  )
  own = rows(batch)
  if cut.axis is not None:
    start = jax.lax.axis_index(cut.axis) * own
    slopes = [jax.lax.dynamic_slice_in_dim(s, start, own) for s in slopes]
  rest = iter(slopes)
  cotangents = jax.tree.unflatten(
    structure,
    [
      next(rest)
      if _is_float(x)
      else jnp.zeros((own, *x.shape[1:]), jax.dtypes.float0)
      for x in leaves
    ],
  )
  if n == 1:
    (grads,) = pull(cotangents)
  else:
    whole_slopes = [c for c in jax.tree.leaves(cotangents) if _is_float(c)]

    def body(grads, part):
      part, part_keys, slopes = part
      _, back = jax.vjp(
        lambda p: [
          x
          for x in jax.tree.leaves(outputs(p, part, part_keys))
          if _is_float(x)
        ],
        params,
      )
      return jax.tree.map(_accumulate, grads, back(slopes)[0]), None

    parts = (*split((batch, keys), n), split(whole_slopes, n))
    grads, _ = jax.lax.scan(body, _zeros_like(params), parts)
    grads = _like(grads, params)
  return _psum(grads, cut.axis), Evaluation(loss, state, metrics)
