# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Layers beside one another decode like layers in a stack."""

import jax
import jax.numpy as jnp
import model_support
import numpy as np
import pytest

from prefjax import models
from prefjax.core import host
from prefjax.models import dots, unstacked
from prefjax.models import lora as lora_lib

WIDTH, SLOTS, STEPS = 8, 6, (1, 1, 3)


def _extended(model, params, lora, samples: int, loose: bool, dtype=None):
  group = model_support.group(
    [7, 2],
    [[SLOTS] * samples] * 2,
    prompt_slots=WIDTH,
    response_slots=SLOTS,
  )

  @jax.jit
  def run(params, lora):
    _, cache = model.prefill(
      params,
      group.prompt,
      group.prompt_mask,
      samples=samples,
      slots=SLOTS,
      lora=lora,
      dtype=dtype,
    )
    if loose:
      params, lora = model.unstack(params, lora)
      cache = model.unstack_cache(cache)
    found, start = [], 0
    for size in STEPS:
      tokens = group.response[:, :, start : start + size]
      options = dict(lora=lora, dtype=dtype)
      hidden, cache = model.extend(params, cache, tokens, start, **options)
      found.append(hidden)
      start += size
    return jnp.concatenate(found, axis=2).astype(jnp.float32)

  return np.asarray(run(params, lora))


@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("family", ["gemma3", "gpt2"])
def test_the_same_states(family, samples):
  model, params = model_support.load(family)
  want = _extended(model, params, None, samples, loose=False)
  got = _extended(model, params, None, samples, loose=True)
  np.testing.assert_allclose(got, want, atol=1e-5)


def test_adapters_go_along():
  model, params = model_support.load("qwen2")
  model = models.Model(model.config, lora=models.LoraSpec(rank=2))
  lora = lora_lib.init(jax.random.key(0), model.config, model.lora)
  keys = iter(jax.random.split(jax.random.key(1), 100))
  lora = jax.tree.map(
    lambda x: x + 0.1 * jax.random.normal(next(keys), x.shape), lora
  )
  want = _extended(model, params, lora, 2, loose=False)
  got = _extended(model, params, lora, 2, loose=True)
  np.testing.assert_allclose(got, want, atol=1e-5)
  without = _extended(model, params, None, 2, loose=True)
  assert np.abs(got - without).max() > 1e-2


@pytest.mark.parametrize("has_units", [False, True])
def test_low_precision_differs_by_rounding(has_units, monkeypatch):
  monkeypatch.setattr(host, "has_matrix_units", lambda: has_units)
  model, params = model_support.load("llama")
  exact = _extended(model, params, None, 1, loose=True)
  got = _extended(model, params, None, 1, loose=True, dtype=jnp.bfloat16)
  error = np.sqrt(np.mean((got - exact) ** 2) / np.mean(exact**2))
  assert 1e-4 < error < 0.05


@pytest.mark.parametrize("has_units", [False, True])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_only_matrices_for_matrix_units_lie_transposed(
  dtype, has_units, monkeypatch
):
  monkeypatch.setattr(host, "has_matrix_units", lambda: has_units)
  params = {
    "embed": {"tokens": jnp.ones((5, 2))},
    "blocks": {"0": {"w": jnp.arange(12.0).reshape(2, 3, 2)}},
    "rest": {"0": {"w": jnp.arange(6.0).reshape(3, 2), "b": jnp.ones(2)}},
  }
  params = jax.tree.map(lambda x: x.astype(dtype), params)
  laid = unstacked.weights(params, 2)
  assert laid["embed"]["tokens"].shape == (5, 2)
  want = params["blocks"]["0"]["w"][1]
  turns = has_units and dtype == jnp.bfloat16
  np.testing.assert_array_equal(
    laid["blocks"][1]["0"]["w"], want.T if turns else want
  )
  assert laid["rest"]["0"]["w"].shape == ((2, 3) if turns else (3, 2))
  assert laid["rest"]["0"]["b"].shape == (2,)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("rows", [1, 3])
def test_a_transposed_weight_is_the_same_product(dtype, rows):
  keys = jax.random.split(jax.random.key(0), 4)
  x = jax.random.normal(keys[0], (rows, 1, 8)).astype(dtype)
  weights = [jax.random.normal(key, (8, 5)).astype(dtype) for key in keys[1:3]]
  cotangent = jax.random.normal(keys[3], (2, rows, 1, 5))

  def total(x, weights, transposed):
    if transposed:
      weights = [w.T for w in weights]
    outputs = dots.project(x, *weights, transposed=transposed)
    return sum(
      jnp.sum(c * y.astype(jnp.float32))
      for c, y in zip(cotangent, outputs, strict=True)
    )

  found = [
    jax.value_and_grad(total, argnums=(0, 1))(x, weights, transposed)
    for transposed in (False, True)
  ]
  outputs = dots.project(x, *weights)
  for y, w in zip(outputs, weights, strict=True):
    want = x.astype(jnp.float32) @ w.astype(jnp.float32)
    np.testing.assert_allclose(
      y.astype(jnp.float32), want, atol=1e-5 if dtype == jnp.float32 else 0.05
    )
  for plain, other in zip(*map(jax.tree.leaves, found), strict=True):
    scale = float(jnp.abs(plain.astype(jnp.float32)).max())
    np.testing.assert_allclose(
      np.asarray(other, np.float32),
      np.asarray(plain, np.float32),
      atol=scale * (1e-6 if dtype == jnp.float32 else 0.02),
    )
