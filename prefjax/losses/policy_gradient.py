# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Policy-gradient losses on sampled tokens: PPO, GRPO, DAPO, GSPO, CISPO.

The family differs in four switches: the baseline (`prefjax.rl`), the scale of
the advantage (there too), the level of the ratio, and how token losses become
one number (`aggregate`).
"""

import jax
import jax.numpy as jnp

from prefjax.core import checks, masking, numerics
from prefjax.losses import base, kl

LEVELS = ("token", "sequence")
MODES = ("token", "sequence", "sequence_sum", "fixed")

# Bound on log-ratios: exp(20) is 5e8, far inside float32.
LOG_RATIO_CLIP = 20.0


def sequence_ratio(token_logps, old_token_logps, mask) -> jax.Array:
  """GSPO's importance ratio of a whole response; no loss.

    exp( mean_t (log pi_t - log pi_old_t) )

  Args:
    token_logps: [B, T], policy log-probs of the sampled tokens, nats.
    old_token_logps: [B, T], log-probs when they were sampled.
    mask: [B, T], which tokens count; others may hold anything.

  Returns:
    [B] float32; the mean is held to +-20. 1 for an empty response.

  Raises:
    ValueError: shapes differ.

  Reference:
    Zheng et al., "Group Sequence Policy Optimization", arXiv:2507.18071.
  """
  logps, old, kept = base.masked_tokens(
    "sequence_ratio",
    mask,
    token_logps=token_logps,
    old_token_logps=old_token_logps,
  )
  mean = masking.masked_mean(logps - old, kept, axis=-1)
  return jnp.exp(jnp.clip(mean, -LOG_RATIO_CLIP, LOG_RATIO_CLIP))


def _token_advantages(function: str, advantages, like) -> jax.Array:
  """Advantages [B] or [B, T] as constants [B, T]."""
  (advantages,) = numerics.to_float32(
    jax.lax.stop_gradient(jnp.asarray(advantages))
  )
  if advantages.shape == like.shape[:-1]:
    advantages = advantages[..., None]
  elif advantages.shape != like.shape:
    raise ValueError(
      f"{function}: advantages has shape {advantages.shape}, expected"
      f" {like.shape[:-1]} or {like.shape}"
    )
  return jnp.broadcast_to(advantages, like.shape)


def _ratio(logps, old, kept, level: str, log_ratio_clip) -> jax.Array:
  log_ratio = logps - jax.lax.stop_gradient(old)
  if level == "sequence":
    mean = masking.masked_mean(log_ratio, kept, axis=-1, keepdims=True)
    log_ratio = jnp.broadcast_to(mean, log_ratio.shape)
  return jnp.exp(jnp.clip(log_ratio, -log_ratio_clip, log_ratio_clip))


def ppo_policy(
  token_logps,
  old_token_logps,
  advantages,
  mask,
  *,
  clip_low=0.2,
  clip_high=0.2,
  dual_clip=None,
  level="token",
  log_ratio_clip=LOG_RATIO_CLIP,
) -> jax.Array:
  """PPO's clipped surrogate at each token.

    rho = exp(log pi - log pi_old)
    loss_t = max(-A rho, -A clip(rho, 1 - clip_low, 1 + clip_high))

  Args:
    token_logps: [B, T], policy log-probs of the sampled tokens, nats.
    old_token_logps: [B, T], log-probs when they were sampled; constants.
    advantages: [B] or [B, T], constants.
    mask: [B, T], which tokens count; others may hold anything.
    clip_low: in [0, 1], how far the ratio may fall.
    clip_high: >= 0, how far it may rise; above clip_low for "clip-higher".
    dual_clip: > 1 or None: where A < 0 the loss is at most -dual_clip A.
    level: "token", or "sequence": every token has the response's ratio, the
      exponential of the mean log-ratio.
    log_ratio_clip: > 0, bound on the log-ratio.

  Returns:
    [B, T] float32, 0 where masked; for `aggregate`.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    At pi = pi_old the loss is -A and its gradient -A grad log pi. Without
    bounds it is importance sampling.

  Reference:
    Schulman et al., "Proximal Policy Optimization Algorithms",
    arXiv:1707.06347, equation 7; unequal bounds: Yu et al., "DAPO",
    arXiv:2503.14476; sequence level: Zheng et al., arXiv:2507.18071.
  """
  name = "ppo_policy"
  checks.in_range(name, 0, 1, clip_low=clip_low)
  checks.in_range(name, 0, clip_high=clip_high)
  checks.in_range(name, 1, low_open=True, dual_clip=dual_clip)
  checks.in_range(name, 0, low_open=True, log_ratio_clip=log_ratio_clip)
  checks.one_of(name, LEVELS, level=level)
  logps, old, kept = base.masked_tokens(
    name, mask, token_logps=token_logps, old_token_logps=old_token_logps
  )
  advantages = masking.replace(_token_advantages(name, advantages, logps), kept)
  ratio = _ratio(logps, old, kept, level, log_ratio_clip)
  clipped = jnp.clip(ratio, 1 - clip_low, 1 + clip_high)
  losses = jnp.maximum(-advantages * ratio, -advantages * clipped)
  if dual_clip is not None:
    bounded = jnp.minimum(losses, -dual_clip * advantages)
    losses = jnp.where(advantages < 0, bounded, losses)
  return jnp.where(kept, losses, 0.0)


def cispo_policy(
  token_logps,
  old_token_logps,
  advantages,
  mask,
  *,
  clip_high=0.28,
  log_ratio_clip=LOG_RATIO_CLIP,
) -> jax.Array:
  """REINFORCE at each token with a truncated importance weight.

    loss_t = - min(rho, 1 + clip_high) A log pi_t      rho without gradient

  Unlike a clipped surrogate, no token loses its gradient.

  Args:
    token_logps: [B, T], policy log-probs of the sampled tokens, nats.
    old_token_logps: [B, T], log-probs when they were sampled; constants.
    advantages: [B] or [B, T], constants.
    mask: [B, T], which tokens count; others may hold anything.
    clip_high: >= 0, how far above 1 the weight may go.
    log_ratio_clip: > 0, bound on the log-ratio.

  Returns:
    [B, T] float32, 0 where masked; for `aggregate`.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Reference:
    MiniMax, "MiniMax-M1: Scaling Test-Time Compute Efficiently with
    Lightning Attention", arXiv:2506.13585, equation 4.
  """
  name = "cispo_policy"
  checks.in_range(name, 0, clip_high=clip_high)
  checks.in_range(name, 0, low_open=True, log_ratio_clip=log_ratio_clip)
  logps, old, kept = base.masked_tokens(
    name, mask, token_logps=token_logps, old_token_logps=old_token_logps
  )
  advantages = masking.replace(_token_advantages(name, advantages, logps), kept)
  ratio = _ratio(logps, old, kept, "token", log_ratio_clip)
  weight = jax.lax.stop_gradient(jnp.minimum(ratio, 1 + clip_high))
  return jnp.where(kept, -weight * advantages * logps, 0.0)


def value_clip(values, old_values, returns, mask, *, clip=0.2) -> jax.Array:
  """PPO's clipped regression of the value model, at each token.

    loss_t = max( (V - R)^2, (V_old + clip(V - V_old, +-clip) - R)^2 ) / 2

  Args:
    values: [B, T], values of the states before each token.
    old_values: [B, T], values when the tokens were sampled; constants.
    returns: [B, T], targets; constants.
    mask: [B, T], which tokens count; others may hold anything.
    clip: > 0, how far a value may move.

  Returns:
    [B, T] float32, 0 where masked; for `aggregate`.

  Raises:
    ValueError: shapes differ or clip is out of range.

  Limits:
    A large clip is half the squared error.

  Reference:
    Ivison et al., "Unpacking DPO and PPO", arXiv:2406.09279.
  """
  checks.in_range("value_clip", 0, low_open=True, clip=clip)
  values, old, targets, kept = base.masked_tokens(
    "value_clip", mask, values=values, old_values=old_values, returns=returns
  )
  old, targets = jax.lax.stop_gradient((old, targets))
  moved = old + jnp.clip(values - old, -clip, clip)
  losses = jnp.maximum(
    jnp.square(values - targets), jnp.square(moved - targets)
  )
  return jnp.where(kept, 0.5 * losses, 0.0)


def aggregate_terms(
  token_losses, mask, *, mode="token", max_length=None
) -> tuple[jax.Array, jax.Array]:
  """Token losses as (value, weight) a response, to be summed over shards.

  sum(value * weight) / sum(weight), both sums over everything, is
  `aggregate`.

  Args:
    token_losses: [..., T], such as [B, T] or [B, K, T].
    mask: [..., T], which tokens count; others may hold anything.
    mode: see `aggregate`.
    max_length: see `aggregate`.

  Returns:
    (value, weight), each [...] float32; weights carry no gradient.

  Raises:
    ValueError: shapes differ or a keyword is out of range.
  """
  checks.one_of("aggregate", MODES, mode=mode)
  losses, kept = base.masked_tokens(
    "aggregate", mask, token_losses=token_losses
  )
  total = jnp.sum(losses, axis=-1)
  number = jnp.sum(kept, axis=-1).astype(losses.dtype)
  present = (number > 0).astype(losses.dtype)
  if mode == "token":
    return total / jnp.maximum(number, 1), number
  if mode == "sequence":
    return total / jnp.maximum(number, 1), present
  if mode == "sequence_sum":
    return total, present
  if max_length is None:
    raise ValueError("aggregate: mode='fixed' needs max_length")
  checks.in_range("aggregate", 0, low_open=True, max_length=max_length)
  return total / max_length, jnp.ones_like(total)


def aggregate(
  token_losses, mask, *, mode="token", max_length=None
) -> jax.Array:
  """Token losses of responses as one number.

    token:         sum of all / number of tokens (DAPO)
    sequence:      mean over non-empty responses of token means (GRPO)
    sequence_sum:  mean over non-empty responses of sums
    fixed:         sum of all / (responses * max_length) (Dr. GRPO)

  Over several devices or micro-batches the sums must be global: take
  `aggregate_terms` there.

  Args:
    token_losses: [..., T], such as [B, T] or [B, K, T].
    mask: [..., T], which tokens count; others may hold anything.
    mode: see above.
    max_length: the divisor of "fixed", in tokens.

  Returns:
    [] float32; 0 where nothing counts.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    All but "sequence_sum" agree up to a factor for equal lengths.

  Reference:
    Yu et al., "DAPO", arXiv:2503.14476; Liu et al., "Understanding
    R1-Zero-Like Training: A Critical Perspective", arXiv:2503.20783.
  """
  value, weight = aggregate_terms(
    token_losses, mask, mode=mode, max_length=max_length
  )
  total = jnp.sum(weight)
  return jnp.sum(value * weight) / jnp.where(total > 0, total, 1.0)


def policy_gradient_tokens(
  token_logps,
  old_token_logps,
  ref_token_logps,
  advantages,
  mask,
  *,
  clip_low=0.2,
  clip_high=0.2,
  beta=0.04,
  level="token",
) -> jax.Array:
  """The clipped surrogate plus a divergence to the reference, by token.

    loss_t = ppo_policy_t + beta k3_t

  Args:
    token_logps: [B, T], policy log-probs of the sampled tokens, nats.
    old_token_logps: [B, T], log-probs when they were sampled; constants.
    ref_token_logps: [B, T], reference log-probs; not read, and None will do,
      where beta is 0.
    advantages: [B] or [B, T], constants.
    mask: [B, T], which tokens count; others may hold anything.
    clip_low: in [0, 1], how far the ratio may fall.
    clip_high: >= 0, how far it may rise.
    beta: >= 0, weight of the divergence.
    level: "token" or "sequence", see `ppo_policy`.

  Returns:
    [B, T] float32, 0 where masked; for `aggregate`. Log-ratios are held to
    +-20.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Reference:
    Shao et al., "DeepSeekMath: Pushing the Limits of Mathematical Reasoning
    in Open Language Models", arXiv:2402.03300, equation 3 (GRPO).
  """
  checks.in_range("policy_gradient_tokens", 0, beta=beta)
  losses = ppo_policy(
    token_logps,
    old_token_logps,
    advantages,
    mask,
    clip_low=clip_low,
    clip_high=clip_high,
    level=level,
  )
  if isinstance(beta, (int, float)) and beta == 0:
    return losses
  if ref_token_logps is None:
    raise ValueError(
      "policy_gradient_tokens: ref_token_logps is None, but beta is not 0"
    )
  logps, reference, kept = base.masked_tokens(
    "policy_gradient_tokens",
    mask,
    token_logps=token_logps,
    ref_token_logps=ref_token_logps,
  )
  divergence = kl.kl_estimate(
    logps, jax.lax.stop_gradient(reference), kind="k3", clip=LOG_RATIO_CLIP
  )
  return losses + jnp.where(kept, beta * divergence, 0.0)


def grpo(
  token_logps,
  old_token_logps,
  ref_token_logps,
  advantages,
  mask,
  *,
  clip=0.2,
  kl_coef=0.04,
) -> jax.Array:
  """GRPO of each response: the mean over its tokens.

    loss = mean_t ( clipped surrogate_t + kl_coef * k3_t )

  Args:
    token_logps: [B, T], policy log-probs of the sampled tokens, nats.
    old_token_logps: [B, T], log-probs when they were sampled; constants.
    ref_token_logps: [B, T], reference log-probs; constants.
    advantages: [B] or [B, T], from `rl.group_advantages`; constants.
    mask: [B, T], which tokens count; others may hold anything.
    clip: in [0, 1], how far the ratio may move.
    kl_coef: >= 0, weight of the divergence to the reference.

  Returns:
    [B] float32, not reduced; lower is better. 0 for an empty response.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    On policy and at the reference it is -A.

  Reference:
    Shao et al., "DeepSeekMath: Pushing the Limits of Mathematical Reasoning
    in Open Language Models", arXiv:2402.03300, equation 3.
  """
  checks.in_range("grpo", 0, 1, clip=clip)
  checks.in_range("grpo", 0, kl_coef=kl_coef)
  checks.same_shape(
    "grpo",
    token_logps=token_logps,
    old_token_logps=old_token_logps,
    ref_token_logps=ref_token_logps,
    mask=mask,
  )
  losses = policy_gradient_tokens(
    token_logps,
    old_token_logps,
    ref_token_logps,
    advantages,
    mask,
    clip_low=clip,
    clip_high=clip,
    beta=kl_coef,
  )
  return masking.masked_mean(losses, mask, axis=-1)
