# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Ratings of several attributes: regression, strength, SteerLM 2.0.

The method is Wang et al., "HelpSteer2: Open-source dataset for training
top-performing reward models", arXiv:2406.08673.
"""

import jax
import jax.numpy as jnp

from prefjax.core import checks, masking, numerics
from prefjax.losses import base

_VARIANTS = ("regular", "margin", "scaled")
# Inside the logarithms of the distance that is monitored.
_FLOOR = 1e-8


def attribute_regression(predictions, targets, mask=None) -> jax.Array:
  """Squared error of the rated attributes.

    loss = mean over rated attributes of (prediction - target)^2

  Weigh rows by their number of rated attributes for a mean over all
  ratings of a batch.

  Args:
    predictions: [B, A], outputs of the reward model.
    targets: [B, A], ratings.
    mask: [B, A] or None, which ratings exist; others may hold anything.

  Returns:
    [B] float32, not reduced; lower is better. 0 for an unrated response.

  Raises:
    ValueError: shapes differ.

  Limits:
    0 for right predictions.

  Reference:
    Wang et al., "HelpSteer2: Open-source dataset for training
    top-performing reward models", arXiv:2406.08673.
  """
  if mask is None:
    mask = jnp.ones(jnp.shape(predictions), bool)
  predictions, targets, kept = base.masked_tokens(
    "attribute_regression", mask, predictions=predictions, targets=targets
  )
  error = jnp.square(predictions - targets)
  return masking.masked_mean(error, kept, axis=-1)


def strength_bt(
  chosen_rewards, rejected_rewards, strength, *, variant="scaled"
) -> jax.Array:
  """Bradley-Terry with a human's strength of preference.

    regular: -log s(d)   margin: -log s(d - strength)
    scaled: -strength log s(d),  with d = chosen - rejected

  Args:
    chosen_rewards: [B], score of the better response.
    rejected_rewards: [B], score of the other one.
    strength: [B], such as 1, 2 or 3; constant. Drop pairs of strength 0.
    variant: "regular", "margin" or "scaled".

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or an unknown variant.

  Limits:
    "scaled" at strength 1 and "margin" at 0 are "regular".

  Reference:
    Wang et al., "HelpSteer2-Preference: Complementing Ratings with
    Preferences", arXiv:2410.01257.
  """
  checks.one_of("strength_bt", _VARIANTS, variant=variant)
  chosen, rejected, strength = base.floats(
    "strength_bt",
    chosen_rewards=chosen_rewards,
    rejected_rewards=rejected_rewards,
    strength=strength,
  )
  strength = jax.lax.stop_gradient(strength)
  gap = chosen - rejected
  if variant == "margin":
    gap = gap - strength
  losses = -jax.nn.log_sigmoid(gap)
  return strength * losses if variant == "scaled" else losses


def steerlm2_weights(
  logps, attr_logps, prior_logps, proposal_logps, mask=None
) -> dict[str, jax.Array]:
  """Importance weights of SteerLM 2.0; not a loss.

    target = softmax(attr + prior - proposal)
    baseline = softmax(logps - proposal)
    weight = target - baseline

  over the K samples of a group. The distance is the divergence of target and
  baseline.

  Args:
    logps: [B, K], log-probs under the model that is trained, given the
      attributes, summed nats.
    attr_logps: [B, K], log-probs of the attributes given the response.
    prior_logps: [B, K], log-probs without attributes.
    proposal_logps: [B, K], log-probs under the sampler.
    mask: [B, K] or None, which samples exist; others may hold anything.

  Returns:
    target, baseline, weight float32 [B, K] and distance [B], without
    gradient; all 0 for an empty group.

  Raises:
    ValueError: shapes differ or not two axes.

  Reference:
    Wang et al., "HelpSteer2", arXiv:2406.08673 (SteerLM 2.0).
  """
  checks.rank("steerlm2", 2, logps=logps)
  arrays = {
    "logps": logps,
    "attr_logps": attr_logps,
    "prior_logps": prior_logps,
    "proposal_logps": proposal_logps,
  }
  if mask is None:
    mask = jnp.ones(jnp.shape(logps), bool)
  checks.same_shape("steerlm2", **arrays, mask=mask)
  kept = jnp.asarray(mask).astype(bool)
  floats = jax.lax.stop_gradient(numerics.to_float32(*arrays.values()))
  logps, attributes, prior, proposal = (
    masking.replace(x, kept) for x in floats
  )
  target = masking.masked_softmax(attributes + prior - proposal, kept)
  baseline = masking.masked_softmax(logps - proposal, kept)
  ratio = jnp.log(target + _FLOOR) - jnp.log(baseline + _FLOOR)
  distance = masking.masked_sum((target + _FLOOR) * ratio, kept, axis=-1)
  out = {
    "target": target,
    "baseline": baseline,
    "weight": target - baseline,
    "distance": distance,
  }
  return jax.lax.stop_gradient(out)


def steerlm2(
  logps,
  attr_logps,
  prior_logps,
  proposal_logps,
  lengths=None,
  mask=None,
  *,
  normalize_by_length=True,
) -> jax.Array:
  """SteerLM 2.0: fits the policy to the posterior given wanted attributes.

    loss = - sum_i weight_i logps_i   (/ mean length of the group)

  with the constants of `steerlm2_weights`; only the gradient has a meaning.

  Args:
    logps: [B, K], log-probs under the model that is trained, given the
      attributes, summed nats.
    attr_logps: [B, K], log-probs of the attributes given the response.
    prior_logps: [B, K], log-probs without attributes.
    proposal_logps: [B, K], log-probs under the sampler.
    lengths: [B, K] or None, counted tokens; for normalize_by_length.
    mask: [B, K] or None, which samples exist; others may hold anything.
    normalize_by_length: divides by the mean length of the group's samples.

  Returns:
    [B] float32, not reduced. 0 for a group of fewer than two samples.

  Raises:
    ValueError: shapes differ, not two axes, or lengths are missing.

  Limits:
    No gradient where the model is the posterior. Constants added to a
    group's log-probs change no weight.

  Reference:
    Wang et al., "HelpSteer2: Open-source dataset for training
    top-performing reward models", arXiv:2406.08673 (SteerLM 2.0).
  """
  if normalize_by_length and lengths is None:
    raise ValueError("steerlm2: normalize_by_length needs lengths")
  weights = steerlm2_weights(
    logps, attr_logps, prior_logps, proposal_logps, mask
  )
  (logps,) = numerics.to_float32(logps)
  kept = (
    jnp.ones(logps.shape, bool)
    if mask is None
    else jnp.asarray(mask).astype(bool)
  )
  logps = masking.replace(logps, kept)
  loss = -jnp.sum(weights["weight"] * logps, axis=-1)
  if not normalize_by_length:
    return loss
  checks.same_shape("steerlm2", logps=logps, lengths=lengths)
  lengths = jnp.asarray(lengths).astype(logps.dtype)
  mean = masking.masked_mean(lengths, kept, axis=-1)
  return loss / jnp.maximum(mean, 1)
