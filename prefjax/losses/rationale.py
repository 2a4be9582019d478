# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Preference losses that also teach why the chosen response is better."""

import jax

from prefjax.core import checks
from prefjax.losses import base, pairwise, reference_free

_FORMS = ("nll", "logsigmoid")


def add_rationale(
  losses, rationale_logps, *, gamma=0.001, rationale_form="nll"
) -> jax.Array:
  """Any loss plus the likelihood of the rationale; not a loss by itself.

    losses - gamma * rationale_logps              "nll"
    losses - log s(gamma * rationale_logps)       "logsigmoid"

  Args:
    losses: [B], any preference loss.
    rationale_logps: [B], policy log-prob of the rationale after a prompt
      that shows both responses, summed nats (so gamma is small).
    gamma: >= 0, weight of the rationale.
    rationale_form: "nll" (the paper) or "logsigmoid" (its code), whose
      slope lies between gamma / 2 and gamma.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    gamma=0 gives the losses, plus log 2 for "logsigmoid".

  Reference:
    Just et al., "Data-Centric Human Preference with Rationales for Direct
    Preference Alignment", arXiv:2407.14477.
  """
  checks.in_range("add_rationale", 0, gamma=gamma)
  checks.one_of("add_rationale", _FORMS, rationale_form=rationale_form)
  losses, logps = base.floats(
    "add_rationale", losses=losses, rationale_logps=rationale_logps
  )
  if rationale_form == "nll":
    return losses - gamma * logps
  return losses - jax.nn.log_sigmoid(gamma * logps)


def rationale_dpo(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  rationale_logps,
  *,
  beta=0.1,
  gamma=0.001,
  rationale_form="nll",
) -> jax.Array:
  """DPO plus the likelihood of a written reason for the preference.

    loss = -log s(beta D) - gamma * rationale_logps            "nll"
    loss = -log s(beta D) - log s(gamma * rationale_logps)     "logsigmoid"

  The rationale has no reference model.

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    rationale_logps: [B], policy log-prob of the rationale after a prompt
      that shows both responses, summed nats (so gamma is small).
    beta: > 0, inverse temperature of the implicit reward.
    gamma: >= 0, weight of the rationale.
    rationale_form: "nll" (the paper) or "logsigmoid" (its code).

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    gamma=0 is `dpo`, plus log 2 for "logsigmoid". The slope into
    rationale_logps is -gamma, or in [-gamma, -gamma / 2].

  Reference:
    Just et al., "Data-Centric Human Preference with Rationales for Direct
    Preference Alignment", arXiv:2407.14477.
  """
  checks.in_range("rationale_dpo", 0, low_open=True, beta=beta)
  checks.in_range("rationale_dpo", 0, gamma=gamma)
  checks.one_of("rationale_dpo", _FORMS, rationale_form=rationale_form)
  checks.same_shape(
    "rationale_dpo",
    chosen_logps=chosen_logps,
    rejected_logps=rejected_logps,
    ref_chosen_logps=ref_chosen_logps,
    ref_rejected_logps=ref_rejected_logps,
    rationale_logps=rationale_logps,
  )
  preference = pairwise.dpo(
    chosen_logps,
    rejected_logps,
    ref_chosen_logps,
    ref_rejected_logps,
    beta=beta,
  )
  return add_rationale(
    preference, rationale_logps, gamma=gamma, rationale_form=rationale_form
  )


def rationale_orpo(
  chosen_logps,
  rejected_logps,
  chosen_lengths,
  rejected_lengths,
  rationale_logps,
  rationale_lengths,
  *,
  beta=0.1,
  gamma=1.0,
) -> jax.Array:
  """ORPO plus the per-token likelihood of a written reason.

    loss = orpo(beta) + gamma * nll(rationale)

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    chosen_lengths: [B], counted tokens of the chosen response.
    rejected_lengths: [B], counted tokens of the rejected response.
    rationale_logps: [B], policy log-prob of the rationale after a prompt
      that shows both responses, summed nats.
    rationale_lengths: [B], counted tokens of the rationale.
    beta: >= 0, weight of the odds-ratio term.
    gamma: >= 0, weight of the rationale, per token.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    gamma=0 is `orpo`.

  Reference:
    Just et al., "Data-Centric Human Preference with Rationales for Direct
    Preference Alignment", arXiv:2407.14477.
  """
  checks.in_range("rationale_orpo", 0, beta=beta, gamma=gamma)
  checks.same_shape(
    "rationale_orpo",
    chosen_logps=chosen_logps,
    rejected_logps=rejected_logps,
    chosen_lengths=chosen_lengths,
    rejected_lengths=rejected_lengths,
    rationale_logps=rationale_logps,
    rationale_lengths=rationale_lengths,
  )
  preference = reference_free.orpo(
    chosen_logps, rejected_logps, chosen_lengths, rejected_lengths, beta=beta
  )
  return preference + gamma * reference_free.nll(
    rationale_logps, rationale_lengths
  )
