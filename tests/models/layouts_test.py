# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Shared prompts, separate rows and the visibility rule agree."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import model_support
import numpy as np
import pytest

from prefjax import models
from prefjax.core import errors
from prefjax.models import attention

PROMPTS = [9, 1, 5]
RESPONSES = [[6, 1, 0], [3, 6, 2], [5, 4, 6]]
LAYOUTS = ("shared", "concat")


def _group(**changes):
  options = dict(prompt_slots=9, response_slots=6)
  return model_support.group(PROMPTS, RESPONSES, **{**options, **changes})


def _value(model, params, group, layout, **options):
  """A scalar that every real response token's states enter, and the states."""
  out = model.hidden(params, group, layout=layout, **options)
  total = 0.0
  for i, states in enumerate((out.predict, out.at)):
    mask = group.token_mask[..., None]
    waves = jnp.sin(states + i) * jnp.cos(jnp.arange(states.shape[-1]))
    total += jnp.sum(jnp.where(mask, waves, 0))
  return total, out


def _reference(model, params, group):
  """States at response tokens by the general mask, and at prompt ends."""
  b, k, p, r = group.shape
  tokens = jnp.concatenate([group.prompt, group.response.reshape(b, -1)], 1)
  valid = jnp.concatenate(
    [group.prompt_mask, group.token_mask.reshape(b, -1)], 1
  )
  branch = np.tile(np.repeat(np.arange(k + 1), [p] + [r] * k), (b, 1))
  parents = (-1,) + (0,) * k
  x = model.rows(params, tokens, valid, segments=branch, parents=parents)
  return x[:, p:].reshape(b, k, r, -1), x[:, p - 1]


@pytest.mark.parametrize("family", model_support.FAMILIES)
def test_layouts_agree(family):
  model, params = model_support.load(family)
  group = _group()
  shared, concat = jax.jit(
    lambda params: [model.hidden(params, group, layout=l) for l in LAYOUTS]
  )(params)
  mask = group.token_mask
  assert model_support.masked_gap(shared.at, concat.at, mask) < 1e-5
  assert model_support.masked_gap(shared.predict, concat.predict, mask) < 1e-5
  np.testing.assert_allclose(shared.prompt_end, concat.prompt_end, atol=1e-5)


@pytest.mark.parametrize("family", ["gemma2", "gpt2"])
def test_layouts_follow_the_rule(family):
  model, params = model_support.load(family)
  group = _group()
  shared, (at, prompt_end) = jax.jit(
    lambda p: (model.hidden(p, group), _reference(model, p, group))
  )(params)
  assert model_support.masked_gap(shared.at, at, group.token_mask) < 1e-5
  np.testing.assert_allclose(shared.prompt_end, prompt_end, atol=1e-5)


@pytest.mark.parametrize("family", ["gemma2", "gpt2"])
def test_gradients_of_the_layouts_agree(family):
  model, params = model_support.load(family)
  group = _group()
  shared, concat = (
    jax.jit(jax.grad(lambda p, l=l: _value(model, p, group, l)[0]))(params)
    for l in LAYOUTS
  )
  assert model_support.tree_gap(shared, concat) < 1e-4


def test_predict_is_one_place_before_at():
  model, params = model_support.load("llama")
  out = jax.jit(model.hidden)(params, _group())
  np.testing.assert_array_equal(out.predict[:, :, 1:], out.at[:, :, :-1])
  for k in range(3):
    np.testing.assert_array_equal(out.predict[:, k, 0], out.prompt_end)


@pytest.mark.parametrize(
  "family, layout", [("gemma2", "shared"), ("gpt2", "concat")]
)
def test_more_pads_and_garbage_in_them_change_nothing(family, layout):
  model, params = model_support.load(family)
  run = jax.jit(
    jax.value_and_grad(
      lambda params, group: _value(model, params, group, layout),
      has_aux=True,
    )
  )
  group = _group()
  (value, out), grad = run(params, group)
  wide = _group(prompt_slots=14, response_slots=9, garbage=511)
  (wide_value, wide_out), wide_grad = run(params, wide)
  wide_at = wide_out.at[:, :, :6]
  assert model_support.masked_gap(out.at, wide_at, group.token_mask) < 1e-5
  np.testing.assert_allclose(value, wide_value, rtol=1e-4, atol=1e-3)
  assert model_support.tree_gap(grad, wide_grad) < 1e-4
  # The same slots, an id outside the vocabulary at pads: to the last bit.
  (dirty_value, dirty), dirty_grad = run(params, _group(garbage=10**6))
  assert value == dirty_value
  assert model_support.masked_gap(out.at, dirty.at, group.token_mask) == 0
  assert model_support.tree_gap(grad, dirty_grad) == 0


def test_responses_do_not_see_each_other():
  model, params = model_support.load("qwen3")
  group = _group()
  run = jax.jit(lambda g: model.hidden(params, g).at)
  changed = group.response.at[:, 1].set((group.response[:, 1] + 7) % 512)
  before, after = run(group), run(dataclasses.replace(group, response=changed))
  np.testing.assert_array_equal(before[:, [0, 2]], after[:, [0, 2]])
  assert model_support.masked_gap(before, after, group.token_mask) > 1e-2


def test_order_of_responses_means_nothing():
  model, params = model_support.load("mistral")
  group = _group()
  order = jnp.asarray([2, 0, 1])
  turned = jax.tree.map(lambda x: x[:, order] if x.ndim == 3 else x, group)
  turned = dataclasses.replace(
    turned, response_mask=group.response_mask[:, order]
  )
  run = jax.jit(lambda g: model.hidden(params, g).at)
  gap = model_support.masked_gap(
    run(group)[:, order], run(turned), turned.token_mask
  )
  assert gap < 1e-5


