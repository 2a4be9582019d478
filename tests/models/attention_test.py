# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Attention by blocks, by the TPU kernel, and which of them is picked."""

import types as python_types

import jax
import jax.numpy as jnp
import model_support
import numpy as np
import pytest

from prefjax import models
from prefjax.kernels import select
from prefjax.models import attention, attention_choice, base, splash

P, K, R, WINDOW = 9, 3, 6, 5
PROMPTS, RESPONSES = [9, 1, 5], [[6, 1, 0], [3, 6, 2], [5, 4, 6]]


def _seen(p, k, r, window):
  """The rule, one query and key at a time."""
  t = p + k * r
  out = np.zeros((t, t), bool)
  for q in range(t):
    for key in range(q + 1):
      branch = [None if s < p else (s - p) // r for s in (q, key)]
      place = [s if s < p else p + (s - p) % r for s in (q, key)]
      near = window is None or place[0] - place[1] < window
      out[q, key] = near and branch[1] in (None, branch[0])
  return out


@pytest.mark.parametrize("window", (None, WINDOW))
def test_static_masks_are_the_rule(window):
  t = P + K * R
  mask = splash.shared_mask(P, K, R, window)
  assert mask.shape == (128, 128)
  np.testing.assert_array_equal(mask[:t, :t], _seen(P, K, R, window))
  rest = mask.copy()
  rest[:t, :t] = False
  np.testing.assert_array_equal(rest[t:], np.eye(128, dtype=bool)[t:])
  np.testing.assert_array_equal(
    splash.causal_mask(t, window)[:t, :t], _seen(t, 0, 1, window)
  )


@pytest.mark.parametrize("window", (None, WINDOW))
@pytest.mark.parametrize("block", (1, 8, 100))
def test_spans_miss_nothing_and_save_something(window, block):
  length = 40
  spans = attention.causal_spans(length, window, block)
  covered = np.zeros((length, length), bool)
  for span in spans:
    covered[span.queries, span.keys[0]] = True
  seen = _seen(length, 0, 1, window)
  assert covered[seen].all()
  if block == 8:
    assert covered.sum() < 0.65 * length**2
  starts = [span.queries.start for span in spans]
  stops = [span.queries.stop for span in spans]
  assert starts == [0, *stops[:-1]] and stops[-1] == length
  for span in attention.response_spans(P, R, window, block):
    prompt, own = span.keys
    assert 0 <= prompt.start < prompt.stop == P
    for q in range(span.queries.start, span.queries.stop):
      row = _seen(P, 1, R, window)[P + q]
      assert not row[: prompt.start].any()
      assert not row[P : P + own.start].any()
      assert not row[P + own.stop :].any()


def _run(model, params, group, layout, **how):
  """Hidden states at real tokens, and a gradient through them."""

  def total(params):
    out = model.hidden(params, group, layout=layout, **how)
    mask = group.token_mask[..., None]
    return jnp.sum(jnp.where(mask, jnp.sin(out.at), 0)), out.at

  (_, at), grads = jax.jit(jax.value_and_grad(total, has_aux=True))(params)
  return np.where(group.token_mask[..., None], at, 0), grads


@pytest.mark.parametrize("layout", base.LAYOUTS)
@pytest.mark.parametrize("impl", ("blocked", "splash"))
def test_every_attention_is_the_same_attention(layout, impl, monkeypatch):
  """Gemma 2: windows, a soft cap, grouped heads, several blocks."""
  monkeypatch.setattr(attention, "BLOCK", 8)
  model, params = model_support.load("gemma2")
  group = model_support.group(
    PROMPTS, RESPONSES, prompt_slots=12, response_slots=9
  )
  want, want_grads = _run(model, params, group, layout, attention="xla")
  got, grads = _run(model, params, group, layout, attention=impl)
  assert np.abs(got - want).max() < 1e-4
  assert model_support.tree_gap(grads, want_grads) < 1e-4


def test_blocks_are_computed_again_only_on_request(monkeypatch):
  monkeypatch.setattr(attention, "BLOCK", 8)
  model = models.Model(model_support.config())
  group = model_support.group(
    [20, 9], [[9, 3], [2, 9]], prompt_slots=24, response_slots=16, vocab=32
  )

  def kept(impl):
    def outputs(params):
      return model.hidden(params, group, attention=impl).at

    saved = jax.eval_shape(
      lambda params: jax.vjp(outputs, params)[1], model.shapes()
    )
    return sum(x.size for x in jax.tree.leaves(saved))

  # Scores of 2 layers, 2 groups, 4 heads.
  scores = 2 * 2 * 4 * (24 * 24 + 2 * 16 * (24 + 16)) / 2
  assert kept("xla") - kept("blocked") > scores


def test_the_kernel_takes_no_dynamic_mask():
  model, params = model_support.load("llama")
  group = model_support.group(
    [4, 2],
    [[3], [2]],
    prompt_slots=4,
    response_slots=3,
    prompt_limit=jnp.ones((2, 1, 3), jnp.int32),
  )
  with pytest.raises(ValueError, match="splash.* takes no prompt_limit"):
    model.hidden(params, group, attention="splash")
  with pytest.raises(ValueError, match="impl='flash'"):
    model.hidden(params, group, attention="flash")


def _picked(**changes):
  fits = dict(dtype=jnp.bfloat16, scores=1 << 20, slots=4096, static=True)
  given = {**fits, **changes}
  return attention_choice.Choice().pick(given.pop("dtype"), **given)


def test_auto_goes_by_platform_and_size(monkeypatch, caplog):
  assert _picked(scores=1 << 10) == "xla"
  # A CPU rather computes scores again than stacks them.
  assert _picked() == "blocked"
  device = python_types.SimpleNamespace(platform="tpu")
  monkeypatch.setattr(select, "target_device", lambda mesh=None: device)
  select._SEEN.clear()
  with caplog.at_level("INFO", logger="prefjax.kernels"):
    assert _picked() == _picked() == "splash"
  (record,) = caplog.records
  assert "attention: impl='auto' picked 'splash'" in record.getMessage()
  # In float32, under a dynamic mask or over short rows XLA's serves.
  assert _picked(dtype=jnp.float32) == "xla"
  assert _picked(static=False, scores=1 << 30) == "blocked"
  assert _picked(slots=100) == "xla"
  # No compiler splits a kernel over devices that it was not told about.
  monkeypatch.setattr(select, "may_be_partitioned", lambda device: True)
  assert _picked() == "xla"
