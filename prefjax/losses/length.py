# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Length desensitisation: the longer response's excess counts less."""

import jax
import jax.numpy as jnp

from prefjax.core import checks
from prefjax.losses import base


def _tail_weights(mask, shared, alpha, keep_last) -> jax.Array:
  """1 for the first `shared` valid tokens, alpha for later ones, else 0."""
  valid = jnp.asarray(mask).astype(bool)
  position = jnp.cumsum(valid, axis=-1)  # 1-based among valid tokens
  full = position <= shared[..., None]
  if keep_last:
    full |= position == jnp.max(position, axis=-1, keepdims=True)
  weights = jnp.where(full, 1.0, jnp.asarray(alpha, jnp.float32))
  return jnp.where(valid, weights, 0.0)


def ld_token_weights(
  chosen_mask, rejected_mask, *, alpha=0.5, keep_last=False
) -> dict[str, jax.Array]:
  """LD-DPO's weight of every response token; not a loss.

  The first min(|w|, |l|) valid tokens of both responses weigh 1, the longer
  one's remaining tokens alpha. Hand them to a fused log-prob sum.

  Args:
    chosen_mask: [B, T], valid tokens of the chosen response, anywhere in
      the row.
    rejected_mask: [B, U], valid tokens of the rejected response.
    alpha: in [0, 1], weight of the excess tokens.
    keep_last: whether the last valid token (normally the end token) always
      weighs 1. Our addition.

  Returns:
    {"chosen": [B, T], "rejected": [B, U]}, float32.

  Raises:
    ValueError: the batch sizes differ or alpha is out of range.

  Limits:
    alpha=1, or equal lengths, gives the masks themselves.

  Reference:
    Liu et al., "Length Desensitization in Direct Preference Optimization",
    arXiv:2409.06411.
  """
  name = "ld_token_weights"
  checks.in_range(name, 0, 1, alpha=alpha)
  base.same_rows(name, chosen_mask=chosen_mask, rejected_mask=rejected_mask)
  shared = jnp.minimum(
    jnp.sum(jnp.asarray(chosen_mask).astype(bool), axis=-1),
    jnp.sum(jnp.asarray(rejected_mask).astype(bool), axis=-1),
  )
  return {
    "chosen": _tail_weights(chosen_mask, shared, alpha, keep_last),
    "rejected": _tail_weights(rejected_mask, shared, alpha, keep_last),
  }


def ld_logps(
  chosen_token_logps,
  rejected_token_logps,
  chosen_mask,
  rejected_mask,
  *,
  alpha=0.5,
  keep_last=False,
) -> dict[str, jax.Array]:
  """Log-probs of a pair with the excess length discounted; not a loss.

    sum_i weight_i logp_i, weights from `ld_token_weights`

  Args:
    chosen_token_logps: [B, T], log-probs of the chosen tokens, nats.
    rejected_token_logps: [B, U], log-probs of the rejected tokens.
    chosen_mask: [B, T], valid tokens; others may hold anything.
    rejected_mask: [B, U], valid tokens; others may hold anything.
    alpha: in [0, 1], weight of the excess tokens.
    keep_last: whether the last valid token always weighs 1.

  Returns:
    {"chosen": [B], "rejected": [B]}, float32 nats.

  Raises:
    ValueError: shapes differ or alpha is out of range.

  Limits:
    alpha=1 gives plain sums; it is linear in alpha.

  Reference:
    Liu et al., "Length Desensitization in Direct Preference Optimization",
    arXiv:2409.06411.
  """
  chosen, _ = base.masked_tokens(
    "ld_logps",
    chosen_mask,
    "chosen_mask",
    chosen_token_logps=chosen_token_logps,
  )
  rejected, _ = base.masked_tokens(
    "ld_logps",
    rejected_mask,
    "rejected_mask",
    rejected_token_logps=rejected_token_logps,
  )
  weights = ld_token_weights(
    chosen_mask, rejected_mask, alpha=alpha, keep_last=keep_last
  )

  def weighted(logps, weights):
    return jnp.sum(logps * weights.astype(logps.dtype), axis=-1)

  return {
    "chosen": weighted(chosen, weights["chosen"]),
    "rejected": weighted(rejected, weights["rejected"]),
  }


def ld_dpo(
  chosen_token_logps,
  rejected_token_logps,
  ref_chosen_token_logps,
  ref_rejected_token_logps,
  chosen_mask,
  rejected_mask,
  *,
  beta=0.1,
  alpha=0.5,
  keep_last=False,
) -> jax.Array:
  """DPO in which a response's excess length counts alpha times.

    loss = -log s(beta ((chosen - ref_chosen) - (rejected - ref_rejected)))

  over `ld_logps`, with the same token weights for policy and reference.

  Args:
    chosen_token_logps: [B, T], policy log-probs of the chosen tokens, nats.
    rejected_token_logps: [B, U], the same of the rejected response.
    ref_chosen_token_logps: [B, T], reference log-probs.
    ref_rejected_token_logps: [B, U], reference log-probs.
    chosen_mask: [B, T], valid tokens; others may hold anything.
    rejected_mask: [B, U], valid tokens; others may hold anything.
    beta: > 0, inverse temperature of the implicit reward.
    alpha: in [0, 1], weight of the excess tokens.
    keep_last: whether the last valid token always weighs 1. Without it the
      longer response's end token is discounted too.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    alpha=1, or equal lengths, is `dpo` on the summed log-probs.

  Reference:
    Liu et al., "Length Desensitization in Direct Preference Optimization",
    arXiv:2409.06411.
  """
  checks.in_range("ld_dpo", 0, low_open=True, beta=beta)
  checks.in_range("ld_dpo", 0, 1, alpha=alpha)
  chosen, ref_chosen, _ = base.masked_tokens(
    "ld_dpo",
    chosen_mask,
    "chosen_mask",
    chosen_token_logps=chosen_token_logps,
    ref_chosen_token_logps=ref_chosen_token_logps,
  )
  rejected, ref_rejected, _ = base.masked_tokens(
    "ld_dpo",
    rejected_mask,
    "rejected_mask",
    rejected_token_logps=rejected_token_logps,
    ref_rejected_token_logps=ref_rejected_token_logps,
  )
  base.same_rows("ld_dpo", chosen_mask=chosen, rejected_mask=rejected)
  ratios = ld_logps(
    chosen - ref_chosen,
    rejected - ref_rejected,
    chosen_mask,
    rejected_mask,
    alpha=alpha,
    keep_last=keep_last,
  )
  return -jax.nn.log_sigmoid(beta * (ratios["chosen"] - ratios["rejected"]))
