# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""How well each response does against the other samples of a policy."""

import jax
import jax.numpy as jnp

from prefjax.core import checks, masking, numerics

_TRANSFORMS = ("score", "probability")


def preference_vs_policy(
  matrix, mask=None, *, include_self=True, transform="score"
) -> jax.Array:
  """Mean preference over the other responses to a prompt.

  Args:
    matrix: [B, K, K], entry (i, j) how much i is preferred to j, from
      `models.preference_matrix`.
    mask: [B, K] or None, which responses exist; others may hold anything.
    include_self: counts each response as its own opponent too (score 0,
      probability 1/2); without, the mean is unbiased.
    transform: "score" as it is, or "probability": its sigmoid.

  Returns:
    [B, K] float32; 0 where masked or without an opponent.

  Raises:
    ValueError: shapes do not fit or an unknown transform.

  Reference:
    Zhang et al., "Beyond Bradley-Terry Models: A General Preference Model
    for Language Model Alignment", arXiv:2410.02197.
  """
  name = "preference_vs_policy"
  checks.one_of(name, _TRANSFORMS, transform=transform)
  shape = jnp.shape(matrix)
  if len(shape) != 3 or shape[1] != shape[2]:
    raise ValueError(f"{name}: matrix has shape {shape}, expected [B, K, K]")
  if mask is None:
    mask = jnp.ones(shape[:2], bool)
  elif jnp.shape(mask) != shape[:2]:
    raise ValueError(
      f"{name}: mask has shape {jnp.shape(mask)}, expected {shape[:2]}"
    )
  kept = jnp.asarray(mask).astype(bool)
  pair = kept[:, :, None] & kept[:, None, :]
  if not include_self:
    pair &= ~jnp.eye(shape[1], dtype=bool)[None]
  (scores,) = numerics.to_float32(matrix)
  scores = masking.replace(scores, pair)
  if transform == "probability":
    scores = jax.nn.sigmoid(scores)
  return masking.masked_mean(scores, pair, axis=-1)
