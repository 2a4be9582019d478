# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Online preference losses: Nash-MD and XPO."""

import jax
import jax.numpy as jnp

from prefjax.core import checks
from prefjax.losses import base


def nash_md(
  token_logps, ref_token_logps, win_prob, mask, *, beta=0.1
) -> jax.Array:
  """Nash mirror descent: beat the mixture of policy and reference.

    loss = beta sum_t sg(log pi_t - log ref_t) log pi_t
           - (win_prob - 1/2) sum_t log pi_t

  Its gradient is that of the win rate less beta times the divergence. The
  opponent is sampled from `generation.mixture_logits`.

  Args:
    token_logps: [B, T], policy log-probs of its own sample, nats.
    ref_token_logps: [B, T], reference log-probs of it.
    win_prob: [B], probability that the sample beats the opponent's.
    mask: [B, T], which tokens count; others may hold anything.
    beta: >= 0, weight of the divergence.

  Returns:
    [B] float32, not reduced; only its gradient has a meaning.

  Raises:
    ValueError: shapes differ or beta is out of range.

  Limits:
    No gradient at win_prob = 1/2 and policy = reference.

  Reference:
    Munos et al., "Nash Learning from Human Feedback", arXiv:2312.00886.
  """
  checks.in_range("nash_md", 0, beta=beta)
  logps, reference, kept = base.masked_tokens(
    "nash_md", mask, token_logps=token_logps, ref_token_logps=ref_token_logps
  )
  total = jnp.sum(jnp.where(kept, logps, 0.0), axis=-1)
  _, win_prob = base.floats("nash_md", token_logps=total, win_prob=win_prob)
  excess = jax.lax.stop_gradient(logps - reference)
  penalty = jnp.sum(jnp.where(kept, excess * logps, 0.0), axis=-1)
  advantage = jax.lax.stop_gradient(win_prob) - 0.5
  return beta * penalty - advantage * total


def xpo(
  policy_logps,
  ref_logps,
  policy_logps_ref_sample,
  ref_logps_ref_sample,
  policy_wins,
  *,
  beta=0.1,
  alpha=1e-5,
) -> jax.Array:
  """Exploratory preference optimisation: online DPO with optimism.

    D = (log-ratio of the policy's sample) - (of the reference's sample)
    loss = -log s(+-beta D) + alpha * policy_logps_ref_sample

  with + where the policy's sample won. The bonus lowers the probability of
  what the reference would say anyway.

  Args:
    policy_logps: [B], policy log-prob of the policy's sample, summed nats.
    ref_logps: [B], reference log-prob of it.
    policy_logps_ref_sample: [B], policy log-prob of the reference's sample.
    ref_logps_ref_sample: [B], reference log-prob of it.
    policy_wins: [B], whether the policy's sample was preferred.
    beta: > 0, inverse temperature of the implicit reward.
    alpha: >= 0, weight of the bonus.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    alpha=0 is `dpo` on the ordered pair.

  Reference:
    Xie et al., "Exploratory Preference Optimization: Harnessing Implicit
    Q*-Approximation for Sample-Efficient RLHF", arXiv:2405.21046.
  """
  checks.in_range("xpo", 0, low_open=True, beta=beta)
  checks.in_range("xpo", 0, alpha=alpha)
  checks.same_shape("xpo", policy_logps=policy_logps, policy_wins=policy_wins)
  policy, reference, policy_other, reference_other = base.floats(
    "xpo",
    policy_logps=policy_logps,
    ref_logps=ref_logps,
    policy_logps_ref_sample=policy_logps_ref_sample,
    ref_logps_ref_sample=ref_logps_ref_sample,
  )
  margin = (policy - reference) - (policy_other - reference_other)
  won = jnp.asarray(policy_wins).astype(bool)
  margin = beta * jnp.where(won, margin, -margin)
  return alpha * policy_other - jax.nn.log_sigmoid(margin)
