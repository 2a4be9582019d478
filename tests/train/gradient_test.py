# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""How a batch is cut, padded, ordered and spread does not change a gradient."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import lm_support
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from prefjax import losses, methods
from prefjax.core import errors, prng, types
from prefjax.methods import adapters
from prefjax.train import gradient
from prefjax.train import mesh as mesh_lib

TOLERANCE = 1e-6


def _plain():
  """Pairs against tokens: two denominators, several pairs a prompt."""
  method = methods.mixture([("dpo", 1.0, {"beta": 1.0}), ("sft", 0.2)])
  return dataclasses.replace(method, record_kind="ranked")


def _coupled():
  """Sorting over the batch, a batch-wide mean, and a term on its own."""
  sort = functools.partial(losses.aot, unsort=True)
  parts = [
    ("aot", 1.0, adapters.pairwise("aot", sort, {"beta": 1.0}, coupled=True)),
    ("kto", 1.0, methods.get("kto", beta=1.0)),
    ("orpo", 0.5, methods.get("orpo")),
  ]
  parts = [
    (name, weight, dataclasses.replace(part, record_kind="ranked"))
    for name, weight, part in parts
  ]
  return adapters.mixture(parts)


CASES = {"plain": _plain, "coupled": _coupled}
cases = pytest.mark.parametrize("name", CASES)


@functools.cache
def _case(name):
  method = CASES[name]()
  return method, lm_support.objective(method), lm_support.start(method)


@functools.cache
def _function(name, cut=gradient.Cut()):  # noqa: B008 - frozen
  """(params, frozen, batch) -> (gradients, loss, metrics), not jitted."""
  _, objective, start = _case(name)

  def run(params, frozen, batch):
    keys = prng.example_keys(0, 0, "loss", batch.example_id)
    grads, evaluation = gradient.evaluate(
      objective, params, frozen, batch, start.method_state, keys, cut
    )
    return grads, evaluation.loss, evaluation.metrics

  return run


@functools.cache
def _jitted(name, micro_batches=1):
  return jax.jit(_function(name, gradient.Cut(micro_batches)))


def _run(name, batch, micro_batches=1):
  _, _, start = _case(name)
  return _jitted(name, micro_batches)(start.params, start.frozen, batch)


@functools.cache
def _expected(name):
  return jax.device_get(_run(name, lm_support.of_method(_case(name)[0])))


def _means(metrics):
  return {name: float(value.mean()) for name, value in metrics.items()}


def _check(name, found):
  """Gradients, loss and every metric, against the whole batch at once."""
  grads, loss, metrics = _expected(name)
  assert lm_support.norm(grads) > 1e-2
  assert lm_support.gap(grads, found[0]) < TOLERANCE
  np.testing.assert_allclose(found[1], loss, rtol=TOLERANCE)
  want, have = _means(metrics), _means(found[2])
  assert want.keys() == have.keys()
  for key, value in want.items():
    np.testing.assert_allclose(have[key], value, 2e-6, 2e-6, err_msg=key)


@cases
@pytest.mark.parametrize("micro_batches", [2, 8])
def test_micro_batches(name, micro_batches):
  batch = lm_support.of_method(_case(name)[0])
  _check(name, _run(name, batch, micro_batches))


@cases
def test_the_cut_would_matter_without_global_denominators(name):
  """The guard of the tests above: halves differ, and so does their mean."""
  method = _case(name)[0]
  weight = np.asarray(lm_support.of_method(method).example_weight)
  grads = [
    # Rows of weight 0 do not exist, so these are batches of four.
    _run(name, lm_support.of_method(method, weight=weight * kept))[0]
    for kept in (np.arange(8) < 4, np.arange(8) >= 4)
  ]
  mean = jax.tree.map(lambda a, b: (a + b) / 2, *grads)
  assert lm_support.gap(_expected(name)[0], mean) > 1e-3


@cases
def test_order_of_the_batch(name):
  batch = lm_support.of_method(_case(name)[0], [5, 2, 7, 0, 1, 6, 3, 4])
  _check(name, _run(name, batch))


@cases
def test_ids_in_pads(name):
  method = _case(name)[0]
  for pad in (lm_support.EOS, lm_support.VOCAB - 1):
    _check(name, _run(name, lm_support.of_method(method, pad=pad)))


