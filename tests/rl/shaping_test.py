# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Shaped rewards, whitening, statistics and presets."""

import jax
import numpy as np
import pytest

from prefjax import rl
from prefjax.core import errors

CLOSE = {"rtol": 1e-5, "atol": 1e-6}
MASK = np.array([[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 1, 1]])


def _logps(seed=0):
  logps = -np.abs(np.random.default_rng(seed).normal(size=(2, 4, 4)))
  return np.where(MASK, logps, np.nan).astype(np.float32)


SCORES = np.array([1.0, -2.0, 3.0, 0.5], np.float32)


def test_whitened_entries():
  x = np.where(MASK, np.random.default_rng(1).normal(size=(4, 4)), np.nan)
  kept = MASK == 1
  white = np.asarray(rl.whiten(x, MASK, eps=0.0))
  np.testing.assert_allclose(white[kept].mean(), 0, atol=1e-6)
  np.testing.assert_allclose(white[kept].var(ddof=1), 1, rtol=1e-5)
  assert (white[~kept] == 0).all()
  kept_mean = np.asarray(rl.whiten(x, MASK, shift_mean=False, eps=0.0))
  np.testing.assert_allclose(
    kept_mean[kept], white[kept] + x[kept].mean(), **CLOSE
  )


@pytest.mark.parametrize("value", [0.1, 1000.1])
def test_equal_entries_become_exactly_zero(value):
  x = np.full((3, 7), value, np.float32)
  np.testing.assert_array_equal(rl.whiten(x, np.ones((3, 7)), eps=1e-8), 0)
  np.testing.assert_allclose(
    rl.whiten(x, np.ones((3, 7)), shift_mean=False), value, rtol=1e-6
  )
  np.testing.assert_array_equal(rl.whiten(x, np.zeros((3, 7)), eps=0.0), 0)


@pytest.mark.parametrize("kind", ["k1", "k2", "k3", "abs"])
def test_rewards_sum_to_the_score_less_the_divergence(kind):
  logps, ref = _logps()
  out = rl.shaped_rewards(
    logps, ref, SCORES, MASK, kl_coef=0.3, kl_estimator=kind
  )
  divergence = np.asarray(rl.kl_estimate(logps, ref, kind=kind))
  divergence = np.where(MASK, divergence, 0)
  np.testing.assert_allclose(out["kl"], divergence, **CLOSE)
  np.testing.assert_allclose(out["kl_sum"], divergence.sum(1), **CLOSE)
  total = SCORES - 0.3 * divergence.sum(1)
  total[2] = 0  # an empty row has no reward
  np.testing.assert_allclose(out["rewards"].sum(1), total, **CLOSE)
  np.testing.assert_array_equal(out["scores"], SCORES)
  # Only the last token that counts holds the score.
  at = np.asarray(out["rewards"] + 0.3 * divergence)
  np.testing.assert_array_equal(
    np.abs(at) > 1e-6,
    [[0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]],
  )
  if kind == "k1":
    np.testing.assert_allclose(
      rl.sequence_reward(SCORES, logps, ref, MASK, kl_coef=0.3),
      SCORES - 0.3 * divergence.sum(1),
      **CLOSE,
    )


def test_a_missing_end_costs():
  logps, ref = _logps()
  out = rl.shaped_rewards(
    logps,
    ref,
    SCORES,
    MASK,
    np.array([1, 0, 0, 1]),
    missing_eos_score=-4.0,
    gain=2.0,
    bias=0.5,
  )
  np.testing.assert_allclose(out["scores"], [2.5, -7.5, -7.5, 1.5])


def test_rewards_are_constants():
  logps, ref = _logps()
  gradient = jax.grad(
    lambda x: (
      rl.shaped_rewards(x, ref, SCORES, MASK)["rewards"].sum()
      + rl.sequence_reward(SCORES, x, ref, MASK).sum()
    )
  )(logps)
  np.testing.assert_array_equal(gradient, 0)


def test_the_price_follows_the_divergence():
  price = rl.adaptive_kl
  assert price(kl_coef=0.1, observed=6.0) == 0.1
  # Bounded steps: 20% of num_samples / horizon.
  np.testing.assert_allclose(
    price(kl_coef=0.1, observed=60.0, num_samples=100, horizon=1000.0), 0.102
  )
  np.testing.assert_allclose(
    price(kl_coef=0.1, observed=0.0, num_samples=100, horizon=1000.0), 0.098
  )
  np.testing.assert_allclose(
    price(kl_coef=0.1, observed=2.2, target=2.0, num_samples=1, horizon=1.0),
    0.11,
  )
  with pytest.raises(ValueError, match="adaptive_kl: target=0"):
    price(kl_coef=0.1, observed=1.0, target=0)


def test_statistics():
  rng = np.random.default_rng(2)
  arrays = rng.normal(size=(6, 4, 4)).astype(np.float32)
  logps, old, advantages, values, old_values, returns = (
    np.where(MASK, x, np.nan) for x in arrays
  )
  out = rl.ppo_stats(
    logps,
    old,
    advantages,
    MASK,
    values,
    old_values,
    returns,
    clip_low=0.3,
    clip_high=0.1,
    value_clip_range=0.5,
  )
  kept = MASK == 1
  lp, o, a, v, ov, r = (
    x[kept] for x in (logps, old, advantages, values, old_values, returns)
  )
  ratio = np.exp(lp - o)
  moved = ov + np.clip(v - ov, -0.5, 0.5)
  expected = {
    "ratio_mean": ratio.mean(),
    "clip_frac_low": ((ratio < 0.7) & (a < 0)).mean(),
    "clip_frac_high": ((ratio > 1.1) & (a > 0)).mean(),
    "approx_kl": (o - lp).mean(),
    "approx_kl_k3": (ratio - 1 - np.log(ratio)).mean(),
    "value_clip_frac": ((moved - r) ** 2 > (v - r) ** 2).mean(),
    "explained_variance": 1 - (r - v).var() / r.var(),
    "value_error": ((v - r) ** 2).mean(),
  }
  assert sorted(out) == sorted(expected)
  for name, value in expected.items():
    np.testing.assert_allclose(out[name], value, rtol=1e-4, err_msg=name)


def test_statistics_at_rest():
  logps, _ = _logps()
  level = np.full((4, 4), 0.1, np.float32)
  out = rl.ppo_stats(logps, logps, level, MASK, level, level, level)
  assert out["ratio_mean"] == 1 and out["approx_kl"] == 0
  assert out["clip_frac_low"] == out["clip_frac_high"] == 0
  assert out["explained_variance"] == 0  # equal returns explain nothing
  with pytest.raises(ValueError, match="values come with old_values"):
    rl.ppo_stats(logps, logps, level, MASK, level)


def test_presets():
  assert rl.preset("grpo").beta == 0.04
  assert rl.preset("dapo").clip_high > rl.preset("dapo").clip_low
  assert rl.preset("gspo").level == "sequence"
  assert rl.preset("dr_grpo").scale == "none"
  with pytest.raises(errors.ConfigError, match="did you mean 'remax'"):
    rl.preset("remaxx")
