# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The step: many updates however they are cut, and updates not applied."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import lm_support
import numpy as np
import pytest
from objectives import diffusion, recommender

from prefjax import checkpoint, methods
from prefjax.core import host, types
from prefjax.train import mesh as mesh_lib
from prefjax.train import metrics as metrics_lib
from prefjax.train import optim, placement, state
from prefjax.train import step as step_lib

METHODS = {
  "plain": lambda: dataclasses.replace(
    methods.mixture([("dpo", 1.0, {"beta": 1.0}), ("sft", 0.2)]),
    record_kind="ranked",
  ),
  "coupled": lambda: methods.get("kto", beta=1.0),
}


def _train(method, tx, rate, *, mesh, parallel="jit", micro_batches=1, dtype):
  """Parameters after 20 updates on batches of eight rows."""
  objective = lm_support.objective(method, dtype)
  place = placement.Placement(mesh, parallel)
  rules = objective.sharding_rules
  now, still = state.split_frozen(state.create(objective, tx, 0), ())
  now, still = place.copy(place.put(now, rules)), place.put(still, rules)
  step = place.train_step(
    objective, tx, rate, micro_batches=micro_batches, still=still
  )
  for i in range(20):
    ids = np.arange(8) + 8 * (i % 3)
    now, _ = step(now, lm_support.of_method(method, ids))
  assert int(now.step) == 20
  return jax.device_get(now.params)


def _ways():
  devices = jax.devices()
  return {
    "eight parts": dict(
      mesh=mesh_lib.make_mesh(data=1, devices=devices[:1]), micro_batches=8
    ),
    "eight devices": dict(mesh=mesh_lib.make_mesh(data=2, fsdp=2, tensor=2)),
    "pmap": dict(
      mesh=mesh_lib.make_mesh(data=4, devices=devices[:4]),
      micro_batches=2,
      parallel="pmap",
    ),
  }


def _compare(name, tx, rate, dtype, tolerance, ways):
  method = METHODS[name]()
  one = mesh_lib.make_mesh(data=1, devices=jax.devices()[:1])
  want = _train(method, tx, rate, mesh=one, dtype=dtype)
  start = {"policy": lm_support.tree("policy", dtype=dtype)}
  assert lm_support.gap(start, want) > 0.01
  for way in ways:
    found = _train(method, tx, rate, dtype=dtype, **_ways()[way])
    gap = lm_support.gap(want, found)
    assert gap < tolerance, (way, gap)


@pytest.mark.parametrize("name", METHODS)
def test_20_updates_of_sgd_in_float32(name):
  tx = optim.make_optimizer("sgd", b1=0)
  _compare(name, tx, 0.1, jnp.float32, 1e-5, _ways())


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_20_updates_of_adamw_in_float64(name):
  with jax.enable_x64(True):
    tx = optim.make_optimizer("adamw", weight_decay=0.1, clip_norm=1.0)
    ways = ("eight parts", "eight devices")
    _compare(name, tx, 1e-2, jnp.float64, 1e-9, ways)


# --- updates that are not applied ---------------------------------------------


class _Fragile(methods.Objective):
  """Squares of numbers, with a state; a batch may hold poison."""

  coupled = True

  def init(self, key):
    del key
    params = {"a": {"w": jnp.arange(3.0)}, "b": {"w": jnp.float32(2.0)}}
    return methods.Init(params, {}, {"seen": jnp.float32(0.0)})

  def outputs(self, params, frozen, batch, method_state, keys):
    del frozen, method_state, keys
    shift = params["b"]["w"] * batch["gate"]
    # The slope of sqrt at 0 is infinite, and only that of this leaf.
    root = jnp.sqrt(batch["root"] * params["b"]["w"] ** 2)
    return jnp.sum(params["a"]["w"] * batch["x"], axis=-1) + shift + root

  def terms(self, outputs, batch, method_state, keys):
    del keys
    term = types.Term(value=outputs**2, weight=batch["example_weight"])
    seen = method_state["seen"] + jnp.sum(outputs)
    return methods.LossResult({"square": term}, {"seen": seen}, {})


def _rows(**changes):
  batch = {
    "example_id": np.arange(4, dtype=np.int32),
    "example_weight": np.ones(4, np.float32),
    "x": np.ones((4, 3), np.float32),
    "gate": np.ones(4, np.float32),
    "root": np.ones(4, np.float32),
  }
  for name, value in changes.items():
    batch[name] = batch[name].copy()
    batch[name][1] = value
  return batch


@functools.cache
def _fragile_step(micro_batches=1, **options):
  tx = optim.make_optimizer("adamw", **options)
  objective = _Fragile()
  step = step_lib.make_train_step(
    objective, tx, 0.1, micro_batches=micro_batches
  )
  return jax.jit(step), state.create(objective, tx, 0)


POISON = {
  "a NaN in one record": {"x": np.nan},
  "an infinity in one record": {"x": np.inf},
  "a loss that overflows": {"x": 1e30},
  "an infinite slope of one leaf": {"root": 0.0},
}


