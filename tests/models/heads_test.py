# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Heads read the last real token and compute in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefjax.models import heads


def test_outputs_are_those_of_a_matrix():
  head = heads.init(jax.random.key(0), 8, 3)
  head["bias"] = jnp.asarray([1.0, -2.0, 0.5])
  hidden = np.random.default_rng(0).normal(size=(2, 3, 4, 8))
  out = heads.apply(head, jnp.asarray(hidden, jnp.float32))
  want = hidden @ np.asarray(head["weight"], np.float64).T + head["bias"]
  assert out.shape == (2, 3, 4, 3)
  np.testing.assert_allclose(out, want, atol=1e-5)


def test_low_precision_states_give_float32():
  head = heads.init(jax.random.key(0), 8, dtype=jnp.bfloat16)
  assert head["weight"].dtype == head["bias"].dtype == jnp.bfloat16
  assert heads.apply(head, jnp.ones((2, 8), jnp.bfloat16)).dtype == jnp.float32


def test_keywords_of_init():
  weight = heads.init(jax.random.key(0), 400, 50)["weight"]
  assert abs(float(jnp.std(weight)) * 401**0.5 - 1) < 0.03
  quiet = heads.init(jax.random.key(0), 400, std=0)
  assert not heads.apply(quiet, jnp.ones((1, 400))).any()
  bare = heads.init(jax.random.key(0), 4, 2, bias=False)
  assert set(bare) == {"weight"}
  np.testing.assert_allclose(
    heads.apply(bare, jnp.ones((1, 4)))[0], bare["weight"].sum(1), rtol=1e-6
  )
  with pytest.raises(ValueError, match="num_outputs=0"):
    heads.init(jax.random.key(0), 4, 0)
  with pytest.raises(ValueError, match="std=-1"):
    heads.init(jax.random.key(0), 4, std=-1)


def test_last_token_goes_by_the_mask():
  rng = np.random.default_rng(0)
  hidden = rng.normal(size=(2, 3, 5, 4)).astype(np.float32)
  lengths = np.array([[5, 2, 1], [3, 0, 4]])
  mask = np.arange(5) < lengths[..., None]
  last = heads.last_token(jnp.asarray(hidden), mask)
  for b in range(2):
    for k in range(3):
      want = hidden[b, k, max(lengths[b, k] - 1, 0)]
      np.testing.assert_array_equal(last[b, k], want)


def test_gradients_reach_the_last_token_only():
  hidden = jnp.ones((1, 2, 4, 3))
  mask = jnp.asarray([[[1, 1, 0, 0], [1, 1, 1, 1]]], bool)
  grad = jax.grad(lambda h: heads.last_token(h, mask).sum())(hidden)
  want = np.zeros((1, 2, 4, 3))
  want[0, 0, 1] = want[0, 1, 3] = 1
  np.testing.assert_array_equal(grad, want)


def test_garbage_at_pads_stays_out():
  hidden = jnp.ones((1, 1, 4, 3)).at[0, 0, 2:].set(jnp.nan)
  mask = jnp.asarray([[[1, 1, 0, 0]]], bool)
  value, grad = jax.value_and_grad(lambda h: heads.last_token(h, mask).sum())(
    hidden
  )
  assert value == 3
  assert np.isfinite(grad).all()