def _ruined(batch, keep):
  """NaN in every float, and other tokens, from row `keep` on."""

  def one(x):
    x = np.array(x)
    if np.issubdtype(x.dtype, np.floating):
      x[keep:] = np.nan
    return x

  weight = np.array(batch.example_weight)
  weight[keep:] = 0
  group = dataclasses.replace(
    batch.main,
    ref_token_logps=np.zeros(batch.main.token_weights.shape, np.float32),
  )
  batch = dataclasses.replace(batch, groups={**batch.groups, "main": group})
  batch = jax.tree.map(one, batch)
  return dataclasses.replace(batch, example_weight=weight)


@cases
def test_more_slots_and_rows_of_weight_zero_that_hold_anything(name):
  batch = lm_support.of_method(
    _case(name)[0],
    range(16),
    prompt_slots=9,
    response_slots=7,
    pad=lm_support.EOS,
  )
  _check(name, _run(name, _ruined(batch, 8), 2))


def test_a_batch_of_weight_zero_has_no_gradient():
  method = _case("plain")[0]
  batch = lm_support.of_method(method, weight=np.zeros(8))
  grads, loss, metrics = _run("plain", batch)
  assert lm_support.norm(grads) == 0
  assert float(loss) == 0
  assert set(_means(metrics).values()) == {0.0}


MESHES = {
  "data": dict(data=8),
  "fsdp": dict(data=1, fsdp=8),
  "tensor": dict(data=1, tensor=8),
  "data, fsdp, tensor": dict(data=2, fsdp=2, tensor=2),
}


def _spread(name, mesh, micro_batches=1):
  """The gradient with weights, batch and result over a mesh."""
  method, objective, start = _case(name)
  rules = objective.sharding_rules
  params, frozen = (
    jax.device_put(t, mesh_lib.tree_shardings(mesh, t, rules))
    for t in (start.params, start.frozen)
  )
  batch = mesh_lib.to_global(mesh, lm_support.of_method(method))
  run = jax.jit(
    _function(name, gradient.Cut(micro_batches)),
    out_shardings=(
      mesh_lib.tree_shardings(mesh, params, rules),
      NamedSharding(mesh, PartitionSpec()),
      NamedSharding(mesh, PartitionSpec()),
    ),
  )
  return run(params, frozen, batch)


@cases
@pytest.mark.parametrize("mesh", MESHES)
def test_eight_devices(name, mesh):
  assert len(jax.devices()) == 8
  is_mixed = len(MESHES[mesh]) == 3
  found = _spread(name, mesh_lib.make_mesh(**MESHES[mesh]), 1 + is_mixed)
  if mesh != "data":
    assert any(
      not leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(found)
    )
  _check(name, found)


@cases
def test_pmap(name):
  method, _, start = _case(name)
  run = jax.pmap(
    _function(name, gradient.Cut(2, "batch")),
    axis_name="batch",
    in_axes=(None, None, 0),
    out_axes=None,
    devices=jax.devices()[:4],
  )
  batch = jax.tree.map(
    lambda x: x.reshape(4, 2, *x.shape[1:]), lm_support.of_method(method)
  )
  _check(name, run(start.params, start.frozen, batch))


@cases
def test_micro_batches_must_divide(name):
  method, _, start = _case(name)
  with pytest.raises(errors.ConfigError, match="micro_batches: 3 does not div"):
    _function(name, gradient.Cut(3))(
      start.params, start.frozen, lm_support.of_method(method)
    )


def _flops(micro_batches):
  """Floating point operations of one pass of the compiled loop body."""
  _, _, start = _case("plain")
  batch = lm_support.of_method(_case("plain")[0], range(16))
  lowered = jax.jit(_function("plain", gradient.Cut(micro_batches))).lower(
    start.params, start.frozen, batch
  )
  return lowered.compile().cost_analysis()["flops"]


def test_the_pass_for_the_weights_costs_nothing():
  # XLA counts the body of a loop once: a forward pass too many would show.
  whole, cut = _flops(1), _flops(8)
  assert cut < 1.25 * whole / 8


