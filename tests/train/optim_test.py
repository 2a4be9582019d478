# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Optimisers against NumPy, three updates each, and schedules at their ends."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefjax.core import errors
from prefjax.train import optim

RATE = 0.1
_RNG = np.random.default_rng(0)
PARAMS = {
  "policy": {
    "mlp": {"kernel": _RNG.normal(size=(3, 4)), "bias": _RNG.normal(size=4)},
    "norm": {"scale": _RNG.normal(size=4)},
  },
  "value": {"scalar_head": {"weight": _RNG.normal(size=(1, 4))}},
}
GRADS = [jax.tree.map(lambda p: _RNG.normal(size=p.shape), PARAMS)] * 2
GRADS.append(jax.tree.map(lambda p: 30 * _RNG.normal(size=p.shape), PARAMS))


def _run(tx, params=None, grads=None):
  """Parameters after updates scaled by -RATE, in float64."""
  with jax.enable_x64(True):
    params = jax.tree.map(jnp.asarray, PARAMS if params is None else params)
    state = tx.init(params)
    update = jax.jit(tx.update)
    for grad in GRADS if grads is None else grads:
      grad = jax.tree.map(jnp.asarray, grad)
      updates, state = update(grad, state, params)
      params = jax.tree.map(lambda p, u: p - RATE * u, params, updates)
    return jax.device_get(params)


def _numpy(rule, decay=0.0, clip=None, scales=None):
  """The same in NumPy; `rule` makes an update function a leaf."""
  paths = jax.tree.leaves(optim.tree_paths(PARAMS))
  leaves, structure = jax.tree.flatten(PARAMS)
  rules = [rule(p.shape) for p in leaves]
  for grad in GRADS:
    grads = jax.tree.leaves(grad)
    norm = np.sqrt(sum(np.sum(g * g) for g in grads))
    if clip and norm > clip:
      grads = [g * clip / norm for g in grads]
    new = []
    for path, p, g, one in zip(paths, leaves, grads, rules, strict=True):
      update = one(g)
      if "kernel" in path or "weight" in path:
        update = update + decay * p
      factor = (scales or {}).get(path.split("/")[0], 1.0)
      new.append(p - RATE * factor * update)
    leaves = new
  return jax.tree.unflatten(structure, leaves)


def _adam(shape, b1=0.9, b2=0.999, eps=1e-8):
  m, v, t = np.zeros(shape), np.zeros(shape), 0

  def update(g):
    nonlocal m, v, t
    t += 1
    m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
    return m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)

  return update


def _lion(shape, b1=0.9, b2=0.99):
  m = np.zeros(shape)

  def update(g):
    nonlocal m
    direction = np.sign(b1 * m + (1 - b1) * g)
    m = b2 * m + (1 - b2) * g
    return direction

  return update


def _momentum(shape, b1=0.9):
  m = np.zeros(shape)

  def update(g):
    nonlocal m
    m = g + b1 * m
    return m

  return update


def _adafactor(shape, b1=0.9):
  """arXiv:1804.04235 without factoring: small matrices keep all of v."""
  v, m, t = np.zeros(shape), np.zeros(shape), 0

  def update(g):
    nonlocal v, m, t
    t += 1
    decay = 1 - t**-0.8
    v = decay * v + (1 - decay) * (g * g + 1e-30)
    u = g / np.sqrt(v)
    u = u / max(1.0, np.sqrt(np.mean(u * u)))
    m = b1 * m + (1 - b1) * u
    return m

  return update


def _plain(shape):
  del shape
  return lambda g: g


RULES = {
  "adamw": _adam,
  "lion": _lion,
  "sgd": _momentum,
  "adafactor": _adafactor,
}


def _assert_close(found, want, tolerance=1e-9):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, tolerance, tolerance),
    found,
    want,
  )


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_three_updates(name):
  options = {"b2": 0.99} if name == "lion" else {}
  tolerance = 1e-6 if name == "adafactor" else 1e-9  # it decays in float32
  found = _run(optim.make_optimizer(name, **options))
  _assert_close(found, _numpy(RULES[name]), tolerance)


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_decay_clipping_and_role_scales(name):
  scales = {"value": 0.25}
  options = {"b2": 0.99} if name == "lion" else {}
  tx = optim.make_optimizer(
    name, weight_decay=0.1, clip_norm=2.0, role_scales=scales, **options
  )
  want = _numpy(RULES[name], decay=0.1, clip=2.0, scales=scales)
  tolerance = 1e-6 if name == "adafactor" else 1e-9
  _assert_close(_run(tx), want, tolerance)


def test_plain_descent():
  _assert_close(_run(optim.make_optimizer("sgd", b1=0)), _numpy(_plain))


def test_moments_and_epsilon_are_used():
  rule = functools.partial(_adam, b1=0.5, b2=0.7, eps=0.1)
  tx = optim.make_optimizer("adamw", b1=0.5, b2=0.7, eps=0.1)
  _assert_close(_run(tx), _numpy(rule))


