# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Prefer-to-classify: preferences between inputs of one class.

Of two inputs with the same label, which shows it more? H preference heads
learn it beside the classifier. Preferences are 1 for the first input, 0 for
the second, 2 for a tie. Kim et al., "Prefer to Classify: Improving Text
Classifiers via Auxiliary Preference Learning", arXiv:2306.04925.
"""

import jax
import jax.numpy as jnp

from prefjax.core import checks, numerics
from prefjax.losses import base

TIE = 2


def _heads(function: str, scores_a, scores_b) -> jax.Array:
  """Logits [H, B] of the first input being preferred."""
  checks.rank(function, 2, scores_a=scores_a)
  first, second = base.floats(function, scores_a=scores_a, scores_b=scores_b)
  if not first.shape[0]:
    raise ValueError(f"{function}: scores_a has no head")
  return first - second


def _rows(function: str, logits, **arrays) -> None:
  """Checks arrays [B] against logits [H, B]."""
  checks.same_shape(function, scores_a=logits[0], **arrays)


def p2c_preference(scores_a, scores_b, preference) -> jax.Array:
  """Each head predicts the preference between two inputs.

    loss = mean over heads of -t log s(d) - (1 - t) log s(-d)

  with d = scores_a - scores_b and t = 1, 0, or 1/2 for a tie.

  Args:
    scores_a: [H, B], score of the first input by each head.
    scores_b: [H, B], of the second input.
    preference: [B], 1 first, 0 second, 2 tie.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ.

  Limits:
    A tie is least at equal scores, with log 2.

  Reference:
    Kim et al., "Prefer to Classify: Improving Text Classifiers via
    Auxiliary Preference Learning", arXiv:2306.04925.
  """
  logits = _heads("p2c_preference", scores_a, scores_b)
  _rows("p2c_preference", logits, preference=preference)
  preference = jnp.asarray(preference)
  target = jnp.where(preference == TIE, 0.5, preference).astype(logits.dtype)
  losses = numerics.soft_log_sigmoid_loss(logits, 1 - target[None])
  return jnp.mean(losses, axis=0)


def p2c_consistency(probs_a, probs_b, labels, preference) -> jax.Array:
  """The preferred input has the higher probability of the label.

    d = probs_a[label] - probs_b[label]
    loss = max(0, -d), max(0, d), or |d| for a tie

  Args:
    probs_a: [B, C], class probabilities of the first input.
    probs_b: [B, C], of the second input.
    labels: int [B], their class.
    preference: [B], 1 first, 0 second, 2 tie.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ.

  Limits:
    0 where the order agrees; no gradient at a tie that is met.

  Reference:
    Kim et al., "Prefer to Classify: Improving Text Classifiers via
    Auxiliary Preference Learning", arXiv:2306.04925.
  """
  first, second = base.floats(
    "p2c_consistency", probs_a=probs_a, probs_b=probs_b
  )
  checks.rank("p2c_consistency", 2, probs_a=first)
  checks.same_shape(
    "p2c_consistency", probs_a=first[:, 0], labels=labels, preference=preference
  )
  index = jnp.asarray(labels)[:, None]
  gap = jnp.take_along_axis(first - second, index, axis=-1)[:, 0]
  preference = jnp.asarray(preference)
  return jnp.where(
    preference == TIE,
    numerics.tie_safe_abs(gap),
    jax.nn.relu(jnp.where(preference == 1, -gap, gap)),
  )


def p2c_margin(probs_a, probs_b, soft_a, soft_b) -> jax.Array:
  """Probabilities differ at least as much as annotators' votes do.

    dp = probs_a - probs_b, dq = soft_a - soft_b
    loss = sum over classes of max(0, dq - dp) where dq >= 0, else
           max(0, dp - dq)

  Args:
    probs_a: [B, C], class probabilities of the first input.
    probs_b: [B, C], of the second input.
    soft_a: [B, C], shares of votes for the first input; constants.
    soft_b: [B, C], for the second input.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ.

  Limits:
    0 for probabilities that equal the shares.

  Reference:
    Kim et al., "Prefer to Classify: Improving Text Classifiers via
    Auxiliary Preference Learning", arXiv:2306.04925 (consistency with
    margins).
  """
  probs_a, probs_b, soft_a, soft_b = base.floats(
    "p2c_margin",
    probs_a=probs_a,
    probs_b=probs_b,
    soft_a=soft_a,
    soft_b=soft_b,
  )
  wanted = jax.lax.stop_gradient(soft_a - soft_b)
  short = wanted - (probs_a - probs_b)
  return jnp.sum(jax.nn.relu(jnp.where(wanted >= 0, short, -short)), axis=-1)


def p2c_diversity(scores_a, scores_b) -> jax.Array:
  """How differently the heads see a pair; to be maximised.

    mean over heads i != j of - sum_x P_i(x) log P_j(x),  P_i constant

  Args:
    scores_a: [H, B], score of the first input by each head.
    scores_b: [H, B], of the second input.

  Returns:
    [B] float32, not reduced, at least the heads' mean entropy; 0 for one
    head.

  Raises:
    ValueError: shapes differ.

  Limits:
    The mean entropy iff the heads agree.

  Reference:
    Kim et al., "Prefer to Classify: Improving Text Classifiers via
    Auxiliary Preference Learning", arXiv:2306.04925.
  """
  logits = _heads("p2c_diversity", scores_a, scores_b)
  heads = logits.shape[0]
  if heads == 1:
    return jnp.zeros_like(logits[0])
  p = jax.lax.stop_gradient(jax.nn.sigmoid(logits))[:, None]  # [H, 1, B]
  other = logits[None]  # [1, H, B]
  cross = numerics.soft_log_sigmoid_loss(other, 1 - p)  # [H, H, B]
  distinct = (1 - jnp.eye(heads, dtype=logits.dtype))[:, :, None]
  return jnp.sum(cross * distinct, axis=(0, 1)) / (heads * (heads - 1))


def p2c(
  logits_a,
  logits_b,
  labels,
  scores_a,
  scores_b,
  preference,
  *,
  lambda_pref=1.0,
  lambda_cons=1.0,
  lambda_div=0.1,
) -> jax.Array:
  """Classification of two inputs of a class, and which shows it more.

    loss = (CE_a + CE_b) / 2 + lambda_pref * p2c_preference
           + lambda_cons * p2c_consistency - lambda_div * p2c_diversity

  Args:
    logits_a: [B, C], class logits of the first input.
    logits_b: [B, C], of the second input.
    labels: int [B], their class.
    scores_a: [H, B], score of the first input by each preference head;
      bounded, or the heads drift apart.
    scores_b: [H, B], of the second input.
    preference: [B], 1 first, 0 second, 2 tie.
    lambda_pref: >= 0.
    lambda_cons: >= 0.
    lambda_div: >= 0, weight of the diversity, which is maximised.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    All weights 0 are the mean of two cross-entropies. Swapping the inputs
    and the preference changes nothing.

  Reference:
    Kim et al., "Prefer to Classify: Improving Text Classifiers via
    Auxiliary Preference Learning", arXiv:2306.04925.
  """
  checks.in_range(
    "p2c",
    0,
    lambda_pref=lambda_pref,
    lambda_cons=lambda_cons,
    lambda_div=lambda_div,
  )
  logits_a, logits_b = base.floats("p2c", logits_a=logits_a, logits_b=logits_b)
  checks.rank("p2c", 2, logits_a=logits_a)
  heads = _heads("p2c", scores_a, scores_b)
  checks.same_shape(
    "p2c",
    logits_a=logits_a[:, 0],
    labels=labels,
    scores_a=heads[0],
    preference=preference,
  )
  logps_a, logps_b = (jax.nn.log_softmax(x) for x in (logits_a, logits_b))
  index = jnp.asarray(labels)[:, None]
  chosen = jnp.take_along_axis(logps_a + logps_b, index, axis=-1)[:, 0]
  consistency = p2c_consistency(
    jnp.exp(logps_a), jnp.exp(logps_b), labels, preference
  )
  return (
    -chosen / 2
    + lambda_pref * p2c_preference(scores_a, scores_b, preference)
    + lambda_cons * consistency
    - lambda_div * p2c_diversity(scores_a, scores_b)
  )