@pytest.mark.parametrize("poison", POISON)
@pytest.mark.parametrize("micro_batches", [1, 2])
def test_an_update_that_is_not_finite_changes_nothing(poison, micro_batches):
  step, before = _fragile_step(micro_batches)
  before, _ = step(before, _rows())  # so that moments are not zero
  after, metrics = step(before, _rows(**POISON[poison]))
  for part in ("params", "opt_state", "method_state", "frozen", "seed"):
    assert checkpoint.state_sha256(
      getattr(after, part)
    ) == checkpoint.state_sha256(getattr(before, part)), part
  assert int(after.step) == int(before.step) + 1
  assert float(metrics["train/skipped"].mean()) == 1
  # The next good batch is applied, as if there had been no bad one.
  good, metrics = step(after, _rows())
  plain, _ = step(dataclasses.replace(before, step=after.step), _rows())
  assert float(metrics["train/skipped"].mean()) == 0
  assert checkpoint.state_sha256(good) == checkpoint.state_sha256(plain)


def test_the_poison_reaches_what_it_should():
  """The infinite slope leaves loss, state and the other leaf finite."""
  objective = _Fragile()
  start = objective.init(None)

  def loss(params):
    batch = _rows(root=0.0)
    return jnp.sum(objective.outputs(params, {}, batch, {}, None) ** 2)

  value, grads = jax.value_and_grad(loss)(start.params)
  assert np.isfinite(value) and np.isfinite(grads["a"]["w"]).all()
  assert not np.isfinite(grads["b"]["w"])


def test_an_update_divided_by_zero_is_not_applied():
  step, before = _fragile_step(eps=0.0)
  batch = _rows()
  batch["gate"][:] = batch["root"][:] = 0
  batch["root"][:] = 1e-30  # the slope underflows: 0 / 0 in Adam
  batch["x"][:, 0] = 0  # and a leaf's slope is exactly zero
  after, metrics = step(before, batch)
  assert float(metrics["train/skipped"].mean()) == 1
  assert np.isfinite(float(metrics["loss"].mean()))
  assert checkpoint.state_sha256(after.params) == checkpoint.state_sha256(
    before.params
  )


class _SpoiltState(_Fragile):
  def terms(self, outputs, batch, method_state, keys):
    result = super().terms(outputs, batch, method_state, keys)
    bad = jnp.where(batch["gate"][1] == 7, jnp.nan, 1.0)
    seen = result.method_state["seen"] * bad
    return result._replace(method_state={"seen": seen})


def test_a_state_that_turns_nan_is_not_kept():
  tx = optim.make_optimizer("sgd")
  objective = _SpoiltState()
  before = state.create(objective, tx, 0)
  step = jax.jit(step_lib.make_train_step(objective, tx, 0.1))
  after, metrics = step(before, _rows(gate=7))
  assert float(metrics["train/skipped"].mean()) == 1
  assert float(after.method_state["seen"]) == 0
  assert float(step(before, _rows())[0].method_state["seen"]) > 0


# --- what a step reports and costs --------------------------------------------


def test_metrics_of_a_step():
  step, before = _fragile_step()
  after, metrics = step(before, _rows())
  values = metrics_lib.finish(metrics)
  assert set(values) >= {"loss", "loss/square", "grad_norm", "learning_rate"}
  # x = 1: 0 + 1 + 2, and 2 from the gate, and 2 from the root.
  np.testing.assert_allclose(values["loss"], 49, rtol=1e-6)
  slope = np.array([14, 14, 14, 28])
  np.testing.assert_allclose(
    values["grad_norm"], np.sqrt(np.sum(slope**2)), rtol=1e-6
  )
  np.testing.assert_allclose(values["learning_rate"], 0.1, rtol=1e-6)
  # The first update of Adam is the sign of the gradient times the rate.
  np.testing.assert_allclose(after.params["a"]["w"], np.arange(3) - 0.1, 1e-5)
  assert float(after.method_state["seen"]) == 28


def test_the_rate_is_a_function_of_the_step():
  tx = optim.make_optimizer("sgd", b1=0)
  objective = recommender.objective()
  step = step_lib.make_train_step(
    objective, tx, lambda done: jnp.where(done == 1, 0.0, 0.5)
  )
  first = state.create(objective, tx, 0)
  step = jax.jit(step)
  second, _ = step(first, recommender.batch(0))
  third, metrics = step(second, recommender.batch(1))
  assert float(metrics["learning_rate"].mean()) == 0
  sha = checkpoint.state_sha256
  assert sha(first.params) != sha(second.params) == sha(third.params)


