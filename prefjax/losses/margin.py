# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Variants of the margin loss: other shapes, offsets and length terms."""

import jax
import jax.numpy as jnp

from prefjax.core import checks
from prefjax.losses import base

# A score gap below this counts as this, so that its log stays finite.
_SMALLEST_GAP = 1e-6


def exo_pair(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  *,
  beta=0.1,
  label_smoothing=1e-3,
) -> jax.Array:
  """Efficient exact optimisation: reverse KL to the smoothed label.

    m = beta D
    loss = s(m) (log s(m) - log(1 - e)) + s(-m) (log s(-m) - log e)

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    beta: > 0, inverse temperature of the implicit reward.
    label_smoothing: e in (0, 0.5); 0 would make the loss infinite.

  Returns:
    [B] float32, not reduced, >= 0; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    0 at m = log((1 - e) / e), and there only.

  Reference:
    Ji et al., "Towards Efficient Exact Optimization of Language Model
    Alignment", arXiv:2402.00856 (the form for preference pairs).
  """
  checks.in_range("exo_pair", 0, low_open=True, beta=beta)
  checks.in_range(
    "exo_pair",
    0,
    0.5,
    low_open=True,
    high_open=True,
    label_smoothing=label_smoothing,
  )
  c, r = base.log_ratios(
    "exo_pair",
    chosen_logps,
    rejected_logps,
    ref_chosen_logps,
    ref_rejected_logps,
  )
  margin = beta * (c - r)
  smoothing = jnp.asarray(label_smoothing, margin.dtype)
  kept = jax.nn.log_sigmoid(margin)
  swapped = jax.nn.log_sigmoid(-margin)
  return jax.nn.sigmoid(margin) * (
    kept - jnp.log1p(-smoothing)
  ) + jax.nn.sigmoid(-margin) * (swapped - jnp.log(smoothing))


def discopop(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  *,
  beta=0.05,
  tau=0.05,
) -> jax.Array:
  """Log-ratio modulated loss, found by a language model's search.

    m = beta D
    loss = -s(-m / tau) log s(m) + s(m / tau) exp(-m)

  Around m = 0 the loss rises from log 2 to 1 before it falls, so training
  that starts at the reference may walk the wrong way: start from a policy
  with a positive margin.

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    beta: > 0, inverse temperature of the implicit reward.
    tau: in (0, 1], width of the blend between the two parts.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    (log 2 + 1) / 2 at D = 0. Far below zero it is `dpo`.

  Reference:
    Lu et al., "Discovering Preference Optimization Algorithms with and for
    Large Language Models", arXiv:2406.08414 (log-ratio modulated loss).
  """
  checks.in_range("discopop", 0, low_open=True, beta=beta)
  checks.in_range("discopop", 0, 1, low_open=True, tau=tau)
  c, r = base.log_ratios(
    "discopop",
    chosen_logps,
    rejected_logps,
    ref_chosen_logps,
    ref_rejected_logps,
  )
  margin = beta * (c - r)
  logistic = -jax.nn.sigmoid(-margin / tau) * jax.nn.log_sigmoid(margin)
  # exp(-m) s(m / tau) in log space: the plain product is inf * 0 far below 0.
  exponential = jnp.exp(-margin + jax.nn.log_sigmoid(margin / tau))
  return logistic + exponential


