# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Losses for preferences that no scalar reward can express.

A general preference model scores pairs (`prefjax.core.skew`); GPO and SPPO
then regress the policy's log-ratio on how well each response does against
the current policy.
"""

import jax
import jax.numpy as jnp

from prefjax.core import checks, masking, numerics, skew
from prefjax.losses import base

_LOG_Z = ("zero", "mean", "exact")


def gpm(
  chosen_embeddings, rejected_embeddings, gates=None, margin=None, *, tau=0.1
) -> jax.Array:
  """General preference model: the chosen response beats the rejected one.

    loss = -log s( (s(chosen > rejected) - margin) / tau )

  Args:
    chosen_embeddings: [B, 2k], of the chosen response.
    rejected_embeddings: [B, 2k], of the rejected response.
    gates: [B, k] or None, weights of the planes, from the prompt.
    margin: [B], a number or None, score that should be exceeded; constant.
    tau: > 0, temperature.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ, an odd last axis, or tau is out of range.

  Limits:
    With k = 1 and embeddings (r, 1) it is `bradley_terry` of temperature
    tau.

  Reference:
    Zhang et al., "Beyond Bradley-Terry Models: A General Preference Model
    for Language Model Alignment", arXiv:2410.02197.
  """
  checks.in_range("gpm", 0, low_open=True, tau=tau)
  checks.same_shape(
    "gpm",
    chosen_embeddings=chosen_embeddings,
    rejected_embeddings=rejected_embeddings,
  )
  if (
    gates is not None
    and jnp.shape(gates)[:-1] != (jnp.shape(chosen_embeddings)[:-1])
  ):
    raise ValueError(
      f"gpm: gates has shape {jnp.shape(gates)}, expected"
      f" {jnp.shape(chosen_embeddings)[:-1]} rows"
    )
  score = skew.preference_score(chosen_embeddings, rejected_embeddings, gates)
  (margin,) = base.per_example(
    "gpm", score, margin=0.0 if margin is None else margin
  )
  return -jax.nn.log_sigmoid((score - jax.lax.stop_gradient(margin)) / tau)


def _log_z(scores, kept, beta, log_z: str) -> jax.Array:
  """beta log Z(x) [B, 1] of the closed form pi exp(s / beta) / Z."""
  if log_z == "mean":
    return masking.masked_mean(scores, kept, axis=-1, keepdims=True)
  number = masking.count(kept, axis=-1, keepdims=True).astype(scores.dtype)
  total = masking.masked_logsumexp(scores / beta, kept, axis=-1, keepdims=True)
  log_mean = total - jnp.log(jnp.maximum(number, 1))
  return beta * jnp.where(number > 0, log_mean, 0.0)


def gpo(
  logps,
  ref_logps,
  scores,
  mask=None,
  *,
  beta=0.001,
  log_z="zero",
  clip_score=1000.0,
) -> jax.Array:
  """General preference optimisation: log-ratios follow preference scores.

    loss = mean_i ( logps_i - ref_logps_i - (scores_i - log_z) / beta )^2

  Args:
    logps: [B, K], policy log-probs of K samples, summed nats.
    ref_logps: [B, K], log-probs under the policy that wrote the samples.
    scores: [B, K], mean preference over the other samples, from
      `rewards.preference_vs_policy`; held to +-clip_score, constants.
    mask: [B, K] or None, which samples exist; others may hold anything.
    beta: > 0, temperature. Targets are of size 1 / beta.
    log_z: "zero" (scores of a group cancel), "mean" of the scores, or
      "exact": beta log mean_j exp(scores_j / beta).
    clip_score: > 0, bound on the scores.

  Returns:
    [B] float32, not reduced; lower is better. 0 for an empty group.

  Raises:
    ValueError: shapes differ, not two axes, or a keyword is out of range.

  Limits:
    0 iff every log-ratio is at its target.

  Reference:
    Zhang et al., "Beyond Bradley-Terry Models: A General Preference Model
    for Language Model Alignment", arXiv:2410.02197.
  """
  checks.in_range("gpo", 0, low_open=True, beta=beta, clip_score=clip_score)
  checks.one_of("gpo", _LOG_Z, log_z=log_z)
  checks.rank("gpo", 2, logps=logps)
  if mask is None:
    mask = jnp.ones(jnp.shape(logps), bool)
  checks.same_shape(
    "gpo", logps=logps, ref_logps=ref_logps, scores=scores, mask=mask
  )
  kept = jnp.asarray(mask).astype(bool)
  logps, ref_logps, scores = (
    masking.replace(x, kept)
    for x in numerics.to_float32(logps, ref_logps, scores)
  )
  scores = jax.lax.stop_gradient(jnp.clip(scores, -clip_score, clip_score))
  if log_z != "zero":
    scores = scores - _log_z(scores, kept, beta, log_z)
  residual = logps - ref_logps - scores / beta
  return masking.masked_mean(jnp.square(residual), kept, axis=-1)


def sppo(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  chosen_win_prob,
  rejected_win_prob,
  *,
  beta=0.001,
) -> jax.Array:
  """Self-play preference optimisation with win rates against the policy.

    loss = [ (c - (p_c - 1/2) / beta)^2 + (r - (p_r - 1/2) / beta)^2 ] / 2

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    chosen_win_prob: [B], probability that it beats a sample of the policy.
    rejected_win_prob: [B], the same of the rejected response.
    beta: > 0, temperature. Targets are of size 1 / (2 beta).

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or beta is out of range.

  Limits:
    Probabilities 1 and 0 give half of `sppo_hard`.

  Reference:
    Wu et al., "Self-Play Preference Optimization for Language Model
    Alignment", arXiv:2405.00675, equation 4.6.
  """
  checks.in_range("sppo", 0, low_open=True, beta=beta)
  c, r = base.log_ratios(
    "sppo", chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps
  )
  _, chosen_win, rejected_win = jax.lax.stop_gradient(
    base.floats(
      "sppo",
      chosen_logps=c,
      chosen_win_prob=chosen_win_prob,
      rejected_win_prob=rejected_win_prob,
    )
  )
  first = jnp.square(c - (chosen_win - 0.5) / beta)
  second = jnp.square(r - (rejected_win - 0.5) / beta)
  return (first + second) / 2
