# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The scan over layers that stacks words: the numbers of `jax.lax.scan`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefjax.models import layer_scan

D, LAYERS = 8, 3


def _inputs():
  keys = jax.random.split(jax.random.key(0), 4)
  x = jax.random.normal(keys[0], (4, D), jnp.bfloat16)
  weights = {
    "w": jax.random.normal(keys[1], (LAYERS, D, D)) / 3,
    "scale": jax.random.normal(keys[2], (LAYERS, D)),
    "index": jnp.arange(LAYERS),
  }
  return x, weights, jax.random.normal(keys[3], (D,))


def _total(scan, remat, learned, fixed, closed):
  """A scalar of a stack that closes over `closed` and counts its layers."""
  x, weights = learned[0], {**fixed, **learned[1]}

  def block(x, inputs):
    y = jnp.tanh((x @ inputs["w"].astype(x.dtype)).astype(jnp.float32))
    y = y * inputs["scale"] + closed + inputs["index"]
    return x + y.astype(x.dtype), {"cache": None}

  if remat:
    block = jax.checkpoint(block, prevent_cse=False)
  last, kept = scan(block, x, weights)
  assert kept == {"cache": None}
  return jnp.sum(last.astype(jnp.float32) ** 2)


@pytest.mark.parametrize("remat", [False, True])
@pytest.mark.parametrize("frozen", [(), ("w",), ("w", "scale")])
def test_same_value_and_gradients_as_a_plain_scan(remat, frozen):
  x, weights, closed = _inputs()
  fixed = {k: weights.pop(k) for k in (*frozen, "index")}
  found = [
    jax.jit(
      jax.value_and_grad(
        lambda learned, closed, scan=scan: _total(
          scan, remat, learned, fixed, closed
        ),
        argnums=(0, 1),
      )
    )((x, weights), closed)
    for scan in (jax.lax.scan, layer_scan.scan)
  ]
  plain, words = (jax.tree.map(np.float32, f) for f in found)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-2, atol=2e-2),
    plain,
    words,
  )
  assert np.abs(words[1][1]).max() > 0.1


def test_a_frozen_carry_and_frozen_weights_need_no_gradient():
  x, weights, closed = _inputs()
  gradient = jax.grad(
    lambda closed: _total(layer_scan.scan, False, (x, {}), weights, closed)
  )(closed)
  plain = jax.grad(
    lambda closed: _total(jax.lax.scan, False, (x, {}), weights, closed)
  )(closed)
  np.testing.assert_allclose(gradient, plain, rtol=2e-2)


def test_stacks_hold_words_not_bfloat16():
  x, weights, closed = _inputs()
  fixed = {"index": weights.pop("index")}

  def total(learned):
    return _total(layer_scan.scan, False, learned, fixed, closed)

  text = str(jax.make_jaxpr(jax.grad(total))((x, weights)))
  assert f"u16[{LAYERS}," in text and f"bf16[{LAYERS}," not in text


def test_what_a_block_keeps_is_stacked_as_by_a_plain_scan():
  x, weights, _ = _inputs()

  def block(x, inputs):
    x = x + inputs["scale"].astype(x.dtype)
    return x, {"cache": x[0]}

  plain = jax.lax.scan(block, x, weights)
  words = layer_scan.scan(block, x, weights)
  jax.tree.map(np.testing.assert_array_equal, plain, words)


def test_only_bfloat16_on_a_cpu_is_better_stacked_as_words():
  assert layer_scan.pays(jnp.bfloat16)
  assert not layer_scan.pays(jnp.float32)
