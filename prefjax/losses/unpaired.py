# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Losses of one response with a label: 1 desirable, 0 undesirable."""

import jax
import jax.numpy as jnp

from prefjax.core import checks, masking
from prefjax.losses import base


def kto(
  logps,
  ref_logps,
  labels,
  *,
  reference_point,
  beta=0.1,
  desirable_weight=1.0,
  undesirable_weight=1.0,
) -> jax.Array:
  """Kahneman-Tversky optimisation: utility against a reference point.

    u = logps - ref_logps, z = reference_point
    loss = desirable_weight   * s(-beta (u - z))   for label 1
    loss = undesirable_weight * s(beta (u - z))    for label 0

  Keep desirable_weight * n_desirable / (undesirable_weight * n_undesirable)
  between 1 and 4/3.

  Args:
    logps: [B], policy log-prob of the response, summed nats.
    ref_logps: [B], reference log-prob of the response.
    labels: [B], 1 (or True) desirable, 0 undesirable.
    reference_point: [] or number, z in nats (not times beta), usually from
      `kto_reference_point`; no gradient flows into it.
    beta: > 0, inverse temperature of the implicit reward.
    desirable_weight: >= 0.
    undesirable_weight: >= 0.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    Half the weight at u = z.

  Reference:
    Ethayarajh et al., "KTO: Model Alignment as Prospect Theoretic
    Optimization", arXiv:2402.01306, section 4 (the constant 1 of the
    value function is dropped, 1 - s(x) = s(-x)).
  """
  checks.in_range("kto", 0, low_open=True, beta=beta)
  checks.in_range(
    "kto",
    0,
    desirable_weight=desirable_weight,
    undesirable_weight=undesirable_weight,
  )
  u = base.log_ratio("kto", logps, ref_logps, labels=labels)
  origin = jax.lax.stop_gradient(jnp.asarray(reference_point, u.dtype))
  gain = beta * (u - origin)
  return jnp.where(
    jnp.asarray(labels).astype(bool),
    desirable_weight * jax.nn.sigmoid(-gain),
    undesirable_weight * jax.nn.sigmoid(gain),
  )


def kto_reference_point(kl_logps, kl_ref_logps, mask) -> jax.Array:
  """KTO's reference point z: a one-batch estimate of KL(policy, reference).

    z = max(0, mean over kept rows of (kl_logps - kl_ref_logps))

  Row i holds the log-probs of a response that belongs to another prompt
  (usually that of row i + 1), so a batch needs at least two rows. Not a
  loss; it couples the batch, so average it over devices before use.

  Args:
    kl_logps: [B], policy log-prob of the mismatched response, summed nats.
    kl_ref_logps: [B], reference log-prob of the same.
    mask: [B], which rows count; others may hold anything.

  Returns:
    [] float32, nats, without gradient; 0 when no row counts.

  Raises:
    ValueError: shapes differ.

  Limits:
    Never negative; 0 for equal policies.

  Reference:
    Ethayarajh et al., "KTO: Model Alignment as Prospect Theoretic
    Optimization", arXiv:2402.01306, section 4.1.
  """
  u = base.log_ratio("kto_reference_point", kl_logps, kl_ref_logps, mask=mask)
  mean = masking.masked_mean(u, mask)
  return jax.lax.stop_gradient(jnp.maximum(mean, 0))


def bco_unpaired(logps, ref_logps, labels, *, beta=0.1, delta=0.0) -> jax.Array:
  """Binary classifier optimisation on single labelled responses.

    loss = -log s(beta u - delta)       for label 1
    loss = -log s(-(beta u - delta))    for label 0

  Args:
    logps: [B], policy log-prob of the response, summed nats.
    ref_logps: [B], reference log-prob of the response.
    labels: [B], 1 (or True) desirable, 0 undesirable.
    beta: > 0, inverse temperature of the implicit reward.
    delta: [] or number, reward shift: the running mean of all implicit
      rewards, from `running_mean_update`; no gradient flows into it.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    log 2 at beta u = delta. A pair's two rows sum to `bco_pair`.

  Reference:
    Jung et al., "Binary Classifier Optimization for Large Language Model
    Alignment", arXiv:2404.04656.
  """
  checks.in_range("bco_unpaired", 0, low_open=True, beta=beta)
  u = base.log_ratio("bco_unpaired", logps, ref_logps, labels=labels)
  shifted = beta * u - jax.lax.stop_gradient(jnp.asarray(delta, u.dtype))
  sign = jnp.where(jnp.asarray(labels).astype(bool), 1.0, -1.0)
  return -jax.nn.log_sigmoid(sign.astype(u.dtype) * shifted)


def bco_udm_weight(
  prob_desirable, *, min_ratio=0.5, max_ratio=10.0
) -> jax.Array:
  """Density-ratio weight of undesirable examples for `bco_unpaired`.

    weight = clip(p / (1 - p + 1e-8), min_ratio, max_ratio)

  p is a prompt classifier's probability that the prompt comes from the
  desirable half of the data. Not a loss.

  Args:
    prob_desirable: [B], p in [0, 1].
    min_ratio: >= 0, lower clip.
    max_ratio: > min_ratio, upper clip.

  Returns:
    [B] float32 weights without gradient.

  Raises:
    ValueError: a keyword is out of range.

  Limits:
    p = 1/2 gives 1.

  Reference:
    Jung et al., "Binary Classifier Optimization for Large Language Model
    Alignment", arXiv:2404.04656 (underlying distribution matching).
  """
  checks.in_range("bco_udm_weight", 0, min_ratio=min_ratio)
  checks.in_range("bco_udm_weight", min_ratio, max_ratio=max_ratio)
  (p,) = base.floats("bco_udm_weight", prob_desirable=prob_desirable)
  ratio = p / (1 - p + 1e-8)
  return jax.lax.stop_gradient(jnp.clip(ratio, min_ratio, max_ratio))


def apo_zero_unpaired(logps, ref_logps, labels, *, beta=0.1) -> jax.Array:
  """Anchored preference optimisation (zero) on single labelled responses.

    loss = s(-beta u) for label 1, s(beta u) for label 0

  Args:
    logps: [B], policy log-prob of the response, summed nats.
    ref_logps: [B], reference log-prob of the response.
    labels: [B], 1 (or True) desirable, 0 undesirable.
    beta: > 0, inverse temperature of the implicit reward.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    `kto` with reference_point=0 and unit weights; a pair's two rows sum to
    `apo_zero`.

  Reference:
    D'Oosterlinck et al., "Anchored Preference Optimization and Contrastive
    Revisions: Addressing Underspecification in Alignment",
    arXiv:2408.06266.
  """
  checks.in_range("apo_zero_unpaired", 0, low_open=True, beta=beta)
  u = base.log_ratio("apo_zero_unpaired", logps, ref_logps, labels=labels)
  sign = jnp.where(jnp.asarray(labels).astype(bool), -1.0, 1.0)
  return jax.nn.sigmoid(sign.astype(u.dtype) * beta * u)
