# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Losses of the log-ratio margin D between a chosen and a rejected response.

Pass zeros as the two reference arrays for a reference-free form.
"""

import jax
import jax.numpy as jnp

from prefjax.core import checks, numerics
from prefjax.losses import base


def dpo(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  *,
  beta=0.1,
  label_smoothing=0.0,
) -> jax.Array:
  """Direct preference optimisation: logistic loss of the implicit margin.

    loss = -(1 - e) log s(beta D) - e log s(-beta D)

  with D = (chosen - ref_chosen) - (rejected - ref_rejected), s the sigmoid
  and e = label_smoothing.

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    beta: > 0, inverse temperature of the implicit reward.
    label_smoothing: in [0, 0.5], share of the swapped label.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    log 2 at D = 0 for every beta and label_smoothing.

  Reference:
    Rafailov et al., "Direct Preference Optimization: Your Language Model is
    Secretly a Reward Model", arXiv:2305.18290, Eq. 7.
  """
  checks.in_range("dpo", 0, low_open=True, beta=beta)
  checks.in_range("dpo", 0, 0.5, label_smoothing=label_smoothing)
  c, r = base.log_ratios(
    "dpo", chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps
  )
  return numerics.soft_log_sigmoid_loss(beta * (c - r), label_smoothing)


def conservative_dpo(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  *,
  beta=0.1,
  label_smoothing=0.1,
) -> jax.Array:
  """DPO that expects a share of the labels to be swapped.

    loss = -(1 - e) log s(beta D) - e log s(-beta D)

  The same function as `dpo` with smoothing on by default: its optimum is a
  finite margin, beta D = log((1 - e) / e), instead of an infinite one.

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    beta: > 0, inverse temperature of the implicit reward.
    label_smoothing: e in [0, 0.5], assumed probability of a swapped label.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    label_smoothing=0 is `dpo`; 0.5 is even in D.

  Reference:
    Mitchell, "A note on DPO with noisy preferences and relationship to IPO",
    2023 (technical note).
  """
  checks.in_range("conservative_dpo", 0, low_open=True, beta=beta)
  checks.in_range("conservative_dpo", 0, 0.5, label_smoothing=label_smoothing)
  c, r = base.log_ratios(
    "conservative_dpo",
    chosen_logps,
    rejected_logps,
    ref_chosen_logps,
    ref_rejected_logps,
  )
  return numerics.soft_log_sigmoid_loss(beta * (c - r), label_smoothing)


def dpo_norm(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  chosen_lengths,
  rejected_lengths,
  *,
  beta=5.0,
) -> jax.Array:
  """DPO on per-token log-ratios.

    loss = -log s(beta (c / |w| - r / |l|))

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    chosen_lengths: [B], |w|, counted tokens of the chosen response.
    rejected_lengths: [B], |l|, counted tokens of the rejected response.
    beta: > 0; of order 5, because the margin is per token.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    With both lengths n it is `dpo` at beta / n. Lengths below 1 count as 1.

  Reference:
    Lambert et al., "Tulu 3: Pushing Frontiers in Open Language Model
    Post-Training", arXiv:2411.15124 (length-normalised DPO).
  """
  checks.in_range("dpo_norm", 0, low_open=True, beta=beta)
  c, r = base.log_ratios(
    "dpo_norm",
    chosen_logps,
    rejected_logps,
    ref_chosen_logps,
    ref_rejected_logps,
  )
  chosen_count, rejected_count = base.token_counts(
    "dpo_norm",
    c,
    chosen_lengths=chosen_lengths,
    rejected_lengths=rejected_lengths,
  )
  return -jax.nn.log_sigmoid(beta * (c / chosen_count - r / rejected_count))


def ipo(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  chosen_lengths,
  rejected_lengths,
  *,
  beta=0.1,
  average=True,
) -> jax.Array:
  """Identity preference optimisation: squared distance to a set margin.

    loss = (c / |w| - r / |l| - 1 / (2 beta))^2      average=True
    loss = (c - r - 1 / (2 beta))^2                  average=False

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    chosen_lengths: [B], |w|, counted tokens of the chosen response.
    rejected_lengths: [B], |l|, counted tokens of the rejected response.
    beta: > 0, the paper's tau.
    average: whether log-ratios are per token. The paper's equation does not
      show an average; its authors confirmed it to another library.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    0 at a margin of 1 / (2 beta), and there only. Lengths below 1 count
    as 1.

  Reference:
    Azar et al., "A General Theoretical Paradigm to Understand Learning from
    Human Preferences", arXiv:2310.12036, Eq. 17.
  """
  checks.in_range("ipo", 0, low_open=True, beta=beta)
  c, r = base.log_ratios(
    "ipo", chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps
  )
  chosen_count, rejected_count = base.token_counts(
    "ipo",
    c,
    chosen_lengths=chosen_lengths,
    rejected_lengths=rejected_lengths,
  )
  margin = c / chosen_count - r / rejected_count if average else c - r
  return jnp.square(margin - 1 / (2 * beta))


def hinge(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  *,
  beta=0.1,
) -> jax.Array:
  """Hinge loss of the implicit margin (RSO; SLiC with a reference).

    loss = max(0, 1 - beta D)

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    beta: > 0, inverse of the margin in nats that is asked for.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    0, without gradient, once beta D > 1; 1 at D = 0.

  Reference:
    Liu et al., "Statistical Rejection Sampling Improves Preference
    Optimization", arXiv:2309.06657 (hinge-norm loss).
  """
  checks.in_range("hinge", 0, low_open=True, beta=beta)
  c, r = base.log_ratios(
    "hinge", chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps
  )
  return jax.nn.relu(1 - beta * (c - r))


def implicit_rewards(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  *,
  beta=0.1,
) -> dict[str, jax.Array]:
  """Rewards that a policy implies against its reference; not a loss.

    chosen = beta c, rejected = beta r, margin = beta (c - r),
    correct = 1 if margin > 0 else 0

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    beta: > 0, inverse temperature of the implicit reward.

  Returns:
    {"chosen", "rejected", "margin", "correct"}, each [B] float32.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    A tie counts as not correct.

  Reference:
    Rafailov et al., "Direct Preference Optimization: Your Language Model is
    Secretly a Reward Model", arXiv:2305.18290, section 4.
  """
  checks.in_range("implicit_rewards", 0, low_open=True, beta=beta)
  c, r = base.log_ratios(
    "implicit_rewards",
    chosen_logps,
    rejected_logps,
    ref_chosen_logps,
    ref_rejected_logps,
  )
  margin = beta * (c - r)
  return {
    "chosen": beta * c,
    "rejected": beta * r,
    "margin": margin,
    "correct": (margin > 0).astype(margin.dtype),
  }
