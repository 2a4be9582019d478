# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Advantages of responses and tokens, with and without a value model.

All results are constants: no gradient flows through an advantage. Groups are
[B, K], K responses to each of B prompts, and stay together on one device.
"""

import jax
import jax.numpy as jnp

from prefjax.core import checks, masking, numerics
from prefjax.losses import base
from prefjax.rl import shaping

SCALES = ("std", "none", "batch")


def _group(function: str, scores, mask) -> tuple[jax.Array, jax.Array]:
  checks.rank(function, 2, scores=scores)
  (scores,) = numerics.to_float32(jax.lax.stop_gradient(jnp.asarray(scores)))
  if mask is None:
    mask = jnp.ones(scores.shape, bool)
  checks.same_shape(function, scores=scores, mask=mask)
  kept = jnp.asarray(mask).astype(bool)
  return masking.replace(scores, kept), kept


def _centred(scores, kept) -> jax.Array:
  """Scores less their group's mean; exactly 0 in a group of equal ones."""
  mean = masking.masked_mean(scores, kept, axis=1, keepdims=True)
  return jnp.where(_differs(scores, kept) & kept, scores - mean, 0.0)


def _differs(scores, kept) -> jax.Array:
  """bool [B, 1]: not all kept scores of a group are equal."""
  highest = masking.masked_max(scores, kept, axis=1, keepdims=True)
  lowest = masking.masked_min(scores, kept, axis=1, keepdims=True)
  return highest > lowest


def rloo_advantages(scores, mask=None) -> jax.Array:
  """Scores less the mean of the other responses to the same prompt.

    A_i = r_i - mean_{j != i} r_j = n / (n - 1) (r_i - mean)

  Args:
    scores: [B, K], rewards of K responses to each prompt.
    mask: [B, K] or None, which responses exist; others may hold anything.

  Returns:
    [B, K] float32 without gradient; 0 where masked or alone.

  Raises:
    ValueError: shapes differ or not two axes.

  Reference:
    Ahmadian et al., "Back to Basics: Revisiting REINFORCE Style
    Optimization for Learning from Human Feedback in LLMs",
    arXiv:2402.14740.
  """
  scores, kept = _group("rloo_advantages", scores, mask)
  number = masking.count(kept, axis=1, keepdims=True).astype(scores.dtype)
  return _centred(scores, kept) * number / jnp.maximum(number - 1, 1)


def group_advantages(
  scores, mask=None, *, scale="std", ddof=0, eps=1e-6
) -> jax.Array:
  """Scores less their group's mean, in units of their spread.

    A_i = (r_i - mean) / (std + eps)

  Args:
    scores: [B, K], rewards of K responses to each prompt.
    mask: [B, K] or None, which responses exist; others may hold anything.
    scale: "std" of the group (GRPO), "none" (Dr. GRPO), or "batch": one
      standard deviation over the scores of all groups.
    ddof: 0 divides squares by n, 1 by n - 1.
    eps: >= 0, added to the standard deviation.

  Returns:
    [B, K] float32 without gradient; exactly 0 where masked, alone, or where
    all scores of the group are equal.

  Raises:
    ValueError: shapes differ, not two axes, or a keyword is out of range.

  Limits:
    "std" does not see a shift or a positive scale of the scores (up to
    eps), "none" a shift.

  Reference:
    Shao et al., "DeepSeekMath", arXiv:2402.03300 (GRPO); Liu et al.,
    "Understanding R1-Zero-Like Training", arXiv:2503.20783 (no scale).
  """
  name = "group_advantages"
  checks.one_of(name, SCALES, scale=scale)
  checks.one_of(name, (0, 1), ddof=ddof)
  checks.in_range(name, 0, eps=eps)
  scores, kept = _group(name, scores, mask)
  centred = _centred(scores, kept)
  if scale == "none":
    return centred
  axis = 1 if scale == "std" else None
  std = masking.masked_std(scores, kept, axis, True, ddof)
  spread = std + eps
  return jax.lax.stop_gradient(centred / jnp.where(spread > 0, spread, 1.0))


def _backwards(step, first, *arrays):
  """Scans [B, T] arrays from the last token to the first; outputs [B, T]."""
  columns = [jnp.moveaxis(x, -1, 0) for x in arrays]
  _, out = jax.lax.scan(step, first, tuple(columns), reverse=True)
  return jnp.moveaxis(out, 0, -1)


