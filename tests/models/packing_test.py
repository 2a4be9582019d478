# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Packed rows: the same numbers over fewer slots."""

import dataclasses

import jax
import jax.numpy as jnp
import model_support
import numpy as np
import pytest
from jax.sharding import AxisType

from prefjax import kernels, models
from prefjax.models import logps, packing
from prefjax.models import lora as lora_lib

PROMPTS = [9, 1, 5, 3]
RESPONSES = [[6, 1, 0], [3, 6, 2], [5, 4, 6], [0, 0, 1]]
SLOTS = (9, 6)


def _group(**changes):
  return model_support.group(
    PROMPTS,
    RESPONSES,
    prompt_slots=SLOTS[0],
    response_slots=SLOTS[1],
    **changes,
  )


def _needed(cells):
  """(prompt, response) slots a group for so many cells."""
  b = len(PROMPTS)
  prompts = np.sum(np.reshape(PROMPTS, (cells, -1)), axis=1)
  responses = np.sum(np.reshape(RESPONSES, (cells, -1)), axis=1)
  return tuple(int(-(-n.max() // (b // cells))) for n in (prompts, responses))


@pytest.mark.parametrize("cells", (1, 2, 4))
@pytest.mark.parametrize("more", (0, 3))
def test_every_token_has_one_place(cells, more):
  group = _group()
  slots = tuple(n + more for n in _needed(cells))
  found = packing.make(group.prompt_mask, group.token_mask, slots, cells)
  b, k, p, r = group.shape
  ids = jnp.concatenate([group.prompt, group.response.reshape(b, -1)], axis=1)
  real = jnp.concatenate(
    [group.prompt_mask, group.token_mask.reshape(b, -1)], axis=1
  )
  packed = found.pack(ids)
  assert packed.shape == (cells, b // cells * sum(slots))
  assert int(found.held.sum()) == int(real.sum())
  # Prompts first, each side in the order of the batch.
  for cell in range(cells):
    own = slice(cell * b // cells, (cell + 1) * b // cells)
    prompts = group.prompt[own][group.prompt_mask[own]]
    responses = group.response[own][group.token_mask[own]]
    np.testing.assert_array_equal(packed[cell, : prompts.size], prompts)
    start = found.prompts
    np.testing.assert_array_equal(
      packed[cell, start : start + responses.size], responses
    )
  back = found.unpack(packed, b)
  np.testing.assert_array_equal(jnp.where(real, back, 0), ids * real)
  own = found.pack_responses(group.response, p)
  np.testing.assert_array_equal(
    found.unpack_responses(own, (b, k, r), p), group.response * group.token_mask
  )


def test_gradients_of_gathers_are_their_transposes():
  group = _group()
  found = packing.make(group.prompt_mask, group.token_mask, _needed(2), 2)
  b, k, p, r = group.shape
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.normal(size=(b, p + k * r, 2)), jnp.float32)
  y = jnp.asarray(rng.normal(size=found.pack(x).shape), jnp.float32)
  y = jnp.where(found.held[..., None], y, 0)
  real = found.real.reshape(b, -1, 1)
  # <pack x, y> = <x, pack^T y>, and unpack is that transpose at real slots.
  grad = jax.grad(lambda x: jnp.sum(found.pack(x) * y))(x)
  np.testing.assert_allclose(grad, jnp.where(real, found.unpack(y, b), 0))
  z = jnp.where(real, x, 0)
  grad = jax.grad(lambda y: jnp.sum(found.unpack(y, b) * z))(y)
  np.testing.assert_allclose(
    grad, jnp.where(found.held[..., None], found.pack(z), 0)
  )


def _total(model, params, group, lora=None, sharding=None):
  """A scalar of log-probs and states, and the log-probs."""
  hidden = model.hidden(params, group, lora=lora, sharding=sharding)
  out = logps.token_logps(
    hidden, model.head(params), group, entropy=True, sharding=sharding
  )
  mask = group.token_mask[..., None]
  states = jnp.sum(jnp.where(mask, jnp.sin(hidden.at), 0))
  states += jnp.sum(jnp.sin(hidden.prompt_end))
  mixed = jnp.sum(jnp.cos(out.logps) + out.entropy * out.logsumexp)
  return states + mixed, out.logps


@pytest.mark.parametrize("family", ("llama", "gemma2", "gpt2"))
@pytest.mark.parametrize("more", (0, 2))
def test_the_same_numbers_and_gradients(family, more):
  """To 1e-6 of their size in float64."""
  with jax.enable_x64(True):
    model, params = model_support.load(family)
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), params)
    group = _group()
    slots = tuple(n + more for n in _needed(1))
    packed = dataclasses.replace(group, packed=slots)
    run = jax.jit(
      jax.value_and_grad(
        lambda params, group: _total(model, params, group), has_aux=True
      )
    )
    (want, want_logps), want_grads = run(params, group)
    (got, got_logps), grads = run(params, packed)
    np.testing.assert_allclose(got, want, rtol=1e-9)
    np.testing.assert_allclose(got_logps, want_logps, atol=1e-9)
    assert model_support.tree_gap(grads, want_grads) < 1e-6


def test_garbage_in_pads_changes_nothing():
  model, params = model_support.load("llama")
  slots = tuple(n + 1 for n in _needed(1))
  run = jax.jit(
    jax.value_and_grad(lambda params, group: _total(model, params, group)[0])
  )
  clean = run(params, dataclasses.replace(_group(), packed=slots))
  dirty = run(params, dataclasses.replace(_group(garbage=10**6), packed=slots))
  jax.tree.map(np.testing.assert_array_equal, clean, dirty)


def test_layers_run_over_packed_slots_only():
  """Counted by the compiler: products shrink with the slots."""
  model = models.Model(
    model_support.config(hidden_size=64, intermediate_size=256)
  )
  rng = np.random.default_rng(0)
  group = model_support.group(
    rng.integers(1, 9, 8),
    rng.integers(1, 9, (8, 2)),
    prompt_slots=32,
    response_slots=32,
    vocab=32,
  )

  def flops(group):
    lowered = jax.jit(lambda params: _total(model, params, group)[0]).lower(
      model.shapes()
    )
    return lowered.compile().cost_analysis()["flops"]

  half = dataclasses.replace(group, packed=(16, 32))
  assert flops(half) < 0.65 * flops(group)


def test_cells_on_a_mesh_and_what_does_not_pack():
  """Each device packs its own groups; dropout and "concat" do not pack."""
  model = models.Model(
    model_support.config(), lora=models.LoraSpec(rank=2, dropout=0.5)
  )
  params = model.init(jax.random.key(0))
  mesh = jax.make_mesh(
    (2, 2, 2), ("data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 3
  )
  sharding = kernels.Sharding(
    mesh, rows=("data", "fsdp"), vocab="tensor", hidden="fsdp"
  )
  group = _group(vocab=32)
  packed = dataclasses.replace(group, packed=_needed(4))
  run = jax.jit(
    jax.value_and_grad(
      lambda params, group: _total(model, params, group, sharding=sharding)[0]
    )
  )
  (want, want_grads), (got, grads) = run(params, group), run(params, packed)
  np.testing.assert_allclose(got, want, rtol=1e-5)
  assert model_support.tree_gap(grads, want_grads) < 1e-5
  hidden = jax.eval_shape(lambda p: model.hidden(p, packed), params)
  assert hidden.packed is not None
  adapter = jax.eval_shape(
    lambda: lora_lib.init(jax.random.key(0), model.config, model.lora)
  )
  for options in (
    {"layout": "concat"},
    {"lora": adapter, "key": jax.random.key(1)},
  ):
    hidden = jax.eval_shape(
      lambda p, options=options: model.hidden(p, packed, **options), params
    )
    assert hidden.packed is None