@pytest.mark.parametrize("layout", LAYOUTS)
def test_prompt_limit_hides_the_rest_of_the_prompt(layout):
  model = models.Model(model_support.config())
  params = model.init(jax.random.key(0))
  group = model_support.group(
    [6, 4], [[3, 3], [2, 3]], prompt_slots=6, response_slots=3, vocab=32
  )
  full = jnp.full(group.response.shape, 6)
  run = jax.jit(lambda g: model.hidden(params, g, layout=layout).at)
  free = run(group)
  open_limit = run(dataclasses.replace(group, prompt_limit=full))
  np.testing.assert_array_equal(free, open_limit)
  limited = dataclasses.replace(group, prompt_limit=full.at[0, 1].set(2))
  out = run(limited)
  mask = np.asarray(group.token_mask).copy()
  mask[0, 1] = False
  assert model_support.masked_gap(free, out, mask) == 0
  assert model_support.masked_gap(free[0, 1], out[0, 1], mask[0, 0]) > 1e-3
  # Prompt tokens past the limit may change without being noticed.
  other = limited.prompt.at[0, 2:].set(31)
  hidden = run(dataclasses.replace(limited, prompt=other))
  assert (
    model_support.masked_gap(hidden[0, 1], out[0, 1], group.token_mask[0, 1])
    == 0
  )


@pytest.mark.parametrize(
  "family, layout", [("gemma2", "shared"), ("gpt2", "concat")]
)
def test_prefix_embeddings_stand_before_the_prompt(family, layout):
  """A prefix of token embeddings is the same as a longer prompt."""
  model, params = model_support.load(family)
  longer = _group()
  b, n = 3, 2
  head = np.asarray(longer.prompt).copy()
  mask = np.asarray(longer.prompt_mask).copy()
  prefix_ids = np.zeros((b, n), np.int32)
  keep = [0, 2]  # the row with one prompt token cannot give two away
  for i in keep:
    first = 9 - PROMPTS[i]
    prefix_ids[i] = head[i, first : first + n]
    mask[i, first : first + n] = False
  table = params["embed"]["tokens"] * model.config.embedding_scale
  short = dataclasses.replace(longer, prompt_mask=jnp.asarray(mask))
  run = jax.jit(
    lambda group, prefix: model.hidden(
      params, group, layout=layout, prefix_embeddings=prefix
    )
  )
  want, got = run(longer, None), run(short, table[prefix_ids])
  for i in keep:
    np.testing.assert_allclose(want.prompt_end[i], got.prompt_end[i], atol=1e-5)
    gap = model_support.masked_gap(want.at[i], got.at[i], longer.token_mask[i])
    assert gap < 1e-5


@pytest.mark.parametrize("window", [None, 3])
def test_visibility_rule_by_hand(window):
  rng = np.random.default_rng(1)
  parents = (-1, 0, 0, 1)
  branch = np.array([[0, 0, 0, 1, 1, 2, 2, 3, 3, 3]] * 4)
  valid = rng.random(branch.shape) < 0.7
  positions = attention.path_positions(
    jnp.asarray(valid), jnp.asarray(branch), parents
  )
  mask = attention.visible(
    jnp.asarray(valid), jnp.asarray(branch), parents, positions, window
  )

  def line(at):
    out = []
    while at >= 0:
      out.append(at)
      at = parents[at]
    return out

  size = branch.shape[1]
  for n, q in itertools.product(range(4), range(size)):
    path = [k for k in range(q + 1) if branch[n, k] in line(branch[n, q])]
    real = [k for k in path if valid[n, k]]
    assert positions[n, q] == len([k for k in real if k < q])
    for k in range(size):
      want = k in real
      if window is not None:
        want = want and positions[n, q] - positions[n, k] < window
      assert bool(mask[n, q, k]) == bool(want)


def test_a_tree_of_segments_equals_its_paths():
  model, params = model_support.load("gemma2")
  rng = np.random.default_rng(0)
  parents = (-1, 0, 0, 1)
  branch = np.array([[0] * 5 + [1] * 4 + [2] * 3 + [3] * 4])
  tokens = rng.integers(0, 512, branch.shape)
  packed = jax.jit(
    lambda t: model.rows(params, t, segments=branch, parents=parents)
  )(tokens)
  run = jax.jit(lambda t: model.rows(params, t))
  for leaf, line in ((2, (0, 2)), (3, (0, 1, 3))):
    slots = np.flatnonzero(np.isin(branch[0], line))
    alone = run(tokens[:, slots])
    own = branch[0, slots] == leaf
    np.testing.assert_allclose(alone[0, own], packed[0, slots[own]], atol=1e-5)


def test_unknown_layout_is_an_error():
  model, params = model_support.load("llama")
  with pytest.raises(ValueError, match="layout='packed' is not one of shared"):
    model.hidden(params, _group(), layout="packed")


def test_positions_that_do_not_exist_are_an_error():
  model, params = model_support.load("gpt2")
  group = _group(prompt_slots=60, response_slots=6)
  with pytest.raises(errors.ModelError, match="66, but the gpt2 model has 64"):
    model.hidden(params, group)
  with pytest.raises(errors.ModelError, match="shorten"):
    model.rows(params, np.zeros((1, 65), np.int32))
  with pytest.raises(errors.ModelError, match="60 prompt . 5 response tokens"):
    model.check_length(60, 5)
  model.check_length(60, 4)
