# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Losses against responses written without part of the input."""

import jax
import jax.numpy as jnp

from prefjax.core import checks
from prefjax.losses import base


def bpo_blind(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  blind_logps,
  ref_blind_logps,
  *,
  beta=0.1,
  blind_weight=1.0,
) -> jax.Array:
  """Blind preference optimisation: chosen over rejected and over blind.

    b = blind_logps - ref_blind_logps
    loss = -log s(beta (c - r)) - blind_weight * log s(beta (c - b))

  The blind response was written without the image, but all three are scored
  with it, so the model must use what only the image shows.

  Args:
    chosen_logps: [B], policy log-prob of the chosen response given the full
      input, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    blind_logps: [B], policy log-prob of the blind response, given the full
      input.
    ref_blind_logps: [B], reference log-prob of the same.
    beta: > 0, inverse temperature of the implicit reward.
    blind_weight: >= 0, a number, or [B] with 0 for rows that have no blind
      response (which may then hold anything).

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    blind_weight=0 is `dpo`; a blind response with the rejected one's
    log-probs gives 2 dpo.

  Reference:
    Li et al., "Towards Harmless Multimodal Assistants with Blind Preference
    Optimization", arXiv:2503.14189.
  """
  checks.in_range("bpo_blind", 0, low_open=True, beta=beta)
  checks.in_range("bpo_blind", 0, blind_weight=blind_weight)
  c, r = base.log_ratios(
    "bpo_blind",
    chosen_logps,
    rejected_logps,
    ref_chosen_logps,
    ref_rejected_logps,
  )
  _, blind, ref_blind = base.floats(
    "bpo_blind",
    chosen_logps=chosen_logps,
    blind_logps=blind_logps,
    ref_blind_logps=ref_blind_logps,
  )
  (weight,) = base.per_example("bpo_blind", c, blind_weight=blind_weight)
  # Rows without a blind response must not put a NaN into the sum.
  used = weight > 0
  b = jnp.where(used, blind - ref_blind, 0.0)
  blind_term = -jax.nn.log_sigmoid(beta * (c - b))
  return -jax.nn.log_sigmoid(beta * (c - r)) + weight * blind_term
