# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Prefill and extend, in steps of any size, are one forward pass."""

import jax
import jax.numpy as jnp
import model_support
import numpy as np
import pytest

from prefjax import generation

PROMPTS = [7, 2]
WIDTH, SAMPLES, SLOTS = 8, 2, 9


@pytest.fixture(scope="module")
def group():
  lengths = [[SLOTS] * SAMPLES] * len(PROMPTS)
  return model_support.group(
    PROMPTS, lengths, prompt_slots=WIDTH, response_slots=SLOTS
  )


@pytest.mark.parametrize("steps", [(9,), (1, 3, 4)])
@pytest.mark.parametrize("family", ["gemma2", "gpt2"])
def test_steps_of_any_size_are_one_pass(family, steps, group):
  model, params = model_support.load(family)

  @jax.jit
  def run(params):
    hidden, cache = model.prefill(
      params, group.prompt, group.prompt_mask, samples=SAMPLES, slots=SLOTS
    )
    parts, start = [], 0
    for size in steps:
      tokens = group.response[:, :, start : start + size]
      states, cache = model.extend(params, cache, tokens, start)
      parts.append(states)
      start += size
    return hidden, jnp.concatenate(parts, axis=2), model.hidden(params, group)

  end, at, want = run(params)
  np.testing.assert_allclose(end, want.prompt_end, atol=1e-5)
  count = sum(steps)
  np.testing.assert_allclose(at, want.at[:, :, :count], atol=1e-5)


def test_low_precision_caches_are_stored_as_asked(group):
  model, params = model_support.load("llama")
  _, cache = jax.eval_shape(
    lambda p: model.prefill(
      p,
      group.prompt,
      group.prompt_mask,
      samples=SAMPLES,
      slots=SLOTS,
      cache_dtype=jnp.bfloat16,
    ),
    params,
  )
  config = model.config
  own = (2, config.num_kv_heads, SAMPLES, SLOTS, config.head_dim)
  for leaf in jax.tree.leaves((cache.prompt, cache.own)):
    assert leaf.dtype == jnp.uint16  # bfloat16, as words on a CPU
  for leaf in jax.tree.leaves(cache.own):
    assert leaf.shape == (config.num_layers, *own)


def test_sharded_parameters_generate_the_same():
  model, params = model_support.load("qwen2")
  devices = np.array(jax.devices())
  mesh = jax.sharding.Mesh(devices, ("data",))

  def place(leaf):
    divides = leaf.shape[-1] % len(devices) == 0
    axes = (None,) * (leaf.ndim - 1) + ("data" if divides else None,)
    spec = jax.sharding.PartitionSpec(*axes)
    return jax.device_put(leaf, jax.sharding.NamedSharding(mesh, spec))

  spread = jax.tree.map(place, params)
  prompts = [[5, 6, 7], [8]]
  options = dict(max_new_tokens=5, eos_ids=())
  want = generation.generate(model, params, prompts, **options)
  got = generation.generate(model, spread, prompts, **options)
  np.testing.assert_array_equal(got.tokens, want.tokens)
  np.testing.assert_allclose(got.policy_logps, want.policy_logps, atol=1e-5)
