# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Mixtures: a preference loss plus likelihood or quality terms."""

from collections.abc import Mapping

import jax

from prefjax.core import checks
from prefjax.losses import anchored, base, pairwise, reference_free


def mpo(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  chosen_lengths,
  *,
  beta=0.1,
  delta=0.0,
  preference_weight=0.8,
  quality_weight=0.2,
  generation_weight=1.0,
) -> jax.Array:
  """Mixed preference optimisation: preference, quality and generation.

    loss = preference_weight * dpo + quality_weight * bco_pair
           + generation_weight * nll(chosen)

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    chosen_lengths: [B], counted tokens of the chosen response.
    beta: > 0, inverse temperature of the implicit reward.
    delta: [] or number, reward shift of `bco_pair`.
    preference_weight: >= 0.
    quality_weight: >= 0.
    generation_weight: >= 0.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    Weights (1, 0, 0) give `dpo`, (0, 1, 0) `bco_pair`, (0, 0, 1) `nll`.

  Reference:
    Wang et al., "Enhancing the Reasoning Ability of Multimodal Large
    Language Models via Mixed Preference Optimization", arXiv:2411.10442.
  """
  checks.in_range("mpo", 0, low_open=True, beta=beta)
  weights = {
    "preference": preference_weight,
    "quality": quality_weight,
    "generation": generation_weight,
  }
  checks.in_range(
    "mpo", 0, **{f"{name}_weight": weight for name, weight in weights.items()}
  )
  checks.same_shape(
    "mpo",
    chosen_logps=chosen_logps,
    rejected_logps=rejected_logps,
    ref_chosen_logps=ref_chosen_logps,
    ref_rejected_logps=ref_rejected_logps,
    chosen_lengths=chosen_lengths,
  )
  pair = (chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps)
  terms = {
    "preference": pairwise.dpo(*pair, beta=beta),
    "quality": anchored.bco_pair(*pair, beta=beta, delta=delta),
    "generation": reference_free.nll(chosen_logps, chosen_lengths),
  }
  return weighted_sum(terms, weights)


def weighted_sum(
  terms: Mapping[str, jax.Array], weights: Mapping[str, float]
) -> jax.Array:
  """Any mixture of losses: sum over names of weights[name] * terms[name].

  Args:
    terms: name -> [B], unreduced losses.
    weights: name -> number, with the same names.

  Returns:
    [B] float32, not reduced.

  Raises:
    KeyError: the two do not have the same names.
    ValueError: there are no terms, or their shapes differ.

  Limits:
    One term of weight 1 is that term.

  Reference:
    None; a helper for mixtures such as `mpo`.
  """
  unknown = sorted(set(weights) ^ set(terms))
  if unknown:
    raise KeyError(
      f"weighted_sum: {unknown} are not in both; terms has {sorted(terms)},"
      f" weights has {sorted(weights)}"
    )
  if not terms:
    raise ValueError("weighted_sum: terms is empty, expected at least one")
  arrays = base.floats("weighted_sum", **dict(terms))
  return sum(
    weights[name] * array for name, array in zip(terms, arrays, strict=True)
  )


def rpo(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  chosen_lengths,
  *,
  beta=0.1,
  alpha=1.0,
  dpo_weight=1.0,
  label_smoothing=0.0,
) -> jax.Array:
  """Reasoning preference optimisation: DPO plus the chosen trace's NLL.

    loss = dpo_weight * dpo + alpha * (-chosen / |chosen|)

  The second term keeps the chosen response from losing probability. It is
  per token of each example; a mean over a batch's tokens would weigh long
  traces more. Papers differ in which term carries the weight.

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    chosen_lengths: [B], counted tokens of trace and answer.
    beta: > 0, inverse temperature of the implicit reward.
    alpha: >= 0, weight of the likelihood term.
    dpo_weight: >= 0, weight of the preference term.
    label_smoothing: e in [0, 0.5], of the preference term.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    alpha=0 is `dpo`; dpo_weight=0 is alpha * `nll`. The gradient into
    chosen_logps is negative always.

  Reference:
    Kawakami et al., "Stabilizing Reasoning in Medical LLMs with Continued
    Pretraining and Reasoning Preference Optimization", arXiv:2504.18080;
    Pang et al., "Iterative Reasoning Preference Optimization",
    arXiv:2404.19733.
  """
  checks.in_range("rpo", 0, low_open=True, beta=beta)
  checks.in_range("rpo", 0, alpha=alpha, dpo_weight=dpo_weight)
  checks.in_range("rpo", 0, 0.5, label_smoothing=label_smoothing)
  checks.same_shape(
    "rpo",
    chosen_logps=chosen_logps,
    rejected_logps=rejected_logps,
    ref_chosen_logps=ref_chosen_logps,
    ref_rejected_logps=ref_rejected_logps,
    chosen_lengths=chosen_lengths,
  )
  preference = pairwise.dpo(
    chosen_logps,
    rejected_logps,
    ref_chosen_logps,
    ref_rejected_logps,
    beta=beta,
    label_smoothing=label_smoothing,
  )
  likelihood = reference_free.nll(chosen_logps, chosen_lengths)
  return dpo_weight * preference + alpha * likelihood