class _Traced(recommender.Recommender):
  def __init__(self):
    self.traces = 0

  def loss(self, params, frozen, batch, method_state, keys):
    self.traces += 1
    return super().loss(params, frozen, batch, method_state, keys)


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_compiles_once_a_shape(parallel):
  objective, tx = _Traced(), optim.make_optimizer("adamw")
  place = placement.Placement(mesh_lib.make_mesh(), parallel)
  now = place.put(state.create(objective, tx, 0), objective.sharding_rules)
  step = place.train_step(objective, tx, 0.1, micro_batches=1, still={})
  now, _ = step(now, recommender.batch(0))
  once = objective.traces
  assert once > 0
  for i in range(1, 4):
    now, _ = step(now, recommender.batch(i))
  assert objective.traces == once
  longer = jax.tree.map(lambda x: np.concatenate([x, x]), recommender.batch(4))
  now, _ = step(now, longer)
  assert objective.traces == 2 * once
  now, _ = step(now, recommender.batch(5))
  assert objective.traces == 2 * once


def test_bfloat16_parameters_are_rounded_once():
  objective, tx = recommender.objective(), optim.make_optimizer("sgd", b1=0)
  start = state.create(objective, tx, 0)
  low = jax.tree.map(lambda x: x.astype(jnp.bfloat16), start.params)
  start = dataclasses.replace(start, params=low, opt_state=tx.init(low))
  after, _ = jax.jit(step_lib.make_train_step(objective, tx, 0.3))(
    start, recommender.batch(0)
  )
  assert after.params["users"]["table"].dtype == jnp.bfloat16
  grads = jax.jit(
    jax.grad(
      lambda p: sum(
        t.coefficient * jnp.sum(t.value * t.weight) / jnp.sum(t.weight)
        for t in objective.loss(
          p, {}, recommender.batch(0), {}, None
        ).terms.values()
      )
    )
  )(low)
  want = jax.tree.map(
    lambda p, g: (
      np.asarray(p, np.float32) - np.float32(0.3) * np.asarray(g, np.float32)
    ).astype(jnp.bfloat16),
    low,
    grads,
  )
  same = jax.tree.map(
    lambda a, b: np.mean(np.asarray(a) == np.asarray(b)), after.params, want
  )
  assert min(jax.tree.leaves(same)) > 0.98


# --- evaluation ---------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_evaluation_reports_the_training_loss(name):
  method = METHODS[name]()
  objective = lm_support.objective(method)
  now = state.create(objective, optim.make_optimizer("sgd"), 0)
  batch = lm_support.of_method(method)
  values = [
    metrics_lib.finish(
      jax.jit(step_lib.make_eval_step(objective, micro_batches=n))(now, batch)
    )
    for n in (1, 4)
  ]
  assert values[0].keys() == values[1].keys()
  for key, value in values[0].items():
    np.testing.assert_allclose(values[1][key], value, 1e-5, 1e-5, err_msg=key)
  assert any(key.startswith("loss/") for key in values[0])


def test_evaluation_draws_the_same_at_every_step():
  objective = diffusion.objective()
  now = state.create(objective, optim.make_optimizer("sgd"), 0)
  moved = jax.tree.map(lambda x: x + 0.1, now.params)
  now = dataclasses.replace(now, params=moved)
  run = jax.jit(step_lib.make_eval_step(objective))
  first, later, other = (
    float(run(s, diffusion.batch(0))["loss/diffusion"].mean())
    for s in (
      now,
      dataclasses.replace(now, step=jnp.int32(9)),
      dataclasses.replace(now, seed=jnp.uint32(9)),
    )
  )
  assert first == later != other


# --- memory -------------------------------------------------------------------


class _Deep(methods.Objective):
  """A stack of matrices and next to no activations."""

  count, size = 8, 256

  def init(self, key):
    shape = (self.size, self.size)
    keys = jax.random.split(key, self.count)
    weights = {str(i): jax.random.normal(k, shape) for i, k in enumerate(keys)}
    return methods.Init(weights, {}, {})

  def loss(self, params, frozen, batch, method_state, keys):
    del frozen, keys
    x = jnp.broadcast_to(batch["x"][:, :1], (4, self.size))
    for weight in params.values():
      x = jnp.tanh(x @ weight)
    term = types.Term(value=jnp.mean(x**2, -1), weight=batch["example_weight"])
    return methods.LossResult({"square": term}, method_state, {})


def test_parameters_and_moments_are_written_in_place():
  tx = optim.make_optimizer("adamw")
  objective = _Deep()
  step = step_lib.make_train_step(objective, tx, 0.1)
  shapes = jax.eval_shape(lambda: state.create(objective, tx, 0))
  parameters = 4 * _Deep.count * _Deep.size**2

  def temporaries(options):
    run = jax.jit(step, donate_argnums=0, compiler_options=options)
    memory = run.lower(shapes, _rows()).compile().memory_analysis()
    return memory.temp_size_in_bytes / parameters

  options = host.compiler_options("cpu")
  name = "xla_cpu_copy_insertion_use_region_analysis"
  if name not in options:
    pytest.skip(f"this JAX has no option {name}")
  assert temporaries(options) < 1.5  # the gradient, and a leaf or two
  assert temporaries({**options, name: False}) > 2.5  # and both moments
