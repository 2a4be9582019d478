# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Which of several responses to a prompt to keep."""

import jax
import jax.numpy as jnp

from prefjax.core import checks, numerics


def _group(function: str, scores, mask) -> tuple[jax.Array, jax.Array]:
  """Scores [B, K] with -inf where missing, and the mask."""
  checks.rank(function, 2, scores=scores)
  (scores,) = numerics.to_float32(scores)
  if mask is None:
    mask = jnp.ones(scores.shape, bool)
  checks.same_shape(function, scores=scores, mask=mask)
  kept = jnp.asarray(mask).astype(bool)
  return jnp.where(kept, scores, -jnp.inf), kept


def _order(scores, kept) -> jax.Array:
  """int [B, K]: best first, ties by index, missing ones last."""
  # The mask is the first key: a real score may be -inf too.
  return jnp.lexsort((-scores, ~kept), axis=-1)


def best_of_n(scores, mask=None) -> jax.Array:
  """The best response to each prompt.

  Args:
    scores: [B, K].
    mask: [B, K] or None, which responses exist; others may hold anything.

  Returns:
    int32 [B], the index; the lowest one of equal scores, -1 where no
    response exists.

  Raises:
    ValueError: shapes differ or not two axes.
  """
  scores, kept = _group("best_of_n", scores, mask)
  if not scores.shape[1]:
    return jnp.full(scores.shape[:1], -1, jnp.int32)
  best = _order(scores, kept)[:, 0]
  return jnp.where(jnp.any(kept, axis=1), best, -1).astype(jnp.int32)


def rejection_select(
  scores, mask=None, *, top_k=1, min_score=None
) -> jax.Array:
  """The responses to train on: the best few, if they are good enough.

  Args:
    scores: [B, K].
    mask: [B, K] or None, which responses exist; others may hold anything.
    top_k: >= 0, most responses kept of each prompt; ties by index.
    min_score: least score kept; None keeps any.

  Returns:
    int32 [B, K], 1 where kept.

  Raises:
    ValueError: shapes differ, not two axes, or top_k is negative.

  Reference:
    Dong et al., "RAFT: Reward rAnked FineTuning for Generative Foundation
    Model Alignment", arXiv:2304.06767.
  """
  checks.in_range("rejection_select", 0, top_k=top_k)
  scores, kept = _group("rejection_select", scores, mask)
  rank = jnp.argsort(_order(scores, kept), axis=-1)
  chosen = kept & (rank < top_k)
  if min_score is not None:
    chosen &= scores >= min_score
  return chosen.astype(jnp.int32)