def odpo(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  chosen_rewards,
  rejected_rewards,
  *,
  beta=0.1,
  alpha=1.0,
  offset="log",
) -> jax.Array:
  """DPO with an offset: a larger score gap asks for a larger margin.

    g = log(max(chosen_rewards - rejected_rewards, 1e-6))   offset="log"
    g = chosen_rewards - rejected_rewards                   offset="linear"
    loss = -log s(beta D - alpha g)

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    chosen_rewards: [B], score of the chosen response, in the scorer's unit.
    rejected_rewards: [B], score of the rejected response; below the chosen
      one (swap the pair first where it is not).
    beta: > 0, inverse temperature of the implicit reward.
    alpha: >= 0, scale of the offset.
    offset: "log" or "linear".

  Returns:
    [B] float32, not reduced; lower is better. No gradient into the scores.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    alpha=0 is `dpo`; so is a gap of 1 with the log offset.

  Reference:
    Amini, Vieira and Cotterell, "Direct Preference Optimization with an
    Offset", arXiv:2402.10571.
  """
  checks.in_range("odpo", 0, low_open=True, beta=beta)
  checks.in_range("odpo", 0, alpha=alpha)
  checks.one_of("odpo", ("log", "linear"), offset=offset)
  c, r = base.log_ratios(
    "odpo", chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps
  )
  _, chosen_scores, rejected_scores = base.floats(
    "odpo",
    chosen_logps=chosen_logps,
    chosen_rewards=chosen_rewards,
    rejected_rewards=rejected_rewards,
  )
  gap = jax.lax.stop_gradient(chosen_scores - rejected_scores)
  if offset == "log":
    gap = jnp.log(jnp.maximum(gap, _SMALLEST_GAP))
  return -jax.nn.log_sigmoid(beta * (c - r) - alpha * gap)


def length_penalized_dpo(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  chosen_lengths,
  rejected_lengths,
  *,
  beta=0.1,
  alpha=0.01,
) -> jax.Array:
  """DPO against a reward that pays a price per token (R-DPO).

    loss = -log s(beta D + alpha (|w| - |l|))

  The sign is plus: a reward r - alpha |y| is met by an implicit reward
  beta log-ratio + alpha |y|, so a longer chosen response needs less margin.

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    chosen_lengths: [B], |w|, counted tokens of the chosen response.
    rejected_lengths: [B], |l|, counted tokens of the rejected response.
    beta: > 0, inverse temperature of the implicit reward.
    alpha: price of a token, in reward units.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    alpha=0, or equal lengths, is `dpo`. Lengths below 1 count as 1.

  Reference:
    Park et al., "Disentangling Length from Quality in Direct Preference
    Optimization", arXiv:2403.19159.
  """
  checks.in_range("length_penalized_dpo", 0, low_open=True, beta=beta)
  c, r = base.log_ratios(
    "length_penalized_dpo",
    chosen_logps,
    rejected_logps,
    ref_chosen_logps,
    ref_rejected_logps,
  )
  chosen_count, rejected_count = base.token_counts(
    "length_penalized_dpo",
    c,
    chosen_lengths=chosen_lengths,
    rejected_lengths=rejected_lengths,
  )
  return -jax.nn.log_sigmoid(
    beta * (c - r) + alpha * (chosen_count - rejected_count)
  )


def dpo_gamma(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  *,
  beta=0.1,
  gamma=1.0,
) -> jax.Array:
  """DPO with the reference counted gamma times.

    loss = -log s(beta ((chosen - rejected)
                        - gamma (ref_chosen - ref_rejected)))

  Below 1 the policy's own ranking matters more, above 1 the reference's
  ranking is harder to overturn.

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    beta: > 0, inverse temperature of the implicit reward.
    gamma: >= 0, weight of the reference margin.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    gamma=1 is `dpo`; gamma=0 ignores the reference.

  Reference:
    Chen et al., "Preference Learning Algorithms Do Not Learn Preference
    Rankings", arXiv:2405.19534.
  """
  checks.in_range("dpo_gamma", 0, low_open=True, beta=beta)
  checks.in_range("dpo_gamma", 0, gamma=gamma)
  chosen, rejected, ref_chosen, ref_rejected = base.floats(
    "dpo_gamma",
    chosen_logps=chosen_logps,
    rejected_logps=rejected_logps,
    ref_chosen_logps=ref_chosen_logps,
    ref_rejected_logps=ref_rejected_logps,
  )
  margin = (chosen - rejected) - gamma * (ref_chosen - ref_rejected)
  return -jax.nn.log_sigmoid(beta * margin)
