# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities, bounds and gradients of policy-gradient losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefjax import losses, rl

B, T = 4, 6
CLOSE = {"rtol": 1e-5, "atol": 1e-6}
MASK = np.array(
  [[1, 1, 1, 1, 1, 1], [1, 1, 0, 1, 0, 0], [1, 0, 0, 0, 0, 0], [0] * 6]
)


def _tokens(seed=0, spread=0.5):
  rng = np.random.default_rng(seed)
  logps = -np.abs(rng.normal(size=(B, T))).astype(np.float32) - 0.1
  old, ref = logps + spread * rng.normal(size=(2, B, T)).astype(np.float32)
  return logps, old, ref, rng.normal(size=(B, T)).astype(np.float32)


def test_on_policy_the_gradient_is_reinforce():
  logps, _, _, advantages = _tokens()
  loss, gradient = jax.value_and_grad(
    lambda x: losses.ppo_policy(x, logps, advantages, MASK).sum()
  )(logps)
  np.testing.assert_allclose(loss, -(advantages * MASK).sum(), **CLOSE)
  np.testing.assert_allclose(gradient, -advantages * MASK, **CLOSE)


def test_without_bounds_it_is_importance_sampling():
  logps, old, _, advantages = _tokens()
  loss = losses.ppo_policy(
    logps, old, advantages, MASK, clip_low=1.0, clip_high=np.inf
  )
  ratio = np.exp(logps - old)
  np.testing.assert_allclose(loss, -ratio * advantages * MASK, **CLOSE)


@pytest.mark.parametrize(
  ("ratio", "advantage", "loss", "moves"),
  [
    (1.5, 1.0, -1.28, False),  # above the higher bound
    (1.5, -1.0, 1.5, True),
    (0.5, 1.0, -0.5, True),
    (0.5, -1.0, 0.9, False),  # below the lower bound
    (1.2, 1.0, -1.2, True),
    (9.0, -1.0, 3.0, False),  # beyond the second bound
  ],
)
def test_bounds(ratio, advantage, loss, moves):
  old = np.full((1, 1), -1.0, np.float32)
  logps = old + np.float32(np.log(ratio))

  def total(x):
    return losses.ppo_policy(
      x,
      old,
      np.full((1, 1), advantage, np.float32),
      np.ones((1, 1)),
      clip_low=0.1,
      clip_high=0.28,
      dual_clip=3.0,
    ).sum()

  value, gradient = jax.value_and_grad(total)(logps)
  np.testing.assert_allclose(value, loss, rtol=1e-5)
  assert bool(gradient[0, 0] != 0) == moves


def test_sequence_level():
  logps, old, _, advantages = _tokens()
  ratio = losses.policy_gradient.sequence_ratio(logps, old, MASK)
  number = np.maximum(MASK.sum(-1), 1)
  mean = ((logps - old) * MASK).sum(-1) / number
  np.testing.assert_allclose(ratio, np.exp(mean), **CLOSE)
  assert ratio[3] == 1
  loss = losses.ppo_policy(
    logps,
    old,
    advantages,
    MASK,
    level="sequence",
    clip_low=1.0,
    clip_high=np.inf,
  )
  np.testing.assert_allclose(
    loss, -np.exp(mean)[:, None] * advantages * MASK, **CLOSE
  )
  # With one token both levels are the same.
  one = np.zeros((B, T))
  one[:, 0] = 1
  np.testing.assert_allclose(
    losses.ppo_policy(logps, old, advantages, one, level="sequence"),
    losses.ppo_policy(logps, old, advantages, one),
    **CLOSE,
  )


def test_advantages_of_responses_and_of_tokens():
  logps, old, ref, advantages = _tokens()
  per_response = advantages[:, 0]
  spread = np.broadcast_to(per_response[:, None], (B, T))
  for loss in (losses.ppo_policy, losses.cispo_policy):
    np.testing.assert_array_equal(
      loss(logps, old, per_response, MASK), loss(logps, old, spread, MASK)
    )
  gradient = jax.grad(
    lambda a: losses.policy_gradient_tokens(logps, old, ref, a, MASK).sum()
  )(advantages)
  np.testing.assert_array_equal(gradient, 0)


