# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What must hold of every method in the registry, whatever its name."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import lm_support
import numpy as np
import pytest
from table_objective import RESPONSES, TableObjective

from prefjax import methods
from prefjax.core import prng
from prefjax.train import gradient

every = pytest.mark.parametrize("name", methods.names())


@functools.cache
def _method(name):
  return methods.get(name)


@functools.cache
def _setting(name):
  objective = TableObjective(_method(name))
  return objective, objective.init(None)


def _evaluate(name, batch, micro_batches=1):
  """(gradients of the tables, loss, metrics, state), not jitted."""
  objective, start = _setting(name)
  keys = prng.example_keys(0, 0, "loss", batch.example_id)

  def run(params, frozen, batch, keys):
    grads, evaluation = gradient.evaluate(
      objective,
      params,
      frozen,
      batch,
      start.method_state,
      keys,
      gradient.Cut(micro_batches),
    )
    metrics = {k: v.mean() for k, v in evaluation.metrics.items()}
    return grads, evaluation.loss, metrics, evaluation.method_state

  return run, (start.params, start.frozen, batch, keys)


@functools.cache
def _compiled(name, micro_batches=1):
  run, _ = _evaluate(name, lm_support.of_method(_method(name)), micro_batches)
  return jax.jit(run)


def _run(name, batch, micro_batches=1):
  _, arguments = _evaluate(name, batch, micro_batches)
  return jax.device_get(_compiled(name, micro_batches)(*arguments))


@functools.cache
def _expected(name):
  return _run(name, lm_support.of_method(_method(name)))


def _check_same(name, found, tolerance=1e-6):
  want = _expected(name)
  assert lm_support.gap(want[0], found[0]) < tolerance
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, 1e-5, 1e-5),
    want[1:],
    found[1:],
  )


@every
def test_runs_on_models(name):
  """Every output it needs exists, and its terms have one row an example."""
  method = _method(name)
  objective = lm_support.objective(method)
  start = lm_support.start(method)
  batch = lm_support.of_method(method)
  keys = jax.eval_shape(
    lambda ids: prng.example_keys(0, 0, "loss", ids), batch.example_id
  )
  result = jax.eval_shape(
    objective.loss, start.params, start.frozen, batch, start.method_state, keys
  )
  assert result.terms
  for term in result.terms.values():
    assert term.value.shape == term.weight.shape == (8,)
    assert term.value.dtype == jnp.float32
  assert all(m.total.shape == m.weight.shape == ()
             for m in result.metrics.values())  # fmt: skip
  before, after = map(jax.tree.structure, (start.method_state, result[1]))
  assert before == after


@every
def test_gradients_are_finite_and_not_zero(name):
  grads, loss, metrics, state = _expected(name)
  for tree in (grads, loss, metrics, state):
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(tree))
  assert lm_support.norm(grads) > 1e-6


@every
def test_eager_is_jit(name):
  run, arguments = _evaluate(name, lm_support.of_method(_method(name)))
  _check_same(name, jax.device_get(run(*arguments)), 1e-5)


@every
def test_the_order_of_examples_does_not_matter(name):
  ids = [5, 2, 7, 0, 1, 6, 3, 4]
  _check_same(name, _run(name, lm_support.of_method(_method(name), ids)))


def _ruined(batch, keep):
  """Rows from `keep` on have weight 0 and hold NaN."""

  def one(x):
    x = np.array(x)
    if np.issubdtype(x.dtype, np.floating):
      x[keep:] = np.nan
    return x

  weight = np.array(batch.example_weight)
  weight[keep:] = 0
  return dataclasses.replace(jax.tree.map(one, batch), example_weight=weight)


@every
def test_micro_batches_and_filled_rows_do_not_matter(name):
  batch = lm_support.of_method(_method(name), range(12))
  _check_same(name, _run(name, _ruined(batch, 8), 3))


def _swapped(batch):
  """The better response becomes the worse one, in every group of two."""

  def one(group):
    b, k = group.response.shape[:2]
    if k != 2:
      return group
    fields = {
      field.name: getattr(group, field.name)[:, ::-1]
      for field in dataclasses.fields(group)
      if getattr(group, field.name) is not None
      and getattr(group, field.name).shape[:2] == (b, k)
      and field.name not in ("prompt", "prompt_mask", "pairs", "pair_valid")
    }
    return dataclasses.replace(group, **fields)

  groups = {name: one(group) for name, group in batch.groups.items()}
  return dataclasses.replace(batch, groups=groups)


def _swap_tables(tree):
  """Responses 0 and 1 of every table change places."""

  def one(x):
    if x.ndim < 2 or x.shape[1] != RESPONSES:
      return x  # one row an example
    return x[:, jnp.asarray([1, 0, *range(2, RESPONSES)])]

  return jax.tree.map(one, tree)


@every
def test_swapped_sides_flip_the_margin(name):
  method = _method(name)
  metrics = _expected(name)[2]
  if method.record_kind != "pair" or "rewards/margins" not in metrics:
    pytest.skip("not a method on pairs")
  batch = _swapped(lm_support.of_method(method))
  _, arguments = _evaluate(name, batch)
  params, frozen, batch, keys = arguments
  swapped = _compiled(name)(
    _swap_tables(params), _swap_tables(frozen), batch, keys
  )[2]
  assert abs(metrics["rewards/margins"]) > 1e-4
  np.testing.assert_allclose(
    swapped["rewards/margins"], -metrics["rewards/margins"], 1e-4, 1e-6
  )
  what = "logps" if "logps/chosen" in metrics else "rewards"
  for side, other in (("chosen", "rejected"), ("rejected", "chosen")):
    np.testing.assert_allclose(
      swapped[f"{what}/{side}"], metrics[f"{what}/{other}"], 1e-5
    )
