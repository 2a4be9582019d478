# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Losses that choose which response tokens count."""

import jax
import jax.numpy as jnp

from prefjax.core import checks
from prefjax.losses import base


def _row_keys(key, batch_size: int) -> jax.Array:
  """One key a row from keys [B], or from one key (new or old style)."""
  if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
    return key if key.ndim else jax.random.split(key, batch_size)
  return key if key.ndim == 2 else jax.random.split(key, batch_size)


def _sample_tokens(key, mask, keep) -> jax.Array:
  """`keep` valid tokens of one row, uniformly without replacement."""
  draw = jax.random.uniform(key, mask.shape)
  # Invalid tokens sort behind every valid one, so the count is exact.
  order = jnp.argsort(jnp.where(mask, draw, 2.0))
  rank = jnp.argsort(order)
  return (mask & (rank < keep)).astype(jnp.int32)


def sampo_masks(key, chosen_mask, rejected_mask) -> dict[str, jax.Array]:
  """Down-samples the longer response of each pair to the shorter's length.

  The longer side keeps min(|w|, |l|) of its valid tokens, drawn uniformly
  without replacement; the shorter side keeps all. Not a loss.

  Args:
    key: a key, or keys [B], one a row. Give keys made from the example ids
      so that a draw does not depend on the place in the batch.
    chosen_mask: [B, T], valid tokens of the chosen response.
    rejected_mask: [B, U], valid tokens of the rejected response.

  Returns:
    {"chosen": int32 [B, T], "rejected": int32 [B, U]}, 1 where kept.

  Raises:
    ValueError: a mask is not [B, T] or the batch sizes differ.

  Limits:
    Equal lengths keep everything. Trailing padding does not change a draw.

  Reference:
    Lu et al., "Eliminating Biased Length Reliance of Direct Preference
    Optimization via Down-Sampled KL Divergence", arXiv:2406.10957.
  """
  checks.rank(
    "sampo_masks", 2, chosen_mask=chosen_mask, rejected_mask=rejected_mask
  )
  chosen = jnp.asarray(chosen_mask).astype(bool)
  rejected = jnp.asarray(rejected_mask).astype(bool)
  if chosen.shape[0] != rejected.shape[0]:
    raise ValueError(
      f"sampo_masks: rejected_mask has shape {rejected.shape}, expected"
      f" {chosen.shape[0]} rows like chosen_mask {chosen.shape}"
    )
  keep = jnp.minimum(jnp.sum(chosen, -1), jnp.sum(rejected, -1))  # [B]
  keys = _row_keys(key, chosen.shape[0])
  # Only the longer side uses its draw, so both sides may share a key.
  return {
    "chosen": jax.vmap(_sample_tokens)(keys, chosen, keep),
    "rejected": jax.vmap(_sample_tokens)(keys, rejected, keep),
  }


def sampo(
  chosen_token_logps,
  rejected_token_logps,
  ref_chosen_token_logps,
  ref_rejected_token_logps,
  chosen_select,
  rejected_select,
  *,
  beta=0.1,
) -> jax.Array:
  """DPO on an equal number of tokens from both responses.

    c = sum_t chosen_select_t (chosen_t - ref_chosen_t), r likewise
    loss = -log s(beta (c - r))

  Policy and reference share one selection; the published code draws twice,
  which only adds noise.

  Args:
    chosen_token_logps: [B, T], policy log-probs of the chosen tokens, nats.
    rejected_token_logps: [B, U], the same of the rejected response.
    ref_chosen_token_logps: [B, T], reference log-probs.
    ref_rejected_token_logps: [B, U], reference log-probs.
    chosen_select: [B, T], tokens that count, from `sampo_masks`; the others
      may hold anything.
    rejected_select: [B, U], the same.
    beta: > 0, inverse temperature of the implicit reward.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    Full masks and equal lengths give `dpo` on the summed log-probs.

  Reference:
    Lu et al., "Eliminating Biased Length Reliance of Direct Preference
    Optimization via Down-Sampled KL Divergence", arXiv:2406.10957.
  """
  checks.in_range("sampo", 0, low_open=True, beta=beta)
  chosen, ref_chosen, _ = base.masked_tokens(
    "sampo",
    chosen_select,
    "chosen_select",
    chosen_token_logps=chosen_token_logps,
    ref_chosen_token_logps=ref_chosen_token_logps,
  )
  rejected, ref_rejected, _ = base.masked_tokens(
    "sampo",
    rejected_select,
    "rejected_select",
    rejected_token_logps=rejected_token_logps,
    ref_rejected_token_logps=ref_rejected_token_logps,
  )
  base.same_rows("sampo", chosen_select=chosen, rejected_select=rejected)
  c = jnp.sum(chosen - ref_chosen, axis=-1)
  r = jnp.sum(rejected - ref_rejected, axis=-1)
  return -jax.nn.log_sigmoid(beta * (c - r))