def test_truncated_weights_keep_every_gradient():
  logps, old, _, advantages = _tokens(spread=2.0)
  weight = np.minimum(np.exp(logps - old), 1.5)
  assert (weight == 1.5).any()
  gradient = jax.grad(
    lambda x: losses.cispo_policy(x, old, advantages, MASK, clip_high=0.5).sum()
  )(logps)
  np.testing.assert_allclose(gradient, -weight * advantages * MASK, **CLOSE)


def test_divergence_is_added():
  logps, old, ref, advantages = _tokens()
  plain = losses.ppo_policy(logps, old, advantages, MASK)
  k3 = np.exp(ref - logps) - (ref - logps) - 1
  np.testing.assert_allclose(
    losses.policy_gradient_tokens(logps, old, ref, advantages, MASK, beta=0.3),
    plain + 0.3 * k3 * MASK,
    **CLOSE,
  )
  np.testing.assert_array_equal(
    losses.policy_gradient_tokens(logps, old, None, advantages, MASK, beta=0),
    plain,
  )
  with pytest.raises(ValueError, match="ref_token_logps is None, but beta"):
    losses.policy_gradient_tokens(logps, old, None, advantages, MASK)


def test_grpo_is_the_mean_over_tokens():
  logps, old, ref, advantages = _tokens()
  tokens = losses.policy_gradient_tokens(
    logps, old, ref, advantages[:, 0], MASK, clip_low=0.1, clip_high=0.1
  )
  np.testing.assert_allclose(
    losses.grpo(logps, old, ref, advantages[:, 0], MASK, clip=0.1),
    tokens.sum(-1) / np.maximum(MASK.sum(-1), 1),
    **CLOSE,
  )
  on_policy = losses.grpo(logps, logps, logps, advantages[:, 0], MASK)
  np.testing.assert_allclose(on_policy[:3], -advantages[:3, 0], **CLOSE)
  assert on_policy[3] == 0


def test_padding_may_hold_anything():
  arrays = _tokens()
  clean = losses.policy_gradient_tokens(*arrays, MASK)
  holes = [np.where(MASK, x, np.nan).astype(np.float32) for x in arrays]
  np.testing.assert_array_equal(
    losses.policy_gradient_tokens(*holes, MASK), clean
  )
  gradient = jax.grad(
    lambda x: losses.policy_gradient_tokens(x, *holes[1:], MASK).sum()
  )(holes[0])
  assert np.isfinite(gradient).all()


def test_far_off_policy_stays_finite():
  logps, _, _, advantages = _tokens()
  for far in (logps - 1e4, logps + 1e4):
    value, gradient = jax.value_and_grad(
      lambda x, far=far: losses.policy_gradient_tokens(
        x, far, far, advantages, MASK
      ).sum()
    )(logps)
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_value_loss():
  rng = np.random.default_rng(1)
  values, old, returns = rng.normal(size=(3, B, T)).astype(np.float32)
  np.testing.assert_allclose(
    losses.value_clip(values, old, returns, MASK, clip=1e6),
    0.5 * (values - returns) ** 2 * MASK,
    **CLOSE,
  )
  moved = old + np.clip(values - old, -0.2, 0.2)
  worse = np.maximum((values - returns) ** 2, (moved - returns) ** 2)
  np.testing.assert_allclose(
    losses.value_clip(values, old, returns, MASK), 0.5 * worse * MASK, **CLOSE
  )
  gradients = jax.grad(
    lambda o, r: losses.value_clip(values, o, r, MASK).sum(), argnums=(0, 1)
  )(old, returns)
  for gradient in gradients:
    np.testing.assert_array_equal(gradient, 0)


MODES = {
  "token": lambda x, n: x.sum() / n.sum(),
  "sequence": lambda x, n: (x.sum(-1)[:3] / n[:3]).mean(),
  "sequence_sum": lambda x, n: x.sum(-1)[:3].mean(),
  "fixed": lambda x, n: x.sum() / (4 * 10),
}


