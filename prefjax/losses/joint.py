# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Preferences between instruction-response pairs of any instructions."""

import jax

from prefjax.core import checks
from prefjax.losses import base


def dove(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  chosen_prompt_logps,
  rejected_prompt_logps,
  ref_chosen_prompt_logps,
  ref_rejected_prompt_logps,
  *,
  beta=0.1,
  prompt_weight=1.0,
) -> jax.Array:
  """Joint preference optimisation over (instruction, response) pairs.

    p = prompt log-ratio of the chosen side, q of the rejected side
    loss = -log s(beta (c + w p - r - w q)), w = prompt_weight

  Log the two parts apart: long prompts give large margins.

  Args:
    chosen_logps: [B], policy log-prob of the chosen response given its own
      prompt, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    chosen_prompt_logps: [B], policy log-prob of the chosen side's prompt
      tokens after the first, summed nats.
    rejected_prompt_logps: [B], the same of the rejected side's prompt.
    ref_chosen_prompt_logps: [B], reference log-prob of the chosen prompt.
    ref_rejected_prompt_logps: [B], the same of the rejected prompt.
    beta: > 0, inverse temperature of the implicit reward.
    prompt_weight: >= 0, share of the prompt part. Our addition.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    Equal prompts, or prompt_weight=0, give `dpo` exactly.

  Reference:
    Bansal et al., "Comparing Bad Apples to Good Oranges: Aligning Large
    Language Models via Joint Preference Optimization", arXiv:2404.00530.
  """
  checks.in_range("dove", 0, low_open=True, beta=beta)
  checks.in_range("dove", 0, prompt_weight=prompt_weight)
  checks.same_shape(
    "dove",
    chosen_logps=chosen_logps,
    rejected_logps=rejected_logps,
    ref_chosen_logps=ref_chosen_logps,
    ref_rejected_logps=ref_rejected_logps,
    chosen_prompt_logps=chosen_prompt_logps,
    rejected_prompt_logps=rejected_prompt_logps,
    ref_chosen_prompt_logps=ref_chosen_prompt_logps,
    ref_rejected_prompt_logps=ref_rejected_prompt_logps,
  )
  c, r = base.log_ratios(
    "dove", chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps
  )
  p, q = base.log_ratios(
    "dove",
    chosen_prompt_logps,
    rejected_prompt_logps,
    ref_chosen_prompt_logps,
    ref_rejected_prompt_logps,
  )
  # Prompt parts are subtracted first, so that equal ones cancel exactly.
  return -jax.nn.log_sigmoid(beta * ((c - r) + prompt_weight * (p - q)))
