# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Contrastive losses on features of a reward model: SimCSE and SwAV.

The rows of a batch meet in both, so a method built on them must see the
whole batch.
"""

import jax
import jax.numpy as jnp

from prefjax.core import checks, masking, numerics
from prefjax.losses import base


def _unit(vectors) -> jax.Array:
  return vectors / numerics.safe_norm(vectors, axis=-1, keepdims=True)


def _row_mask(function: str, like, mask) -> jax.Array:
  """bool [B]: which rows are real."""
  if mask is None:
    return jnp.ones(like.shape[:1], bool)
  if jnp.shape(mask) != like.shape[:1]:
    raise ValueError(
      f"{function}: mask has shape {jnp.shape(mask)}, expected {like.shape[:1]}"
    )
  return jnp.asarray(mask).astype(bool)


def simcse(anchor, positive, *, temperature=0.05, mask=None) -> jax.Array:
  """Two views of one example are alike, views of others are not.

    loss_i = -log( exp(cos(a_i, p_i) / t) / sum_j exp(cos(a_i, p_j) / t) )

  Couples the batch.

  Args:
    anchor: [B, D], features of one view, such as one dropout pass.
    positive: [B, D], features of the other view.
    temperature: t > 0.
    mask: [B] or None, real rows; the others are no negatives and get loss
      0.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    0 for a batch of one; log B for equal features.

  Reference:
    Gao et al., "SimCSE: Simple Contrastive Learning of Sentence
    Embeddings", arXiv:2104.08821; on reward models: Wang et al.,
    arXiv:2401.06080.
  """
  checks.in_range("simcse", 0, low_open=True, temperature=temperature)
  checks.rank("simcse", 2, anchor=anchor)
  anchor, positive = base.floats("simcse", anchor=anchor, positive=positive)
  kept = _row_mask("simcse", anchor, mask)
  anchor, positive = (
    _unit(masking.replace(x, kept[:, None])) for x in (anchor, positive)
  )
  scores = anchor @ positive.T / temperature  # [B, B]
  # A padding row looks at everything, so that its softmax exists.
  seen = kept[None, :] | ~kept[:, None]
  total = jax.nn.logsumexp(jnp.where(seen, scores, -jnp.inf), axis=1)
  return jnp.where(kept, total - jnp.diagonal(scores), 0.0)


def sinkhorn_codes(
  scores, *, epsilon=0.05, iterations=3, mask=None
) -> jax.Array:
  """Soft assignments to prototypes that use all of them alike; no loss.

  exp(scores / epsilon) is normalised in turn so that prototypes share the
  mass equally and so do samples, ending on samples.

  Args:
    scores: [B, K], similarity of samples and prototypes.
    epsilon: > 0, smoothness of the assignment.
    iterations: >= 1, rounds.
    mask: [B] or None, real rows; the others get codes of 0.

  Returns:
    [B, K] float32 without gradient; rows sum to 1, with many rounds columns
    to B / K.

  Raises:
    ValueError: scores is not two axes or a keyword is out of range.

  Reference:
    Caron et al., "Unsupervised Learning of Visual Features by Contrasting
    Cluster Assignments", arXiv:2006.09882.
  """
  checks.rank("sinkhorn_codes", 2, scores=scores)
  checks.in_range("sinkhorn_codes", 0, low_open=True, epsilon=epsilon)
  checks.in_range("sinkhorn_codes", 1, iterations=iterations)
  (scores,) = numerics.to_float32(jax.lax.stop_gradient(jnp.asarray(scores)))
  kept = _row_mask("sinkhorn_codes", scores, mask)[:, None]
  # Logarithms: exp(1 / 0.05) is near the end of float16 and sums of it are
  # not far from the end of float32.
  log_codes = masking.replace(scores, kept) / epsilon
  for _ in range(iterations):
    share = jax.nn.logsumexp(
      jnp.where(kept, log_codes, -jnp.inf), axis=0, keepdims=True
    )
    log_codes = log_codes - jnp.where(jnp.isneginf(share), 0.0, share)
    log_codes = jax.nn.log_softmax(log_codes, axis=1)
  return jnp.where(kept, jnp.exp(log_codes), 0.0)


def swav(
  view_a,
  view_b,
  prototypes,
  *,
  temperature=0.1,
  epsilon=0.05,
  iterations=3,
  mask=None,
) -> jax.Array:
  """Each view predicts the other's assignment to shared prototypes.

    S = a C^T, S' = b C^T;  q, q' = `sinkhorn_codes` of S and S'
    loss = -sum_k q'_k log softmax(S / t)_k - sum_k q_k log softmax(S' / t)_k

  Vectors and prototypes are scaled to length 1. Couples the batch through
  the codes.

  Args:
    view_a: [B, D], features of one view.
    view_b: [B, D], features of the other view.
    prototypes: [K, D], trainable.
    temperature: t > 0.
    epsilon: > 0, smoothness of the codes.
    iterations: >= 1, rounds of the codes.
    mask: [B] or None, real rows; the others have no part in the codes and
      get loss 0.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    One prototype gives 0.

  Reference:
    Caron et al., "Unsupervised Learning of Visual Features by Contrasting
    Cluster Assignments", arXiv:2006.09882, equation 2; on reward models:
    Wang et al., arXiv:2401.06080.
  """
  checks.in_range("swav", 0, low_open=True, temperature=temperature)
  checks.rank("swav", 2, view_a=view_a, prototypes=prototypes)
  view_a, view_b = base.floats("swav", view_a=view_a, view_b=view_b)
  (prototypes,) = numerics.to_float32(prototypes)
  if prototypes.shape[1] != view_a.shape[1]:
    raise ValueError(
      f"swav: prototypes has shape {prototypes.shape}, expected"
      f" [K, {view_a.shape[1]}]"
    )
  kept = _row_mask("swav", view_a, mask)
  prototypes = _unit(prototypes)
  scores, codes = [], []
  for view in (view_a, view_b):
    score = _unit(masking.replace(view, kept[:, None])) @ prototypes.T
    scores.append(jax.nn.log_softmax(score / temperature, axis=-1))
    codes.append(
      sinkhorn_codes(score, epsilon=epsilon, iterations=iterations, mask=kept)
    )
  first = jnp.sum(codes[1] * scores[0], axis=-1)
  second = jnp.sum(codes[0] * scores[1], axis=-1)
  return jnp.where(kept, -first - second, 0.0)