@pytest.mark.parametrize("mode", sorted(MODES))
def test_aggregates_and_their_terms(mode):
  token_losses = _tokens()[3]
  keywords = {"mode": mode, "max_length": 10}
  expected = MODES[mode](token_losses * MASK, MASK.sum(-1))
  np.testing.assert_allclose(
    losses.aggregate(token_losses, MASK, **keywords), expected, **CLOSE
  )
  # Sums over shards, then one division.
  total = weight_total = 0.0
  for rows in (slice(0, 1), slice(1, 4)):
    value, weight = losses.aggregate_terms(
      token_losses[rows], MASK[rows], **keywords
    )
    total += (value * weight).sum()
    weight_total += weight.sum()
  np.testing.assert_allclose(total / weight_total, expected, **CLOSE)
  # Groups [B, K, T] aggregate like their rows.
  np.testing.assert_allclose(
    losses.aggregate(
      token_losses.reshape(2, 2, T), MASK.reshape(2, 2, T), **keywords
    ),
    expected,
    **CLOSE,
  )
  holes = np.where(MASK, token_losses, np.nan)
  np.testing.assert_allclose(
    losses.aggregate(holes, MASK, **keywords), expected, **CLOSE
  )
  assert losses.aggregate(token_losses, 0 * MASK, **keywords) == 0


def test_the_estimates_of_divergence():
  rng = np.random.default_rng(2)
  p, q = (np.exp(x) / np.exp(x).sum() for x in rng.normal(size=(2, 50)))
  exact = (p * np.log(p / q)).sum()
  for kind in ("k1", "k3"):
    estimate = rl.kl_estimate(np.log(p), np.log(q), kind=kind)
    np.testing.assert_allclose((p * estimate).sum(), exact, rtol=1e-4)
  # k2 and k3 agree to second order, and k3 is exact even where it is tiny.
  small = np.array([-1e-3, -1e-5, 0.0, 1e-5, 1e-3, 0.2, -0.2, 0.3], np.float32)
  k3 = rl.kl_estimate(0 * small, small, kind="k3")
  wide = small.astype(np.float64)
  series = wide**2 / 2 + wide**3 / 6 + wide**4 / 24 + wide**5 / 120
  series += wide**6 / 720 + wide**7 / 5040
  np.testing.assert_allclose(k3, series, rtol=2e-6)
  assert (k3 >= 0).all()
  far = rl.kl_estimate(0 * small, small + 100, kind="k3", clip=5.0)
  np.testing.assert_allclose(far, np.exp(5) - 6, rtol=1e-5)
  slope = jax.grad(lambda x: rl.kl_estimate(x, 0 * x, kind="abs").sum())
  np.testing.assert_array_equal(slope(jnp.array([-1.0, 0.0, 2.0])), [-1, 0, 1])


def test_finite_differences():
  with jax.enable_x64(True):
    logps, old, ref, advantages = (x.astype(np.float64) for x in _tokens())

    def loss(x):
      return losses.aggregate(
        losses.policy_gradient_tokens(x, old, ref, advantages, MASK), MASK
      )

    direction = np.random.default_rng(3).normal(size=(B, T))
    step = 1e-6 * direction
    slope = (loss(logps + step) - loss(logps - step)) / 2e-6
    np.testing.assert_allclose(
      (jax.grad(loss)(logps) * direction).sum(), slope, rtol=1e-5
    )


def test_errors():
  logps, old, ref, advantages = _tokens()
  with pytest.raises(ValueError, match=r"advantages has shape \(4, 2\)"):
    losses.ppo_policy(logps, old, advantages[:, :2], MASK)
  with pytest.raises(ValueError, match="ppo_policy: dual_clip=1"):
    losses.ppo_policy(logps, old, advantages, MASK, dual_clip=1)
  with pytest.raises(ValueError, match="level='word' is not one of"):
    losses.ppo_policy(logps, old, advantages, MASK, level="word")
  with pytest.raises(ValueError, match="mode='fixed' needs max_length"):
    losses.aggregate(logps, MASK, mode="fixed")
  with pytest.raises(ValueError, match="aggregate: mode='mean' is not one of"):
    losses.aggregate(logps, MASK, mode="mean")
  with pytest.raises(ValueError, match="value_clip: clip=0"):
    losses.value_clip(logps, old, ref, MASK, clip=0)
