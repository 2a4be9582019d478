# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Weights on examples: how on-policy a pair is."""

import jax
import jax.numpy as jnp

from prefjax.core import checks, masking, numerics
from prefjax.losses import base, pairwise


def log_collision_probability(logits) -> jax.Array:
  """log sum_v p_v^2: how likely two draws from p agree; not a loss.

    logsumexp(2 z) - 2 logsumexp(z)

  Args:
    logits: [..., V].

  Returns:
    [...] float32, between -log V (uniform) and 0 (certain).

  Raises:
    ValueError: logits has no axis.

  Limits:
    -log V for equal logits.

  Reference:
    Zhou et al., "WPO: Enhancing RLHF with Weighted Preference
    Optimization", arXiv:2406.11827 (sampled alignment of weights).
  """
  if jnp.ndim(logits) < 1:
    raise ValueError(
      "log_collision_probability: logits has shape (), expected [..., V]"
    )
  (logits,) = numerics.to_float32(logits)
  # Relative to the likeliest token, which counts 1: of a confident policy both
  # sums are all but 1, and their logarithms would cancel.
  top = jnp.argmax(logits, axis=-1, keepdims=True)
  gaps = logits - jnp.take_along_axis(logits, top, axis=-1)
  place = jax.lax.broadcasted_iota(top.dtype, gaps.shape, gaps.ndim - 1)
  others = jnp.where(place == top, -jnp.inf, gaps)
  alone, twice = (jnp.sum(jnp.exp(k * others), axis=-1) for k in (1, 2))
  return jnp.log1p(twice) - 2 * jnp.log1p(alone)


def wpo_weights(token_logps, log_collision, mask) -> jax.Array:
  """How likely the policy itself is to write a response; not a loss.

    weight = exp(mean over tokens of (token_logps - log_collision))

  log_collision = log sum_v p_v^2 makes a response drawn from the policy
  weigh about 1.

  Args:
    token_logps: [B, T], policy log-probs of the response tokens, nats.
    log_collision: [B, T], from `log_collision_probability`.
    mask: [B, T], which tokens count; others may hold anything.

  Returns:
    [B] float32 without gradient; 1 for an empty response.

  Raises:
    ValueError: shapes differ.

  Limits:
    1 where the policy is uniform over the vocabulary.

  Reference:
    Zhou et al., "WPO: Enhancing RLHF with Weighted Preference
    Optimization", arXiv:2406.11827.
  """
  logps, collision, kept = base.masked_tokens(
    "wpo_weights", mask, token_logps=token_logps, log_collision=log_collision
  )
  mean = masking.masked_mean(logps - collision, kept, axis=-1)
  return jax.lax.stop_gradient(jnp.exp(mean))


def wpo(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  chosen_weights,
  rejected_weights,
  *,
  beta=0.01,
  max_weight=1.0,
) -> jax.Array:
  """DPO weighted by how on-policy both responses are.

    loss = min(chosen_weights * rejected_weights, max_weight) * dpo

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    chosen_weights: [B], from `wpo_weights`; no gradient flows into it.
    rejected_weights: [B], the same of the rejected response.
    beta: > 0, inverse temperature of the implicit reward.
    max_weight: > 0, cap on the product; None for no cap.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    Unit weights give `dpo`.

  Reference:
    Zhou et al., "WPO: Enhancing RLHF with Weighted Preference
    Optimization", arXiv:2406.11827; the cap is in the published code.
  """
  checks.in_range("wpo", 0, low_open=True, beta=beta, max_weight=max_weight)
  _, chosen_weights, rejected_weights = base.floats(
    "wpo",
    chosen_logps=chosen_logps,
    chosen_weights=chosen_weights,
    rejected_weights=rejected_weights,
  )
  weight = chosen_weights * rejected_weights
  if max_weight is not None:
    weight = jnp.minimum(weight, max_weight)
  return jax.lax.stop_gradient(weight) * pairwise.dpo(
    chosen_logps,
    rejected_logps,
    ref_chosen_logps,
    ref_rejected_logps,
    beta=beta,
  )
