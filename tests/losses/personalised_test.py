# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities and errors of causal preference modelling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefjax import feedback, losses

B, T, V = 3, 4, 6
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def _arrays(seed=0):
  rng = np.random.default_rng(seed)
  history, nohistory = 2 * rng.normal(size=(2, B, T, V)).astype(np.float32)
  labels = rng.integers(V, size=(B, T))
  mask = np.array([[1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]])
  return history, nohistory, labels, mask


def _token_nll(logits, labels):
  logps = np.asarray(jax.nn.log_softmax(np.asarray(logits, np.float64)))
  return -np.take_along_axis(logps, labels[..., None], -1)[..., 0]


def _mean(values, mask):
  return (values * mask).sum(-1) / np.maximum(mask.sum(-1), 1)


def test_equal_weights_without_the_effect_are_cross_entropy():
  history, nohistory, labels, mask = _arrays()
  loss = losses.nextquill(
    history, nohistory, labels, mask, alpha=0.0, high_weight=0.4, low_weight=0.4
  )
  np.testing.assert_allclose(
    loss, _mean(_token_nll(history, labels), mask), **CLOSE
  )


@pytest.mark.parametrize("weighting", ["threshold", "js"])
def test_a_history_without_effect(weighting):
  history, _, labels, mask = _arrays()
  loss = losses.nextquill(
    history, history, labels, mask, alpha=0.7, weighting=weighting
  )
  fit = _mean(_token_nll(history, labels), mask)
  if weighting == "js":
    fit = 0  # nothing diverges, so no token has a weight
  expected = fit + 0.7 * np.log(V) * (mask.sum(-1) > 0)
  np.testing.assert_allclose(loss, expected, **CLOSE)


def test_js_weights_are_the_divergence_from_the_midpoint():
  history, nohistory, labels, mask = _arrays()
  loss = losses.nextquill(
    history, nohistory, labels, mask, alpha=0.0, weighting="js"
  )
  p, q = (np.asarray(jax.nn.softmax(x)) for x in (history, nohistory))
  m = (p + q) / 2
  weight = (p * np.log(p / m) + q * np.log(q / m)).sum(-1) * mask
  weight /= np.where(weight.sum(-1) > 0, weight.sum(-1), 1)[:, None]
  np.testing.assert_allclose(
    loss, (weight * _token_nll(history, labels)).sum(-1), rtol=1e-4
  )


def test_constants_and_masked_tokens_do_not_matter():
  history, nohistory, labels, mask = _arrays()
  expected = losses.nextquill(history, nohistory, labels, mask)
  rng = np.random.default_rng(1)
  shifted = history + rng.normal(size=(B, T, 1)).astype(np.float32)
  np.testing.assert_allclose(
    losses.nextquill(shifted, nohistory - 3, labels, mask), expected, **CLOSE
  )
  hidden = mask[..., None] == 0
  np.testing.assert_array_equal(
    losses.nextquill(
      np.where(hidden, np.nan, history),
      np.where(hidden, np.inf, nohistory),
      np.where(mask == 0, -100, labels),
      mask,
    ),
    expected,
  )
  assert expected[2] == 0


def test_a_counted_label_outside_the_vocabulary_is_not_hidden():
  history, nohistory, labels, mask = _arrays()
  for wrong in (-100, V):
    bad = labels.copy()
    bad[0, 1] = wrong
    loss = losses.nextquill(history, nohistory, bad, mask)
    assert np.isnan(loss[0]) and np.isfinite(loss[1:]).all()


def test_weights_carry_no_gradient():
  history, nohistory, labels, mask = _arrays()
  logps, other = -_token_nll(history, labels), -_token_nll(nohistory, labels)

  def total(logps):
    effects = feedback.causal_preference_effect(logps, other, mask)
    weights = feedback.preference_token_weights(effects, mask)
    return jnp.sum(weights * jnp.arange(T)[None])

  assert (jax.grad(total)(logps.astype(np.float32)) == 0).all()


def test_the_gradient_without_history_can_be_stopped():
  history, nohistory, labels, mask = _arrays()

  def loss(nohistory, stop):
    return losses.nextquill(
      history, nohistory, labels, mask, stop_gradient_nohistory=stop
    ).sum()

  assert loss(nohistory, True) == loss(nohistory, False)
  assert (jax.grad(loss)(nohistory, True) == 0).all()
  assert (jax.grad(loss)(nohistory, False)[0] != 0).all()


def test_stable_at_huge_and_forbidden_logits():
  history, nohistory, labels, mask = _arrays()
  signs = np.sign(history)
  arrays = [1e4 * signs, -1e4 * signs]
  loss, gradient = jax.value_and_grad(
    lambda h: losses.nextquill(h, arrays[1], labels, mask).sum()
  )(arrays[0])
  assert np.isfinite(loss) and np.isfinite(gradient).all()
  # A word that no branch allows is as if it were not in the vocabulary.
  wall = np.full((B, T, 1), -np.inf, np.float32)
  walled = [np.concatenate([x, wall], -1) for x in (history, nohistory)]
  np.testing.assert_allclose(
    losses.nextquill(*walled, labels, mask),
    losses.nextquill(history, nohistory, labels, mask),
    **CLOSE,
  )
  gradient = jax.grad(
    lambda h: losses.nextquill(h, walled[1], labels, mask).sum()
  )(walled[0])
  assert np.isfinite(gradient).all()


def test_effects_and_weights():
  logps = np.log([[0.5, 0.2, 0.3, 0.9]]).astype(np.float32)
  before = np.log([[0.4, 0.2, 0.6, 0.1]]).astype(np.float32)
  mask = np.array([[1, 1, 1, 0]])
  effects = feedback.causal_preference_effect(logps, before, mask)
  np.testing.assert_allclose(effects, [[0.1, 0, -0.3, 0]], atol=1e-6)
  weights = feedback.preference_token_weights
  np.testing.assert_allclose(
    weights(effects, mask), [[9 / 11, 1 / 11, 1 / 11, 0]], rtol=1e-6
  )
  # Strictly above the threshold.
  level = np.full((1, 4), 0.25, np.float32)
  np.testing.assert_allclose(
    weights(level, mask, threshold=0.25), [[1 / 3, 1 / 3, 1 / 3, 0]], rtol=1e-6
  )
  assert (weights(level, 0 * mask) == 0).all()
  assert (weights(level, mask, high_weight=0.0) == 0).all()


def test_errors():
  history, nohistory, labels, mask = _arrays()
  with pytest.raises(ValueError, match="nextquill: alpha=-1"):
    losses.nextquill(history, nohistory, labels, mask, alpha=-1)
  with pytest.raises(ValueError, match="weighting='x' is not one of"):
    losses.nextquill(history, nohistory, labels, mask, weighting="x")
  with pytest.raises(ValueError, match=r"nextquill: labels has shape"):
    losses.nextquill(history, nohistory, labels[:, :2], mask)
  with pytest.raises(ValueError, match="low_weight=-1"):
    feedback.preference_token_weights(mask, mask, low_weight=-1)