def gae(
  rewards,
  values,
  mask,
  *,
  gamma=1.0,
  lam=0.95,
  whiten_rewards=False,
  whiten_advantages=True,
) -> dict[str, jax.Array]:
  """Generalised advantage estimation over the tokens of a response.

    delta_t = reward_t + gamma V_{t+1} - V_t
    A_t = delta_t + gamma lam A_{t+1};  returns_t = A_t + V_t

  Tokens that do not count, inside a response too, are passed over: the next
  token is the next one that counts. After the last one all is 0.

  Args:
    rewards: [B, T], from `shaped_rewards`.
    values: [B, T], values of the states before each token.
    mask: [B, T], which tokens count; others may hold anything.
    gamma: in [0, 1], discount.
    lam: in [0, 1], 0 for one step, 1 for all rewards to come.
    whiten_rewards: scales the rewards, without moving their mean.
    whiten_advantages: whitens the advantages over the batch; returns are
      taken before that.

  Returns:
    {"advantages", "returns"}, each [B, T] float32 without gradient, 0 where
    masked.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    lam = gamma = 1 gives the sum of rewards to come less V_t.

  Reference:
    Schulman et al., "High-Dimensional Continuous Control Using Generalized
    Advantage Estimation", arXiv:1506.02438, equation 16.
  """
  checks.in_range("gae", 0, 1, gamma=gamma, lam=lam)
  rewards, values, kept = base.masked_tokens(
    "gae", mask, rewards=rewards, values=values
  )
  rewards, values = jax.lax.stop_gradient((rewards, values))
  if whiten_rewards:
    rewards = shaping.whiten(rewards, kept, shift_mean=False)

  def step(after, column):
    advantage, next_value = after
    reward, value, counts = column
    delta = reward + gamma * next_value - value
    advantage = jnp.where(counts, delta + gamma * lam * advantage, advantage)
    next_value = jnp.where(counts, value, next_value)
    return (advantage, next_value), advantage

  zero = jnp.zeros(rewards.shape[:-1], rewards.dtype)
  advantages = _backwards(step, (zero, zero), rewards, values, kept)
  advantages = jnp.where(kept, advantages, 0.0)
  returns = jnp.where(kept, advantages + values, 0.0)
  if whiten_advantages:
    advantages = shaping.whiten(advantages, kept)
  return {"advantages": advantages, "returns": returns}


def _rewards_to_go(rewards, kept, gamma) -> jax.Array:
  def step(after, column):
    reward, counts = column
    total = jnp.where(counts, reward + gamma * after, after)
    return total, total

  zero = jnp.zeros(rewards.shape[:-1], rewards.dtype)
  return jnp.where(kept, _backwards(step, zero, rewards, kept), 0.0)


def reinforce_pp_advantages(
  rewards, mask, *, gamma=1.0, eps=1e-8
) -> dict[str, jax.Array]:
  """REINFORCE++: rewards to come, whitened over the tokens of the batch.

  Args:
    rewards: [B, T], from `shaped_rewards`.
    mask: [B, T], which tokens count; those inside a response that do not are
      passed over without a discount.
    gamma: in [0, 1], discount.
    eps: >= 0, added to the variance.

  Returns:
    {"advantages", "returns"}, each [B, T] float32 without gradient, 0 where
    masked.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Reference:
    Hu et al., "REINFORCE++: An Efficient RLHF Algorithm with Robustness to
    Both Prompt and Reward Models", arXiv:2501.03262.
  """
  name = "reinforce_pp_advantages"
  checks.in_range(name, 0, 1, gamma=gamma)
  rewards, kept = base.masked_tokens(name, mask, rewards=rewards)
  returns = _rewards_to_go(jax.lax.stop_gradient(rewards), kept, gamma)
  advantages = shaping.whiten(returns, kept, eps=eps)
  return {"advantages": advantages, "returns": returns}


