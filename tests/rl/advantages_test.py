# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Advantages against loops, limits and masks."""

import jax
import numpy as np
import pytest

from prefjax import rl

CLOSE = {"rtol": 1e-5, "atol": 1e-6}
B, K, T = 5, 4, 6
GROUP_MASK = np.array(
  [[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 1, 0], [0] * 4, [1, 1, 1, 0]]
)
TOKEN_MASK = np.array(
  [[1] * 6, [1, 0, 0, 1, 1, 0], [1, 0, 0, 0, 0, 0], [0] * 6, [0, 1, 1, 0, 1, 1]]
)


def _scores(seed=0):
  scores = np.random.default_rng(seed).normal(size=(B, K)).astype(np.float32)
  return np.where(GROUP_MASK, scores, np.nan)


def _tokens(seed=0, number=2):
  shape = (number, B, T)
  values = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
  return np.where(TOKEN_MASK, values, np.nan)


def _groups(values):
  for row in range(B):
    yield row, GROUP_MASK[row] == 1, values[row][GROUP_MASK[row] == 1]


def test_rloo_leaves_one_out():
  scores = _scores()
  actual = np.asarray(rl.rloo_advantages(scores, GROUP_MASK))
  expected = np.zeros((B, K))
  for row, kept, group in _groups(scores):
    if len(group) > 1:
      others = (group.sum() - group) / (len(group) - 1)
      expected[row, kept] = group - others
  np.testing.assert_allclose(actual, expected, **CLOSE)
  np.testing.assert_allclose(actual.sum(1), 0, atol=1e-5)


@pytest.mark.parametrize("scale", ["std", "none", "batch"])
@pytest.mark.parametrize("ddof", [0, 1])
def test_group_advantages_by_loops(scale, ddof):
  scores = _scores(1)
  actual = rl.group_advantages(
    scores, GROUP_MASK, scale=scale, ddof=ddof, eps=0.01
  )
  everything = scores[GROUP_MASK == 1]
  expected = np.zeros((B, K))
  for row, kept, group in _groups(scores):
    if len(group) > 1:
      divisor = {
        "std": group.std(ddof=ddof) + 0.01,
        "none": 1.0,
        "batch": everything.std(ddof=ddof) + 0.01,
      }[scale]
      expected[row, kept] = (group - group.mean()) / divisor
  np.testing.assert_allclose(actual, expected, **CLOSE)


def test_what_a_scale_does_not_see():
  scores = np.random.default_rng(2).normal(size=(B, K)).astype(np.float32)
  std = rl.group_advantages(scores, eps=0.0)
  np.testing.assert_allclose(
    rl.group_advantages(5 * scores - 3, eps=0.0), std, rtol=1e-4, atol=1e-5
  )
  none = rl.group_advantages(scores, scale="none")
  np.testing.assert_allclose(
    rl.group_advantages(scores + 2, scale="none"), none, rtol=1e-4, atol=1e-5
  )


@pytest.mark.parametrize("number", [2, 4, 9])
def test_one_success_in_a_group(number):
  scores = np.zeros((1, number))
  scores[0, 1] = 1
  for ddof, expected in (
    (0, np.sqrt(number - 1)),
    (1, (number - 1) / np.sqrt(number)),
  ):
    advantages = rl.group_advantages(scores, ddof=ddof, eps=0.0)
    np.testing.assert_allclose(advantages[0, 1], expected, rtol=1e-5)


@pytest.mark.parametrize("value", [0.1, 1e4 + 0.1, -7.3])
def test_equal_scores_teach_nothing(value):
  scores = np.full((2, 7), value, np.float32)
  scores[1, 0] += 1
  for scale in ("std", "none", "batch"):
    advantages = rl.group_advantages(scores, scale=scale, eps=0.0)
    np.testing.assert_array_equal(advantages[0], 0)
    assert advantages[1, 0] > 0
  np.testing.assert_array_equal(rl.rloo_advantages(scores)[0], 0)


def test_advantages_are_constants():
  scores = np.random.default_rng(3).normal(size=(2, 4)).astype(np.float32)
  for function in (rl.rloo_advantages, rl.group_advantages):
    gradient = jax.grad(lambda x, f=function: (f(x) ** 2).sum())(scores)
    np.testing.assert_array_equal(gradient, 0)


def _gae(rewards, values, gamma, lam):
  """One row without padding, from its end."""
  advantages, advantage, following = [], 0.0, 0.0
  for reward, value in zip(rewards[::-1], values[::-1], strict=True):
    advantage = reward + gamma * following - value + gamma * lam * advantage
    following = value
    advantages.append(advantage)
  return np.array(advantages[::-1])


@pytest.mark.parametrize(("gamma", "lam"), [(0.9, 0.5), (1.0, 1.0), (1.0, 0.0)])
def test_gae_by_loops(gamma, lam):
  rewards, values = _tokens(4)
  out = rl.gae(
    rewards, values, TOKEN_MASK, gamma=gamma, lam=lam, whiten_advantages=False
  )
  expected = np.zeros((B, T))
  for row in range(B):
    kept = TOKEN_MASK[row] == 1
    expected[row, kept] = _gae(
      rewards[row, kept], values[row, kept], gamma, lam
    )
    if gamma == lam == 1:
      to_come = np.cumsum(rewards[row, kept][::-1])[::-1]
      np.testing.assert_allclose(
        expected[row, kept], to_come - values[row, kept], **CLOSE
      )
  np.testing.assert_allclose(out["advantages"], expected, **CLOSE)
  np.testing.assert_allclose(
    out["returns"], expected + np.where(TOKEN_MASK, values, 0), **CLOSE
  )


