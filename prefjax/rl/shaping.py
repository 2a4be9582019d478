# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Rewards of tokens and responses: divergence, missing ends, whitening."""

import jax
import jax.numpy as jnp

from prefjax.core import checks, masking, numerics
from prefjax.losses import base, kl


def whiten(x, mask, *, shift_mean=True, eps=1e-6) -> jax.Array:
  """Scales the kept entries to variance 1, and to mean 0.

  Args:
    x: array of any shape.
    mask: the same shape, which entries count; others may hold anything.
    shift_mean: False keeps the mean.
    eps: >= 0, added to the (unbiased) variance.

  Returns:
    float32 of the same shape, 0 where masked. Equal entries become exactly
    0 (or stay, without the shift).

  Raises:
    ValueError: shapes differ or eps is negative.

  Reference:
    Ivison et al., "Unpacking DPO and PPO", arXiv:2406.09279.
  """
  checks.in_range("whiten", 0, eps=eps)
  x, kept = base.masked_tokens("whiten", mask, x=x)
  mean = masking.masked_mean(x, kept)
  std = masking.masked_std(x, kept, ddof=1)
  flat = masking.masked_max(x, kept) == masking.masked_min(x, kept)
  # Rounding of the mean, divided by the root of eps, would not be small.
  centred = jnp.where(flat, 0.0, x - mean)
  variance = jnp.square(std) + eps
  scaled = centred / jnp.sqrt(jnp.where(variance > 0, variance, 1.0))
  return jnp.where(kept, scaled if shift_mean else scaled + mean, 0.0)


def _last_token(kept) -> jax.Array:
  """bool [B, T], the last kept token of each row."""
  after = jnp.flip(jnp.cumsum(jnp.flip(kept, -1), axis=-1), -1)
  return kept & (after == 1)


def shaped_rewards(
  token_logps,
  ref_token_logps,
  scores,
  mask,
  has_eos=None,
  *,
  kl_coef=0.05,
  kl_estimator="k1",
  missing_eos_score=-10.0,
  gain=1.0,
  bias=0.0,
) -> dict[str, jax.Array]:
  """Rewards at each token: minus the divergence, and the score at the end.

    rewards_t = -kl_coef kl_t  (+ gain * score + bias at the last token)

  Args:
    token_logps: [B, T], log-probs of the sampled tokens when sampled, nats.
    ref_token_logps: [B, T], reference log-probs.
    scores: [B], scores of the responses.
    mask: [B, T], which tokens count; others may hold anything.
    has_eos: [B] or None, whether the response ended by itself; otherwise
      missing_eos_score replaces its score.
    kl_coef: >= 0, price of the divergence.
    kl_estimator: "k1", "k2", "k3" or "abs", see `kl_estimate`.
    missing_eos_score: score of a response that was cut off.
    gain: scale of the score.
    bias: shift of the scaled score.

  Returns:
    rewards [B, T], kl [B, T], scores [B] as used, and kl_sum [B]; all
    float32 without gradient, 0 where masked. An empty row has no reward.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    A row of rewards sums to its score less kl_coef kl_sum.

  Reference:
    Ivison et al., "Unpacking DPO and PPO", arXiv:2406.09279.
  """
  checks.in_range("shaped_rewards", 0, kl_coef=kl_coef)
  logps, reference, kept = base.masked_tokens(
    "shaped_rewards",
    mask,
    token_logps=token_logps,
    ref_token_logps=ref_token_logps,
  )
  divergence = kl.kl_estimate(logps, reference, kind=kl_estimator)
  divergence = jnp.where(kept, divergence, 0.0)
  checks.same_shape(
    "shaped_rewards", rows=kept[..., 0], scores=scores, has_eos=has_eos
  )
  (scores,) = numerics.to_float32(scores)
  if has_eos is not None:
    ended = jnp.asarray(has_eos).astype(bool)
    scores = jnp.where(ended, scores, missing_eos_score)
  scores = gain * scores + bias
  rewards = jnp.where(_last_token(kept), scores[..., None], 0.0)
  out = {
    "rewards": rewards - kl_coef * divergence,
    "kl": divergence,
    "scores": scores,
    "kl_sum": jnp.sum(divergence, axis=-1),
  }
  return jax.lax.stop_gradient(out)


def sequence_reward(
  scores, token_logps, ref_token_logps, mask, *, kl_coef=0.05
) -> jax.Array:
  """Scores of responses less their divergence from the reference.

    scores - kl_coef sum_t (log pi_t - log ref_t)

  Args:
    scores: [B], scores of the responses.
    token_logps: [B, T], log-probs of the sampled tokens when sampled, nats.
    ref_token_logps: [B, T], reference log-probs.
    mask: [B, T], which tokens count; others may hold anything.
    kl_coef: >= 0, price of the divergence.

  Returns:
    [B] float32 without gradient.

  Raises:
    ValueError: shapes differ or kl_coef is negative.

  Reference:
    Ahmadian et al., "Back to Basics: Revisiting REINFORCE Style
    Optimization for Learning from Human Feedback in LLMs",
    arXiv:2402.14740.
  """
  checks.in_range("sequence_reward", 0, kl_coef=kl_coef)
  logps, reference, kept = base.masked_tokens(
    "sequence_reward",
    mask,
    token_logps=token_logps,
    ref_token_logps=ref_token_logps,
  )
  divergence = masking.masked_sum(logps - reference, kept, axis=-1)
  divergence, scores = base.floats(
    "sequence_reward", token_logps=divergence, scores=scores
  )
  return jax.lax.stop_gradient(scores - kl_coef * divergence)


def adaptive_kl(
  *, kl_coef, observed, target=6.0, horizon=10000.0, num_samples=256
) -> float:
  """The next price of the divergence, moved towards a target divergence.

    kl_coef (1 + clip(observed / target - 1, +-0.2) num_samples / horizon)

  Args:
    kl_coef: the present price.
    observed: mean divergence of a response, nats.
    target: > 0, divergence wanted.
    horizon: > 0, samples over which the price adapts.
    num_samples: samples of this step.

  Returns:
    The new price.

  Raises:
    ValueError: a number is out of range.

  Reference:
    Ziegler et al., "Fine-Tuning Language Models from Human Preferences",
    arXiv:1909.08593, section 2.2.
  """
  checks.in_range(
    "adaptive_kl", 0, low_open=True, target=target, horizon=horizon
  )
  error = min(max(observed / target - 1, -0.2), 0.2)
  return kl_coef * (1 + error * num_samples / horizon)