def test_a_role_of_scale_0_stays():
  found = _run(optim.make_optimizer("adamw", role_scales={"value": 0}))
  _assert_close(found["value"], PARAMS["value"], 0)
  moved = found["policy"]["norm"]["scale"] - PARAMS["policy"]["norm"]["scale"]
  assert np.abs(moved).min() > 0


def test_decay_pattern():
  mask = optim.decay_mask("scale$")(PARAMS)
  assert mask["policy"]["norm"]["scale"]
  assert sum(jax.tree.leaves(mask)) == 1


def test_clipping_leaves_small_gradients():
  small = [jax.tree.map(lambda g: 1e-3 * g, GRADS[0])]
  one, two = (
    _run(optim.make_optimizer("sgd", clip_norm=c), grads=small)
    for c in (None, 1.0)
  )
  _assert_close(one, two, 0)


@pytest.mark.parametrize("name", ["adamw", "lion", "sgd"])
def test_dtype_of_the_first_moment(name):
  params = jax.tree.map(jnp.float32, PARAMS)

  def dtypes(moment):
    tx = optim.make_optimizer(name, moment_dtype=moment)
    leaves = jax.tree.leaves(jax.eval_shape(tx.init, params))
    return [str(leaf.dtype) for leaf in leaves if leaf.ndim]

  assert set(dtypes(None)) == {"float32"}
  assert dtypes(jnp.bfloat16).count("bfloat16") == len(jax.tree.leaves(params))


@pytest.mark.parametrize(
  "options, message",
  [
    ({"name": "adamv"}, r"opt.name: 'adamv' is not one of .*mean 'adamw'"),
    ({"b1": 1.0}, r"opt.b1=1.0 is outside \[0, 1\)"),
    ({"eps": -1.0}, r"opt.eps=-1.0"),
    ({"weight_decay": -0.1}, r"opt.weight_decay=-0.1"),
    ({"clip_norm": -2.0}, r"opt.clip_norm=-2.0"),
    ({"weight_decay": 0.1, "decay_pattern": "("}, "opt.decay_pattern='\\('"),
  ],
)
def test_what_is_refused(options, message):
  with pytest.raises(errors.ConfigError, match=message) as caught:
    optim.make_optimizer(**{"name": "adamw", **options})
  assert "\n" not in str(caught.value)


def test_a_misspelt_role_is_refused():
  tx = optim.make_optimizer("sgd", role_scales={"polcy": 0.1})
  with pytest.raises(errors.ConfigError, match="polcy.*did you mean 'policy'"):
    tx.init(PARAMS)


# --- schedules ----------------------------------------------------------------


def _rates(name, steps, **options):
  schedule = optim.make_schedule(name, 2.0, **options)
  return [float(schedule(step)) for step in steps]


def test_constant():
  assert _rates("constant", [0, 7, 99], total_steps=10) == [2.0] * 3
  assert _rates(
    "constant", [0, 1, 3, 4, 9], total_steps=10, warmup_steps=4
  ) == [0.5, 1.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_decays_from_the_peak_to_the_final_fraction(name):
  options = dict(total_steps=14, warmup_steps=4, final_fraction=0.1)
  found = _rates(name, [0, 3, 4, 9, 14, 20], **options)
  np.testing.assert_allclose(found, [0.5, 2, 2, 1.1, 0.2, 0.2], rtol=1e-6)
  rates = _rates(name, range(4, 15), **options)
  assert all(a > b for a, b in zip(rates, rates[1:], strict=False))


def test_cosine_against_numpy():
  found = _rates("cosine", range(11), total_steps=10)
  want = 1 + np.cos(np.pi * np.arange(11) / 10)
  np.testing.assert_allclose(found, want, atol=1e-6)


def test_inverse_sqrt():
  found = _rates("inverse_sqrt", [0, 3, 15, 63], total_steps=9, warmup_steps=4)
  np.testing.assert_allclose(found, [0.5, 2, 1, 0.5], rtol=1e-6)


def test_a_later_stage_starts_anew():
  for name in optim.SCHEDULES:
    options = dict(total_steps=10, warmup_steps=3)
    first = _rates(name, range(10), **options)
    later = _rates(name, range(50, 60), start=50, **options)
    assert first == later


def test_a_schedule_is_a_function_of_an_array():
  schedule = optim.make_schedule("linear", 1.0, total_steps=4)
  found = jax.jit(schedule)(jnp.int32(2))
  assert found.dtype == jnp.float32 and float(found) == 0.5


def test_warm_up_longer_than_the_run():
  found = _rates("linear", range(3), total_steps=3, warmup_steps=6)
  np.testing.assert_allclose(found, [1 / 3, 2 / 3, 1], rtol=1e-6)


@pytest.mark.parametrize(
  "name, options, message",
  [
    ("cosin", {}, "opt.schedule: 'cosin'.*did you mean 'cosine'"),
    ("linear", {"final_fraction": 1.5}, "opt.final_fraction: 1.5"),
    ("linear", {"warmup_steps": -1}, "warmup_steps=-1"),
  ],
)
def test_schedules_that_are_refused(name, options, message):
  with pytest.raises(errors.ConfigError, match=message):
    optim.make_schedule(name, 1.0, total_steps=5, **options)