def test_gae_whitening():
  rewards, values = _tokens(5)
  plain = rl.gae(rewards, values, TOKEN_MASK, whiten_advantages=False)
  white = rl.gae(rewards, values, TOKEN_MASK)
  np.testing.assert_allclose(
    white["advantages"], rl.whiten(plain["advantages"], TOKEN_MASK), **CLOSE
  )
  np.testing.assert_array_equal(white["returns"], plain["returns"])
  scaled = rl.whiten(rewards, TOKEN_MASK, shift_mean=False)
  np.testing.assert_allclose(
    rl.gae(rewards, values, TOKEN_MASK, whiten_rewards=True)["returns"],
    rl.gae(scaled, values, TOKEN_MASK)["returns"],
    **CLOSE,
  )


def test_a_longer_row_changes_nothing():
  rewards, values = _tokens(6)
  wide = [
    np.pad(x, ((0, 0), (0, 3)), constant_values=np.nan)
    for x in (rewards, values)
  ]
  mask = np.pad(TOKEN_MASK, ((0, 0), (0, 3)))
  narrow, padded = rl.gae(rewards, values, TOKEN_MASK), rl.gae(*wide, mask)
  for name in narrow:
    np.testing.assert_allclose(padded[name][:, :T], narrow[name], **CLOSE)
    np.testing.assert_array_equal(padded[name][:, T:], 0)


@pytest.mark.parametrize("gamma", [1.0, 0.8])
def test_rewards_to_come(gamma):
  (rewards,) = _tokens(7, 1)
  out = rl.reinforce_pp_advantages(rewards, TOKEN_MASK, gamma=gamma)
  expected = np.zeros((B, T))
  for row in range(B):
    kept = TOKEN_MASK[row] == 1
    expected[row, kept] = _gae(
      rewards[row, kept], 0 * rewards[row, kept], gamma, 1
    )
  np.testing.assert_allclose(out["returns"], expected, **CLOSE)
  np.testing.assert_allclose(
    out["advantages"], rl.whiten(expected, TOKEN_MASK, eps=1e-8), **CLOSE
  )
  if gamma == 1:
    baseline = np.arange(B, dtype=np.float32)
    np.testing.assert_allclose(
      rl.remax_advantages(rewards, baseline, TOKEN_MASK),
      (expected - baseline[:, None]) * TOKEN_MASK,
      **CLOSE,
    )


def test_reinforce_pp_baseline():
  scores = _scores(8)
  token_mask = (np.arange(3) < 1 + np.arange(K)[:, None])[None] & (
    GROUP_MASK[..., None] == 1
  )
  out = rl.reinforce_pp_baseline(scores, token_mask)
  centred = rl.group_advantages(scores, GROUP_MASK, scale="none")
  spread = np.broadcast_to(np.asarray(centred)[..., None], (B, K, 3))
  np.testing.assert_allclose(
    out, rl.whiten(spread, token_mask, eps=1e-8), **CLOSE
  )


def test_groups_worth_keeping():
  scores = np.array([[1, 1, 1], [0, 1, 0], [1, 0, 9], [1, 0, 9], [1, 1.05, 1]])
  mask = np.array([[1, 1, 1], [1, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]])
  np.testing.assert_array_equal(
    rl.dynamic_sampling_mask(scores, mask), [0, 1, 0, 0, 1]
  )
  np.testing.assert_array_equal(
    rl.dynamic_sampling_mask(scores, mask, tol=0.1), [0, 1, 0, 0, 0]
  )
  assert rl.dynamic_sampling_mask(scores).dtype == np.int32


def test_pairs_of_two_samples():
  out = rl.online_pairs([[1.0, 2.0], [2.0, 1.0], [1.0, 1.0], [np.nan, 1.0]])
  np.testing.assert_array_equal(out["chosen"], [1, 0, 0, 0])
  np.testing.assert_array_equal(out["rejected"], [0, 1, 1, 1])
  np.testing.assert_array_equal(out["valid"], [1, 1, 0, 0])
  with pytest.raises(ValueError, match=r"scores has shape \(2, 3\)"):
    rl.online_pairs(np.ones((2, 3)))


def test_rloo_is_unbiased_and_quiet():
  # A policy over 12 actions; the gradient of the mean reward is known.
  rng = np.random.default_rng(9)
  logits, reward = rng.normal(size=(2, 12))
  p = np.exp(logits) / np.exp(logits).sum()
  reward = reward + 4
  exact = p * (reward - (p * reward).sum())
  actions = rng.choice(12, p=p, size=(20_000, 8))
  scores = reward[actions].astype(np.float32)
  steps = np.eye(12)[actions] - p  # [n, 8, 12]

  def estimates(advantages):
    return (np.asarray(advantages)[..., None] * steps).mean(1)

  rloo = estimates(rl.rloo_advantages(scores))
  centred = estimates(rl.group_advantages(scores, scale="none"))
  plain = estimates(scores)
  direction = exact / np.linalg.norm(exact) ** 2
  np.testing.assert_allclose(rloo.mean(0) @ direction, 1, atol=0.02)
  np.testing.assert_allclose(centred.mean(0) @ direction, 7 / 8, atol=0.02)
  assert rloo.var(0).sum() < 0.1 * plain.var(0).sum()


def test_errors():
  rewards, values = _tokens()
  with pytest.raises(ValueError, match="gae: lam=2"):
    rl.gae(rewards, values, TOKEN_MASK, lam=2)
  with pytest.raises(ValueError, match="group_advantages: scale='max'"):
    rl.group_advantages(values, scale="max")
  with pytest.raises(ValueError, match="rloo_advantages: scores has shape"):
    rl.rloo_advantages(values[0])
  with pytest.raises(ValueError, match="baseline_scores has shape"):
    rl.remax_advantages(rewards, values, TOKEN_MASK)
