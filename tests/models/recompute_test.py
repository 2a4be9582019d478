# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a CPU computes again for the backward pass."""

import types

import jax
import jax.numpy as jnp
import model_support
import numpy as np
import pytest

from prefjax import models
from prefjax.kernels import select
from prefjax.models import recompute


def _gate(x, scale):
  return jax.nn.silu(x) * scale


def _kept(x, scale):
  run = recompute.cheap(_gate)
  saved = jax.eval_shape(lambda x, s: jax.vjp(run, x, s)[1], x, scale)
  return sum(a.size for a in jax.tree.leaves(saved))


@pytest.mark.parametrize("rows", [4, 1 << 13])
def test_numbers_stay(rows):
  x = jax.random.normal(jax.random.key(0), (rows, 16))
  scale = jnp.linspace(1.0, 2.0, 16)
  for gradient in (False, True):

    def total(x, scale, function):
      return jnp.sum(function(x, scale) ** 2)

    function = jax.grad(total, argnums=(0, 1)) if gradient else total
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5),
      function(x, scale, _gate),
      function(x, scale, recompute.cheap(_gate)),
    )


def test_large_values_are_not_kept_on_a_cpu(monkeypatch):
  x, scale = jnp.ones((1 << 13, 16)), jnp.ones(16)
  assert _kept(x, scale) <= x.size + scale.size
  small = _kept(x[:4], scale)
  assert small > x[:4].size + scale.size
  device = types.SimpleNamespace(platform="tpu")
  monkeypatch.setattr(select, "target_device", lambda mesh=None: device)
  assert _kept(x, scale) > x.size + scale.size


def test_what_a_product_reads_is_not_kept_in_float32(monkeypatch):
  config = model_support.config(
    hidden_size=64, intermediate_size=96, head_dim=16, max_positions=256
  )
  model = models.Model(config)
  params = model.init(jax.random.key(0))
  tokens = jax.random.randint(jax.random.key(1), (8, 256), 0, 32)

  def run(params):
    return jnp.sum(model.rows(params, tokens) ** 2)

  def kept():
    saved = jax.eval_shape(lambda p: jax.vjp(run, p)[1], params)
    return sum(a.size for a in jax.tree.leaves(saved))

  fewer, same = kept(), jax.grad(run)(params)
  monkeypatch.setattr(recompute, "feeds_product", lambda dtype: False)
  per_token = 2 * 64 + 96  # two norms, and what `down` reads
  assert kept() - fewer == config.num_layers * tokens.size * per_token
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
    same,
    jax.grad(run)(params),
  )
