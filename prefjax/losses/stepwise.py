# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Losses whose unit of preference is one reasoning step."""

import jax
import jax.numpy as jnp

from prefjax.core import checks, numerics
from prefjax.losses import base


def step_dpo(
  chosen_token_logps,
  rejected_token_logps,
  ref_chosen_token_logps,
  ref_rejected_token_logps,
  chosen_step_mask,
  rejected_step_mask,
  *,
  beta=0.5,
  label_smoothing=0.0,
) -> jax.Array:
  """DPO on the contested step alone, given the correct steps before it.

    c = sum over the step's tokens of (chosen - ref_chosen), r likewise
    m = beta (c - r)
    loss = -(1 - e) log s(m) - e log s(-m)

  The prefix is context only and no end token belongs to a step.

  Args:
    chosen_token_logps: [B, T], policy log-probs of the chosen branch, nats.
    rejected_token_logps: [B, U], the same of the rejected branch.
    ref_chosen_token_logps: [B, T], reference log-probs.
    ref_rejected_token_logps: [B, U], reference log-probs.
    chosen_step_mask: [B, T], tokens of the contested step; others may hold
      anything.
    rejected_step_mask: [B, U], the same of the rejected branch.
    beta: > 0, inverse temperature of the implicit reward.
    label_smoothing: e in [0, 0.5].

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    Masks over whole responses give `dpo` on the summed log-probs; tokens
    outside the step have no gradient.

  Reference:
    Lai et al., "Step-DPO: Step-wise Preference Optimization for Long-chain
    Reasoning of LLMs", arXiv:2406.18629.
  """
  checks.in_range("step_dpo", 0, low_open=True, beta=beta)
  checks.in_range("step_dpo", 0, 0.5, label_smoothing=label_smoothing)
  chosen, ref_chosen, _ = base.masked_tokens(
    "step_dpo",
    chosen_step_mask,
    "chosen_step_mask",
    chosen_token_logps=chosen_token_logps,
    ref_chosen_token_logps=ref_chosen_token_logps,
  )
  rejected, ref_rejected, _ = base.masked_tokens(
    "step_dpo",
    rejected_step_mask,
    "rejected_step_mask",
    rejected_token_logps=rejected_token_logps,
    ref_rejected_token_logps=ref_rejected_token_logps,
  )
  base.same_rows(
    "step_dpo", chosen_step_mask=chosen, rejected_step_mask=rejected
  )
  c = jnp.sum(chosen - ref_chosen, axis=-1)
  r = jnp.sum(rejected - ref_rejected, axis=-1)
  return numerics.soft_log_sigmoid_loss(beta * (c - r), label_smoothing)
