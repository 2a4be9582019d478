# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The batch that every method shares, and the terms that every loss returns.

Axes: B prompts, K responses to a prompt, P prompt slots, R response slots,
M pairs. Prompts are right-aligned in their slots and responses left-aligned.
Masks come from lengths, never from token ids, so pad = eos is safe.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from prefjax.core import pytrees

Array = Any  # numpy.ndarray on the host, jax.Array inside a step


def _pytree(cls, static: tuple[str, ...] = ()):
  """A frozen keyword-only dataclass whose fields are pytree children.

  Those named in `static` are part of the structure instead.
  """
  cls = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
  return pytrees.register(cls, static)


@functools.partial(_pytree, static=("packed",))
class Group:
  """B prompts with K responses each; responses share their prompt.

  Attributes:
    prompt: int32 [B, P], right-aligned token ids.
    prompt_mask: bool [B, P], True at real tokens (at least one a row).
    response: int32 [B, K, R], left-aligned token ids.
    token_mask: bool [B, K, R], True at real response tokens.
    token_weights: float32 [B, K, R], how much each response token counts in
      a log-prob sum; 0 at pads and at tool or user turns.
    response_mask: bool [B, K], False where a ragged group has no response.
    scores: float32 [B, K] or None, annotations (for K=1 the label 0 or 1).
    pairs: int32 [B, M, 2] or None, (better, worse) response indices;
      None means [[0, 1]].
    pair_valid: bool [B, M] or None, which pairs are real.
    ref_token_logps: float32 [B, K, R] or None, precomputed reference
      log-probs of every response token, before any weighting.
    segments: int32 [B, K, R] or None, step or turn index of a token.
    old_logps: float32 [B, K, R] or None, sampler log-probs (RL).
    advantages: float32 [B, K] or [B, K, R] or None.
    prompt_limit: int32 [B, K, R] or None, how many prompt tokens a response
      token may see (simultaneous generation).
    images: float32 [B, I, H, W, C] in [0, 1] or None, inputs of a vision
      encoder; left-aligned, shared by the K responses.
    image_mask: bool [B, I] or None, which images are real.
    frames: float32 [B, F, H, W, C] or None, a clip in the order of time.
    frame_mask: bool [B, F] or None, which frames are real.
    packed: (prompt, response) slots a group that layers run over, of the P
      and K R; static. Device by device the tokens of all groups fit into so
      many slots a group. None where they run over all slots.
  """

  prompt: Array
  prompt_mask: Array
  response: Array
  token_mask: Array
  token_weights: Array
  response_mask: Array
  scores: Array | None = None
  pairs: Array | None = None
  pair_valid: Array | None = None
  ref_token_logps: Array | None = None
  segments: Array | None = None
  old_logps: Array | None = None
  advantages: Array | None = None
  prompt_limit: Array | None = None
  images: Array | None = None
  image_mask: Array | None = None
  frames: Array | None = None
  frame_mask: Array | None = None
  packed: tuple[int, int] | None = None

  @property
  def shape(self) -> tuple[int, int, int, int]:
    """(B, K, P, R)."""
    b, k, r = self.response.shape
    return b, k, self.prompt.shape[1], r

  def lengths(self) -> jax.Array:
    """Number of counted tokens of each response, float32 [B, K]."""
    return jnp.sum(jnp.asarray(self.token_weights) > 0, -1).astype(jnp.float32)

  def pair_indices(self) -> tuple[jax.Array, jax.Array]:
    """(pairs int32 [B, M, 2], valid bool [B, M]), defaults filled in.

    A pair is valid only when both of its responses exist.
    """
    b, k = self.response.shape[:2]
    if self.pairs is None:
      first = jnp.asarray([[[0, min(1, k - 1)]]], jnp.int32)
      pairs = jnp.tile(first, (b, 1, 1))
      valid = jnp.full((b, 1), k > 1)
    else:
      pairs = jnp.asarray(self.pairs)
      valid = (
        jnp.ones(pairs.shape[:2], bool)
        if self.pair_valid is None
        else jnp.asarray(self.pair_valid, bool)
      )
    present = jnp.asarray(self.response_mask, bool)
    rows = jnp.arange(b)[:, None]
    both = present[rows, pairs[..., 0]] & present[rows, pairs[..., 1]]
    return pairs, valid & both


@_pytree
class Batch:
  """Named groups with the same B, and who each row is.

  Attributes:
    groups: name -> Group; 'main' for most methods.
    example_id: int32 [B], stable id of the record behind a row.
    example_weight: float32 [B], 0 for rows that only fill up a batch.
    extras: name -> array with leading B (flip rates, features, ...).
  """

  groups: dict[str, Group]
  example_id: Array
  example_weight: Array
  extras: dict[str, Array] = dataclasses.field(default_factory=dict)

  @property
  def main(self) -> Group:
    return self.groups["main"]


@_pytree
class Term:
  """One summand of the objective: coefficient * sum(v w) / sum(w).

  Attributes:
    value: float32 [B], the loss of each example.
    weight: float32 [B], how much it counts; carries no gradient.
    coefficient: float32 [], the share of this term in the objective.
  """

  value: Array
  weight: Array
  coefficient: Array = 1.0


@_pytree
class WeightedSum:
  """A metric before division: sums travel, the writer divides once."""

  total: Array
  weight: Array

  def __add__(self, other: "WeightedSum") -> "WeightedSum":
    return WeightedSum(
      total=self.total + other.total, weight=self.weight + other.weight
    )

  def mean(self):
    """total / weight; 0 when nothing was counted, NaN kept."""
    weight = jnp.where(self.weight == 0, 1, self.weight)
    return self.total / weight


def weighted(values, weights=None) -> WeightedSum:
  """A metric from per-example values and weights (default 1 each).

  Entries of weight 0 are dropped whatever they hold.
  """
  values = jnp.asarray(values, jnp.float32)
  weights = (
    jnp.ones_like(values)
    if weights is None
    else jnp.broadcast_to(jnp.asarray(weights, jnp.float32), values.shape)
  )
  kept = jnp.where(weights == 0, 0.0, values)
  return WeightedSum(total=jnp.sum(kept * weights), weight=jnp.sum(weights))


def batch_field(batch: Any, name: str) -> Array:
  """`example_id` or `example_weight` of any batch: dataclass or mapping."""
  if isinstance(batch, Mapping):
    return batch[name]
  return getattr(batch, name)
