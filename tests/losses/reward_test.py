# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities and errors of reward-model losses and MetaRM."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefjax import losses

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def _rewards(seed=0, size=6):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(2, size)).astype(np.float32)


def test_plain_bradley_terry():
  chosen, rejected = _rewards()
  plain = np.log1p(np.exp(rejected - chosen))
  np.testing.assert_allclose(
    losses.bradley_terry(chosen, rejected), plain, **CLOSE
  )
  np.testing.assert_allclose(
    losses.bradley_terry(chosen, rejected, 0.0, np.zeros(6)), plain, **CLOSE
  )


def test_margin_temperature_and_smoothing():
  chosen, rejected = _rewards()
  margin = np.linspace(-1, 1, 6).astype(np.float32)
  soft = np.linspace(0, 1, 6).astype(np.float32)
  z = (chosen - rejected - margin) / 2
  np.testing.assert_allclose(
    losses.bradley_terry(chosen, rejected, margin, soft, temperature=2.0),
    (1 - soft) * np.log1p(np.exp(-z)) + soft * np.log1p(np.exp(z)),
    **CLOSE,
  )
  # A flipped label is a smoothing of one.
  np.testing.assert_allclose(
    losses.bradley_terry(chosen, rejected, smoothing=1.0),
    losses.bradley_terry(rejected, chosen),
    **CLOSE,
  )


def test_even_odds_are_least_at_equal_scores():
  gap = np.linspace(-3, 3, 7).astype(np.float32)
  loss = losses.bradley_terry(gap, 0 * gap, smoothing=0.5)
  assert np.argmin(loss) == 3
  np.testing.assert_allclose(loss, loss[::-1], **CLOSE)


def test_a_margin_is_a_constant():
  chosen, rejected = _rewards()
  gradient = jax.grad(
    lambda m: losses.bradley_terry(chosen, rejected, m).sum()
  )(np.ones(6, np.float32))
  np.testing.assert_array_equal(gradient, 0)


def test_centering_moves_the_level_alone():
  chosen, rejected = _rewards()
  gradient = jax.grad(lambda x: losses.reward_centering(x, rejected).sum())(
    chosen
  )
  np.testing.assert_allclose(gradient, 2 * (chosen + rejected), **CLOSE)
  assert (losses.reward_centering(chosen, -chosen) == 0).all()


def _difference(scores):
  """J of one group by loops."""
  k, total = len(scores), 0.0
  for i in range(k):
    for j in range(i + 1, k):
      total += 1 / (1 + np.exp(-abs(float(scores[i]) - float(scores[j]))))
  return 2 * total / k**2 if k else 0.0


def test_difference_is_the_sum_over_pairs():
  scores = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
  mask = np.array([[1] * 5, [1, 0, 1, 1, 0], [0, 0, 0, 1, 0], [0] * 5])
  holes = np.where(mask, scores, np.nan)
  expected = [_difference(s[m == 1]) for s, m in zip(scores, mask, strict=True)]
  np.testing.assert_allclose(
    losses.metarm_difference(holes, mask), expected, **CLOSE
  )
  np.testing.assert_allclose(
    losses.metarm_difference(scores), [_difference(s) for s in scores], **CLOSE
  )
  gradient = jax.grad(lambda s: losses.metarm_difference(s, mask).sum())(holes)
  assert np.isfinite(gradient).all() and (gradient[2:] == 0).all()


def test_equal_scores_are_a_resting_point():
  scores = np.full((2, 4), 3.0, np.float32)
  np.testing.assert_allclose(losses.metarm_difference(scores), 3 / 8, rtol=1e-6)
  gradient = jax.grad(lambda s: losses.metarm_difference(s).sum())(scores)
  np.testing.assert_array_equal(gradient, 0)
  assert (losses.metarm_difference(np.ones((2, 1))) == 0).all()
  assert losses.metarm_difference(np.ones((2, 0))).shape == (2,)


def _quadratic(seed=0):
  rng = np.random.default_rng(seed)
  a = rng.normal(size=(3, 3)).astype(np.float32)
  hessian, slope, ascent = a @ a.T, *rng.normal(size=(2, 3)).astype(np.float32)

  def loss(params):
    w = params["w"]
    return 0.5 * w @ hessian @ w + slope @ w

  def difference(params):
    return jnp.dot(ascent, params["w"]) + jnp.sum(params["b"])

  params = {"w": rng.normal(size=3).astype(np.float32), "b": jnp.zeros(())}
  return loss, difference, params, hessian, slope, ascent


def test_no_inner_step_is_the_plain_gradient():
  loss, difference, params, *_ = _quadratic()
  value, gradient = losses.metarm_gradient(
    difference, loss, params, meta_lr=0.0
  )
  expected = jax.value_and_grad(loss)(params)
  assert value == expected[0]
  jax.tree.map(np.testing.assert_array_equal, gradient, expected[1])


@pytest.mark.parametrize("rate", [0.01, 0.5])
def test_the_inner_step_adds_the_curved_ascent(rate):
  # For a quadratic loss g + eta H dJ is exact.
  loss, difference, params, hessian, slope, ascent = _quadratic()
  value, gradient = losses.metarm_gradient(
    difference, loss, params, meta_lr=rate
  )
  plain = hessian @ params["w"] + slope
  np.testing.assert_allclose(
    gradient["w"], plain + rate * hessian @ ascent, rtol=1e-4, atol=1e-5
  )
  assert gradient["b"] == 0
  moved = {**params, "w": params["w"] + rate * ascent}
  np.testing.assert_allclose(value, loss(moved), rtol=1e-5)


def test_the_step_keeps_types_and_works_under_jit():
  loss, difference, params, *_ = _quadratic()
  half = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), params)
  _, gradient = jax.jit(
    lambda p: losses.metarm_gradient(difference, loss, p, meta_lr=0.5)
  )(half)
  assert gradient["w"].dtype == jnp.bfloat16


def test_errors():
  chosen, rejected = _rewards()
  with pytest.raises(ValueError, match="bradley_terry: temperature=0"):
    losses.bradley_terry(chosen, rejected, temperature=0)
  with pytest.raises(ValueError, match="bradley_terry: smoothing=1.5"):
    losses.bradley_terry(chosen, rejected, smoothing=1.5)
  with pytest.raises(ValueError, match=r"bradley_terry: margin has shape"):
    losses.bradley_terry(chosen, rejected, np.ones(2))
  with pytest.raises(ValueError, match="metarm_gradient: meta_lr=-1"):
    losses.metarm_gradient(None, None, None, meta_lr=-1)
  with pytest.raises(ValueError, match="metarm_difference: scores has shape"):
    losses.metarm_difference(chosen)