class _Fixed(methods.Objective):
  """sum_i c_i mean(value) of given values; params shift them."""

  def __init__(self, values, weights, coefficients):
    self._terms = list(zip(values, weights, coefficients, strict=True))

  def loss(self, params, frozen, batch, method_state, keys):
    del frozen, keys
    index = batch["example_id"]
    terms = {
      str(i): types.Term(
        value=jnp.asarray(v)[index] * params["x"],
        weight=jnp.asarray(w)[index],
        coefficient=jnp.float32(c),
      )
      for i, (v, w, c) in enumerate(self._terms)
    }
    return methods.LossResult(terms, method_state, {})


def test_the_definition_of_the_objective():
  rng = np.random.default_rng(0)
  values, weights = rng.normal(size=(3, 8)), rng.uniform(size=(3, 8))
  weights[2] = 0  # an empty term counts nothing
  coefficients = [1.0, 0.3, 5.0]
  objective = _Fixed(
    values.astype(np.float32), weights.astype(np.float32), coefficients
  )
  batch = {"example_id": np.arange(8), "example_weight": np.ones(8)}
  want = sum(
    c * np.sum(v * w) / np.sum(w)
    for v, w, c in zip(values[:2], weights[:2], coefficients[:2], strict=True)
  )
  for micro_batches in (1, 4):
    grads, evaluation = gradient.evaluate(
      objective,
      {"x": jnp.float32(2.0)},
      {},
      batch,
      {},
      prng.example_keys(0, 0, "loss", batch["example_id"]),
      gradient.Cut(micro_batches),
    )
    np.testing.assert_allclose(grads["x"], want, rtol=1e-6)
    np.testing.assert_allclose(evaluation.loss, 2 * want, rtol=1e-6)


def test_accumulates_bfloat16_gradients_in_float32():
  # In bfloat16 1 + 1/256 + ... stays 1.
  values = np.full((1, 64), 1 / 256, np.float32)
  values[0, 0] = 1
  objective = _Fixed(values, np.ones((1, 64), np.float32), [64.0])
  batch = {"example_id": np.arange(64), "example_weight": np.ones(64)}
  grads, _ = gradient.evaluate(
    objective,
    {"x": jnp.bfloat16(1.0)},
    {},
    batch,
    {},
    prng.example_keys(0, 0, "loss", batch["example_id"]),
    gradient.Cut(64),
  )
  assert grads["x"].dtype == jnp.bfloat16
  np.testing.assert_allclose(float(grads["x"]), 1 + 63 / 256, rtol=1 / 128)


class _Counting(_Fixed):
  def loss(self, params, frozen, batch, method_state, keys):
    result = super().loss(params, frozen, batch, method_state, keys)
    return result._replace(method_state={"n": method_state["n"] + 1})


def test_a_state_that_depends_on_the_cut_is_refused():
  objective = _Counting(np.ones((1, 8)), np.ones((1, 8)), [1.0])
  batch = {"example_id": np.arange(8), "example_weight": np.ones(8)}
  for micro_batches in (1, 2):
    with pytest.raises(TypeError, match="_Counting.*coupled = True"):
      gradient.evaluate(
        objective,
        {"x": jnp.float32(2.0)},
        {},
        batch,
        {"n": jnp.int32(0)},
        prng.example_keys(0, 0, "loss", batch["example_id"]),
        gradient.Cut(micro_batches),
      )


def test_split_keeps_rows_where_they_are():
  x = np.arange(24).reshape(12, 2)
  parts = gradient.split({"x": x}, 3)["x"]
  assert parts.shape == (3, 4, 2)
  np.testing.assert_array_equal(parts[1], x[1::3])
  np.testing.assert_array_equal(gradient.unsplit(parts), x)


def test_quiet_changes_only_what_is_not_finite_in_rows_of_weight_zero():
  batch = {
    "example_id": np.arange(3),
    "example_weight": np.array([1.0, 0.0, 0.0], np.float32),
    "x": np.array([[np.nan, 1], [np.inf, 2], [3, 4]], np.float32),
  }
  found = gradient.quiet(batch)
  np.testing.assert_array_equal(found["x"], [[np.nan, 1], [0, 2], [3, 4]])
  np.testing.assert_array_equal(found["example_id"], batch["example_id"])
