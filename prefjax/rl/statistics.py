# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What to watch while a policy learns from its own samples."""

import jax
import jax.numpy as jnp

from prefjax.core import checks, masking
from prefjax.losses import base, kl, policy_gradient


def _value_stats(values, old_values, returns, kept, clip_range):
  moved = old_values + jnp.clip(values - old_values, -clip_range, clip_range)
  error = jnp.square(values - returns)
  clipped = jnp.square(moved - returns)
  flat = masking.masked_max(returns, kept) == masking.masked_min(returns, kept)
  spread = jnp.square(masking.masked_std(returns, kept))
  rest = jnp.square(masking.masked_std(returns - values, kept))
  explained = 1 - rest / jnp.where(flat | (spread == 0), 1.0, spread)
  return {
    "value_clip_frac": masking.masked_mean(clipped > error, kept),
    "explained_variance": jnp.where(flat, 0.0, explained),
    "value_error": masking.masked_mean(error, kept),
  }


def ppo_stats(
  token_logps,
  old_token_logps,
  advantages,
  mask,
  values=None,
  old_values=None,
  returns=None,
  *,
  clip_low=0.2,
  clip_high=0.2,
  value_clip_range=0.2,
) -> dict[str, jax.Array]:
  """Means over the tokens that count.

  Args:
    token_logps: [B, T], policy log-probs of the sampled tokens, nats.
    old_token_logps: [B, T], log-probs when they were sampled.
    advantages: [B, T].
    mask: [B, T], which tokens count; others may hold anything.
    values: [B, T] or None, values of the states before each token.
    old_values: [B, T], values when sampled; with values.
    returns: [B, T], targets of the values; with values.
    clip_low: bound of `ppo_policy`.
    clip_high: bound of `ppo_policy`.
    value_clip_range: bound of `value_clip`.

  Returns:
    ratio_mean; clip_frac_low and clip_frac_high, shares of tokens whose
    ratio is beyond a bound on the side where that stops the gradient;
    approx_kl and approx_kl_k3 from the old policy; and with values
    value_clip_frac, explained_variance (0 for equal returns) and
    value_error. Each [] float32 without gradient.

  Raises:
    ValueError: shapes differ, or values come without old_values or returns.
  """
  name = "ppo_stats"
  logps, old, advantages, kept = base.masked_tokens(
    name,
    mask,
    token_logps=token_logps,
    old_token_logps=old_token_logps,
    advantages=advantages,
  )
  bound = policy_gradient.LOG_RATIO_CLIP
  log_ratio = logps - old
  ratio = jnp.exp(jnp.clip(log_ratio, -bound, bound))
  stats = {
    "ratio_mean": masking.masked_mean(ratio, kept),
    "clip_frac_low": masking.masked_mean(
      (ratio < 1 - clip_low) & (advantages < 0), kept
    ),
    "clip_frac_high": masking.masked_mean(
      (ratio > 1 + clip_high) & (advantages > 0), kept
    ),
    "approx_kl": masking.masked_mean(-log_ratio, kept),
    "approx_kl_k3": masking.masked_mean(
      kl.kl_estimate(old, logps, kind="k3", clip=bound), kept
    ),
  }
  if values is not None:
    if old_values is None or returns is None:
      raise ValueError(f"{name}: values come with old_values and returns")
    checks.same_shape(name, token_logps=logps, values=values)
    *arrays, kept = base.masked_tokens(
      name, mask, values=values, old_values=old_values, returns=returns
    )
    stats.update(_value_stats(*arrays, kept, value_clip_range))
  return jax.lax.stop_gradient(stats)