def reinforce_pp_baseline(scores, token_mask, *, eps=1e-8) -> jax.Array:
  """REINFORCE++ with a group baseline, on every token of a response.

  Scores less their group's mean, then whitened over all tokens of the batch,
  so that long responses weigh more.

  Args:
    scores: [B, K], rewards of K responses to each prompt.
    token_mask: [B, K, T], which tokens count. A response without any is not
      in the group, and its score may be anything.
    eps: >= 0, added to the variance.

  Returns:
    [B, K, T] float32 without gradient, 0 where masked.

  Raises:
    ValueError: shapes differ.

  Reference:
    Hu et al., "REINFORCE++: An Efficient RLHF Algorithm with Robustness to
    Both Prompt and Reward Models", arXiv:2501.03262 (baseline variant).
  """
  checks.rank("reinforce_pp_baseline", 3, token_mask=token_mask)
  kept = jnp.asarray(token_mask).astype(bool)
  present = jnp.any(kept, axis=-1)
  scores, present = _group("reinforce_pp_baseline", scores, present)
  centred = _centred(scores, present)[..., None]
  return shaping.whiten(jnp.broadcast_to(centred, kept.shape), kept, eps=eps)


def remax_advantages(rewards, baseline_scores, mask) -> jax.Array:
  """Rewards to come less the reward of the greedy response.

    A_t = sum_{s >= t} reward_s - baseline_score

  Args:
    rewards: [B, T], rewards at each token of the sampled response.
    baseline_scores: [B], reward of the greedy response to the same prompt.
    mask: [B, T], which tokens count; others may hold anything.

  Returns:
    [B, T] float32 without gradient, 0 where masked.

  Raises:
    ValueError: shapes differ.

  Reference:
    Li et al., "ReMax: A Simple, Effective, and Efficient Reinforcement
    Learning Method for Aligning Large Language Models", arXiv:2310.10505.
  """
  name = "remax_advantages"
  rewards, kept = base.masked_tokens(name, mask, rewards=rewards)
  checks.same_shape(name, rows=rewards[..., 0], baseline_scores=baseline_scores)
  (baseline,) = numerics.to_float32(baseline_scores)
  returns = _rewards_to_go(rewards, kept, 1.0)
  advantages = jnp.where(kept, returns - baseline[..., None], 0.0)
  return jax.lax.stop_gradient(advantages)


def dynamic_sampling_mask(scores, mask=None, *, tol=1e-6) -> jax.Array:
  """Which groups have something to learn from: not all scores are equal.

  Args:
    scores: [B, K], rewards of K responses to each prompt.
    mask: [B, K] or None, which responses exist; others may hold anything.
    tol: >= 0, scores as close as this are equal.

  Returns:
    int32 [B], 1 where the group is kept; 0 with fewer than two responses.

  Raises:
    ValueError: shapes differ, not two axes, or tol is negative.

  Reference:
    Yu et al., "DAPO: An Open-Source LLM Reinforcement Learning System at
    Scale", arXiv:2503.14476, equation 11.
  """
  checks.in_range("dynamic_sampling_mask", 0, tol=tol)
  scores, kept = _group("dynamic_sampling_mask", scores, mask)
  highest = masking.masked_max(scores, kept, axis=1)
  lowest = masking.masked_min(scores, kept, axis=1)
  several = masking.count(kept, axis=1) > 1
  return (several & (highest - lowest > tol)).astype(jnp.int32)


def online_pairs(scores) -> dict[str, jax.Array]:
  """Orders two fresh responses to each prompt by their scores.

  Args:
    scores: [B, 2].

  Returns:
    {"chosen", "rejected", "valid"}, each int32 [B]: indices 0 or 1, and
    valid 0 for a tie (or NaN), in which the first counts as chosen.

  Raises:
    ValueError: scores is not [B, 2].

  Reference:
    Guo et al., "Direct Language Model Alignment from Online AI Feedback",
    arXiv:2402.04792.
  """
  if jnp.ndim(scores) != 2 or jnp.shape(scores)[1] != 2:
    raise ValueError(
      f"online_pairs: scores has shape {jnp.shape(scores)}, expected [B, 2]"
    )
  first, second = jnp.asarray(scores)[:, 0], jnp.asarray(scores)[:, 1]
  chosen = (second > first).astype(jnp.int32)
  valid = ((first > second) | (second > first)).astype(jnp.int32)
  return {"chosen": chosen, "rejected": 1 - chosen, "valid": valid}
