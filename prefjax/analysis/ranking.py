# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Does the model rank the preferred response first, and could it?

Ranking accuracy compares likelihoods, pi(y_w|x) against pi(y_l|x); it is not
the accuracy of implicit rewards, which compares log-ratios to the reference.
Per-example functions take summed response log-probs in nats and work under
`jax.jit`.

Reference: "Preference Learning Algorithms Do Not Learn Preference Rankings",
arXiv 2405.19534.
"""

from typing import Any

import jax
import jax.numpy as jnp

from prefjax.core import checks

Array = Any


def _float32(*arrays: Array) -> tuple[jax.Array, ...]:
  return tuple(jnp.asarray(array, jnp.float32) for array in arrays)


def _compare(first: jax.Array, second: jax.Array, ties: float) -> jax.Array:
  """1 where first > second, `ties` where equal, else 0."""
  return jnp.where(
    first > second, 1.0, jnp.where(first == second, jnp.float32(ties), 0.0)
  ).astype(jnp.float32)


def ranking_accuracy(
  chosen_logps: Array, rejected_logps: Array, *, ties: float = 1.0
) -> jax.Array:
  """1 where the chosen response is at least as likely (Definition 2.3).

  Args:
    chosen_logps: [B] summed log-probs of preferred responses, nats.
    rejected_logps: [B] the same of the others.
    ties: what equal values count: 1 as in the paper, 0.5 or 0.

  Returns:
    float32 [B].

  Raises:
    ValueError: shapes differ, or `ties` is outside [0, 1].
  """
  checks.same_shape(
    "ranking_accuracy", chosen_logps=chosen_logps, rejected_logps=rejected_logps
  )
  checks.in_range("ranking_accuracy", 0, 1, ties=ties)
  return _compare(*_float32(chosen_logps, rejected_logps), ties)


def normalized_ranking_accuracy(
  chosen_logps: Array,
  rejected_logps: Array,
  chosen_lengths: Array,
  rejected_lengths: Array,
  *,
  ties: float = 1.0,
) -> jax.Array:
  """`ranking_accuracy` of mean log-probs a token.

  Args:
    chosen_logps: [B] summed log-probs, nats.
    rejected_logps: [B].
    chosen_lengths: [B] tokens; 0 counts as 1.
    rejected_lengths: [B].
    ties: what equal values count.

  Returns:
    float32 [B].

  Raises:
    ValueError: shapes differ, or `ties` is outside [0, 1].
  """
  checks.same_shape(
    "normalized_ranking_accuracy",
    chosen_logps=chosen_logps,
    rejected_logps=rejected_logps,
    chosen_lengths=chosen_lengths,
    rejected_lengths=rejected_lengths,
  )
  checks.in_range("normalized_ranking_accuracy", 0, 1, ties=ties)
  chosen, rejected, first, second = _float32(
    chosen_logps, rejected_logps, chosen_lengths, rejected_lengths
  )
  return _compare(
    chosen / jnp.maximum(first, 1), rejected / jnp.maximum(second, 1), ties
  )


def ranking_accuracy_with_ties(
  logps_1: Array, logps_2: Array, agreement: Array, *, tolerance: float = 0.01
) -> jax.Array:
  """Ranking accuracy where raters may be split evenly.

  Args:
    logps_1: [B] log-probs of the first responses; pass means a token when the
      tolerance should mean something for long responses.
    logps_2: [B] of the second.
    agreement: [B] share of raters that prefer the first; 0.5 is a tie.
    tolerance: a tie is right when the probabilities differ by less.

  Returns:
    float32 [B]: at a tie 1 iff |p_1 - p_2| < tolerance, else 1 iff the strict
    order is that of the majority.

  Raises:
    ValueError: shapes differ.
  """
  checks.same_shape(
    "ranking_accuracy_with_ties",
    logps_1=logps_1,
    logps_2=logps_2,
    agreement=agreement,
  )
  first, second, share = _float32(logps_1, logps_2, agreement)
  close = jnp.abs(jnp.exp(first) - jnp.exp(second)) < tolerance
  strict = jnp.where(share > 0.5, first > second, second > first)
  return jnp.where(share == 0.5, close, strict).astype(jnp.float32)


def group_ranking_accuracy(
  logps: Array, ranks: Array, mask: Array
) -> jax.Array:
  """1 where the likelihoods order a whole group as given.

  Args:
    logps: [B, K] log-probs.
    ranks: [B, K] 1 = best; equal ranks may come in any order.
    mask: [B, K] which responses exist.

  Returns:
    float32 [B]; groups of fewer than two responses count as right.

  Raises:
    ValueError: shapes differ.
  """
  checks.same_shape(
    "group_ranking_accuracy", logps=logps, ranks=ranks, mask=mask
  )
  logps, ranks = _float32(logps, ranks)
  valid = jnp.asarray(mask) > 0
  better = ranks[..., :, None] < ranks[..., None, :]  # [B, K, K]
  both = valid[..., :, None] & valid[..., None, :]
  ordered = logps[..., :, None] > logps[..., None, :]
  return jnp.all(ordered | ~(better & both), axis=(-2, -1)).astype(jnp.float32)


def idealized_log_ratio(
  ref_chosen_logps: Array,
  ref_rejected_logps: Array,
  agreement: Array,
  *,
  beta: float = 0.1,
  eps: float = 1e-3,
) -> jax.Array:
  """log pi*(y_w) - log pi*(y_l) of the perfect optimum (Theorem 3.1).

  Args:
    ref_chosen_logps: [B] reference log-probs, nats.
    ref_rejected_logps: [B].
    agreement: [B] share of raters that prefer the chosen response.
    beta: strength of the pull to the reference.
    eps: agreement is clipped to [eps, 1 - eps].

  Returns:
    float32 [B]: log ref(y_w) - log ref(y_l) + logit(agreement) / beta.

  Raises:
    ValueError: shapes differ, or beta or eps is out of range.
  """
  checks.same_shape(
    "idealized_log_ratio",
    ref_chosen_logps=ref_chosen_logps,
    ref_rejected_logps=ref_rejected_logps,
    agreement=agreement,
  )
  checks.in_range("idealized_log_ratio", 0, low_open=True, beta=beta)
  checks.in_range("idealized_log_ratio", 0, 0.5, eps=eps)
  chosen, rejected, share = _float32(
    ref_chosen_logps, ref_rejected_logps, agreement
  )
  share = jnp.clip(share, eps, 1 - eps)
  return chosen - rejected + (jnp.log(share) - jnp.log1p(-share)) / beta


def idealized_ranking_accuracy(
  ref_chosen_logps: Array,
  ref_rejected_logps: Array,
  agreement: Array,
  *,
  beta: float = 0.1,
  eps: float = 1e-3,
) -> jax.Array:
  """1 where the perfect optimum ranks the pair right, strictly; see above.

  Args, Raises: see `idealized_log_ratio`.

  Returns:
    float32 [B].
  """
  ratio = idealized_log_ratio(
    ref_chosen_logps, ref_rejected_logps, agreement, beta=beta, eps=eps
  )
  return (ratio > 0).astype(jnp.float32)


def dpo_flip_threshold(
  ref_chosen_logps: Array, ref_rejected_logps: Array, *, beta: float = 0.1
) -> jax.Array:
  """The pair is ranked right iff its DPO loss is at most this (Theorem 4.1).

  Args:
    ref_chosen_logps: [B] reference log-probs, nats.
    ref_rejected_logps: [B].
    beta: as in the DPO loss.

  Returns:
    float32 [B]: -log sigmoid(beta c), c = log ref(y_l) - log ref(y_w).

  Raises:
    ValueError: shapes differ, or beta is not positive.
  """
  checks.same_shape(
    "dpo_flip_threshold",
    ref_chosen_logps=ref_chosen_logps,
    ref_rejected_logps=ref_rejected_logps,
  )
  checks.in_range("dpo_flip_threshold", 0, low_open=True, beta=beta)
  chosen, rejected = _float32(ref_chosen_logps, ref_rejected_logps)
  return jax.nn.softplus(-beta * (rejected - chosen))


def ipo_flip_threshold(
  ref_chosen_logps: Array, ref_rejected_logps: Array, *, tau: float = 0.1
) -> jax.Array:
  """An IPO loss up to this guarantees the right ranking (Proposition A.7).

  Args:
    ref_chosen_logps: [B] reference log-probs, nats.
    ref_rejected_logps: [B].
    tau: as in the IPO loss (log-ratio gap - 1 / (2 tau))^2.

  Returns:
    float32 [B]: (c' + 1 / (2 tau))^2 with c' = log ref(y_w) - log ref(y_l);
    -1 where even a loss of 0 leaves the ranking wrong.

  Raises:
    ValueError: shapes differ, or tau is not positive.
  """
  checks.same_shape(
    "ipo_flip_threshold",
    ref_chosen_logps=ref_chosen_logps,
    ref_rejected_logps=ref_rejected_logps,
  )
  checks.in_range("ipo_flip_threshold", 0, low_open=True, tau=tau)
  chosen, rejected = _float32(ref_chosen_logps, ref_rejected_logps)
  room = chosen - rejected + 1 / (2 * tau)
  return jnp.where(room < 0, -1.0, room * room)


def flip_category(
  chosen_logps: Array,
  rejected_logps: Array,
  ref_chosen_logps: Array,
  ref_rejected_logps: Array,
) -> jax.Array:
  """What training did to each ranking.

  Args:
    chosen_logps: [B] after training, nats.
    rejected_logps: [B].
    ref_chosen_logps: [B] before.
    ref_rejected_logps: [B].

  Returns:
    int32 [B]: 0 kept right, 1 fixed, 2 broken, 3 kept wrong (ties are right).

  Raises:
    ValueError: shapes differ.
  """
  after = ranking_accuracy(chosen_logps, rejected_logps) > 0
  before = ranking_accuracy(ref_chosen_logps, ref_rejected_logps) > 0
  return jnp.where(
    before, jnp.where(after, 0, 2), jnp.where(after, 1, 3)
  ).astype(jnp.int32)
