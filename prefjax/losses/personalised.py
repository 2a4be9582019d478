# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Losses that read a user's preference off what the user's history changes."""

import jax
import jax.numpy as jnp

from prefjax.core import checks, masking
from prefjax.losses import base

_WEIGHTINGS = ("threshold", "js")
_LOWEST = -1e30  # a forbidden token's logit, yet finite


def causal_preference_effect(
  token_logps, nohistory_token_logps, mask
) -> jax.Array:
  """How much a user's history changes the probability of each token.

    effect_t = p(y_t | prompt, history) - p(y_t | prompt)

  Args:
    token_logps: [B, T], log-probs of the response tokens with the history.
    nohistory_token_logps: [B, T], the same without it.
    mask: [B, T], which tokens count; others may hold anything.

  Returns:
    [B, T] float32 in [-1, 1]; 0 where masked.

  Raises:
    ValueError: shapes differ.

  Reference:
    "NextQuill: Causal Preference Modeling for Enhancing LLM
    Personalization", arXiv:2506.02368.
  """
  logps, nohistory, kept = base.masked_tokens(
    "causal_preference_effect",
    mask,
    token_logps=token_logps,
    nohistory_token_logps=nohistory_token_logps,
  )
  return jnp.where(kept, jnp.exp(logps) - jnp.exp(nohistory), 0.0)


def _rows_to_one(weights) -> jax.Array:
  """Weights without gradient whose rows sum to 1, or stay 0."""
  weights = jax.lax.stop_gradient(weights)
  total = jnp.sum(weights, axis=-1, keepdims=True)
  return weights / jnp.where(total > 0, total, 1.0)


def preference_token_weights(
  effects, mask, *, threshold=0.05, high_weight=0.9, low_weight=0.1
) -> jax.Array:
  """Weights of the tokens of a response: much where the history mattered.

    w_t = high_weight where effect_t > threshold, else low_weight

  Args:
    effects: [B, T], from `causal_preference_effect`.
    mask: [B, T], which tokens count; others may hold anything.
    threshold: effects above it mark a token that bears preference.
    high_weight: >= 0, weight of those tokens.
    low_weight: >= 0, weight of the others.

  Returns:
    [B, T] float32 without gradient; rows sum to 1, or are 0 where no token
    counts or all weights are 0.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Reference:
    "NextQuill: Causal Preference Modeling for Enhancing LLM
    Personalization", arXiv:2506.02368.
  """
  name = "preference_token_weights"
  checks.in_range(name, 0, high_weight=high_weight, low_weight=low_weight)
  effects, kept = base.masked_tokens(name, mask, effects=effects)
  weights = jnp.where(effects > threshold, high_weight, low_weight)
  return _rows_to_one(jnp.where(kept, weights, 0.0).astype(effects.dtype))


def _label_logps(logps, labels, kept) -> jax.Array:
  """Log-probs [B, T, V] at the labels; NaN for a counted label outside V."""
  vocabulary = logps.shape[-1]
  labels = jnp.where(kept, labels, 0)
  inside = (labels >= 0) & (labels < vocabulary)
  index = jnp.clip(labels, 0, vocabulary - 1)[..., None]
  chosen = jnp.take_along_axis(logps, index, axis=-1)[..., 0]
  return jnp.where(inside, chosen, jnp.nan)


def _js_weights(logps, nohistory, kept) -> jax.Array:
  """KL of both distributions to their midpoint, [B, T]; rows sum to 1."""
  log_mean = jnp.logaddexp(logps, nohistory) - jnp.log(2.0)
  divergence = base.vocab_kl(logps, log_mean) + base.vocab_kl(
    nohistory, log_mean
  )
  # Rounding may leave a divergence of 0 slightly negative.
  return _rows_to_one(jnp.where(kept, jnp.maximum(divergence, 0.0), 0.0))


def nextquill(
  history_logits,
  nohistory_logits,
  labels,
  mask,
  *,
  alpha=0.1,
  threshold=0.05,
  high_weight=0.9,
  low_weight=0.1,
  stop_gradient_nohistory=False,
  weighting="threshold",
) -> jax.Array:
  """Causal preference modelling of what a user wrote.

    d_t = history_logits_t - nohistory_logits_t
    loss = - sum_t w_t log p(y_t | history)
           - alpha * mean_t log softmax(d_t)[y_t]

  The weights w stress tokens that the history made likelier
  (`preference_token_weights`); the second term asks the history's effect
  itself to predict the text. Whole-vocabulary arrays: for large vocabularies
  `prefjax.kernels` gives the same log-probs by tiles.

  Args:
    history_logits: [B, T, V], logits that predict token t, with the history.
    nohistory_logits: [B, T, V], the same without it.
    labels: int [B, T], the tokens; masked ones may be any number.
    mask: [B, T], which tokens count; others may hold anything.
    alpha: >= 0, weight of the effect term.
    threshold: effects above it mark a token that bears preference.
    high_weight: >= 0, weight of those tokens.
    low_weight: >= 0, weight of the others.
    stop_gradient_nohistory: holds the no-history branch fixed (same value,
      other gradient). Otherwise a small model may lower the loss by making
      that branch bad, which spoils the estimate of the effect.
    weighting: "threshold", or "js": weights in proportion to the divergence
      of both distributions from their midpoint (threshold and weights are
      then unused).

  Returns:
    [B] float32, not reduced; lower is better. 0 for an empty response.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    alpha=0 with equal weights is the mean cross-entropy. A history without
    effect gives the mean cross-entropy plus alpha log V.

  Reference:
    "NextQuill: Causal Preference Modeling for Enhancing LLM
    Personalization", arXiv:2506.02368.
  """
  checks.in_range("nextquill", 0, alpha=alpha)
  checks.in_range(
    "nextquill", 0, high_weight=high_weight, low_weight=low_weight
  )
  checks.one_of("nextquill", _WEIGHTINGS, weighting=weighting)
  history, nohistory, kept = base.masked_logits(
    "nextquill",
    mask,
    history_logits=history_logits,
    nohistory_logits=nohistory_logits,
  )
  checks.same_shape("nextquill", mask=mask, labels=labels)
  if stop_gradient_nohistory:
    nohistory = jax.lax.stop_gradient(nohistory)
  history_logps = jax.nn.log_softmax(history, axis=-1)
  nohistory_logps = jax.nn.log_softmax(nohistory, axis=-1)
  labels = jnp.asarray(labels)
  logps = _label_logps(history_logps, labels, kept)
  if weighting == "js":
    weights = _js_weights(history_logps, nohistory_logps, kept)
  else:
    effects = causal_preference_effect(
      logps, _label_logps(nohistory_logps, labels, kept), kept
    )
    weights = preference_token_weights(
      effects,
      kept,
      threshold=threshold,
      high_weight=high_weight,
      low_weight=low_weight,
    )
  # A token that neither branch allows is no candidate of the effect.
  possible = ~(jnp.isneginf(history) & jnp.isneginf(nohistory))
  change = jnp.maximum(history, _LOWEST) - jnp.maximum(nohistory, _LOWEST)
  change = jnp.where(possible, change, -jnp.inf)
  effect_logps = _label_logps(jax.nn.log_softmax(change, axis=-1), labels, kept)
  fit = -jnp.sum(weights * jnp.where(kept, logps, 0.0), axis=-1)
  return fit - alpha * masking.masked_mean(effect_logps, kept, axis=-1)
