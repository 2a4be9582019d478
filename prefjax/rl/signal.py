# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""From scored rollouts to what the policy loss needs at every token.

One function for all methods of the family: they differ in the settings of
`PolicyGradientConfig` alone. It sees a whole round, so that statistics over
"the batch" do not depend on how the round is cut into updates.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from prefjax.core import checks, masking, numerics
from prefjax.losses import kl, policy_gradient
from prefjax.rl import advantages as advantages_lib
from prefjax.rl import presets, shaping


class Rollouts(NamedTuple):
  """K responses to each of B prompts, scored; T response slots.

  Attributes:
    mask: bool [B, K, T], tokens of the responses.
    logps: [B, K, T], policy log-probs when sampled, by the training code.
    scores: [B, K], rewards of the responses.
    ended: bool [B, K], whether the response ended by itself.
    ref_logps: [B, K, T] or None, reference log-probs.
    values: [B, K, T] or None, values of the states before each token.
    baseline: [B] or None, reward of the greedy response.
    sampler_logps: [B, K, T] or None, log-probs of the same distribution by
      the sampler.
    kept: bool [B] or None, False for prompts that only fill up the round.
  """

  mask: Any
  logps: Any
  scores: Any
  ended: Any
  ref_logps: Any = None
  values: Any = None
  baseline: Any = None
  sampler_logps: Any = None
  kept: Any = None


class Signal(NamedTuple):
  """What a round teaches; float32, without gradient.

  Attributes:
    advantages: [B, K, T], 0 where masked.
    mask: bool [B, K, T], tokens that the loss counts.
    returns: [B, K, T] or None, targets of the value model.
    importance: [B, K, T] or None, truncated policy / sampler ratios.
    scores: [B, K], the scores as used, after the rule for missing ends.
    kl: [B, K], estimated divergence of each response, 0 without a reference.
  """

  advantages: Any
  mask: Any
  returns: Any
  importance: Any
  scores: Any
  kl: Any


def _flat(x):
  """[B, K, ...] -> [B * K, ...]."""
  return jnp.reshape(x, (-1, *jnp.shape(x)[2:]))


def importance_weights(
  token_logps, sampler_logps, mask, *, cap=2.0
) -> jax.Array:
  """Truncated weights of tokens that another distribution was asked for.

    w_t = min( exp(log pi_t - log sampler_t), cap )

  Args:
    token_logps: [..., T], log-probs by the training code when sampled, nats.
    sampler_logps: [..., T], log-probs by the sampler; NaN where unknown.
    mask: [..., T], which tokens count; others may hold anything.
    cap: > 0, the largest weight.

  Returns:
    [..., T] float32 without gradient, 1 where masked or unknown.

  Raises:
    ValueError: shapes differ or cap is not positive.

  Limits:
    1 everywhere where sampler and policy agree.

  Reference:
    Ionides, "Truncated Importance Sampling", 2008; for samplers that differ
    from the trained model: Yao et al., "Your Efficient RL Framework Secretly
    Brings You Off-Policy RL Training", 2025.
  """
  checks.in_range("importance_weights", 0, low_open=True, cap=cap)
  checks.same_shape(
    "importance_weights",
    token_logps=token_logps,
    sampler_logps=sampler_logps,
    mask=mask,
  )
  logps, sampler = numerics.to_float32(token_logps, sampler_logps)
  kept = jnp.asarray(mask).astype(bool)
  # A sampler that does not know a log-prob says NaN: nothing to correct.
  known = kept & ~jnp.isnan(sampler)
  gap = masking.replace(logps, known) - masking.replace(sampler, known)
  bound = policy_gradient.LOG_RATIO_CLIP
  ratio = jnp.minimum(jnp.exp(jnp.clip(gap, -bound, bound)), cap)
  return jax.lax.stop_gradient(jnp.where(kept, ratio, 1.0))


def _token_rewards(rollouts: Rollouts, scores, kl_coef, config):
  """Rewards [B * K, T] with the divergence inside."""
  reference = rollouts.ref_logps
  if reference is None:
    reference, kl_coef = rollouts.logps, 0.0
  return shaping.shaped_rewards(
    _flat(rollouts.logps),
    _flat(reference),
    _flat(scores),
    _flat(rollouts.mask),
    kl_coef=kl_coef,
    kl_estimator=config.kl_estimator,
  )["rewards"]


def _by_baseline(rollouts: Rollouts, scores, divergence, kl_coef, config):
  """(advantages [B, K, T], returns or None) of the configured baseline."""
  shape = rollouts.mask.shape
  mask = rollouts.mask
  if config.baseline in ("group", "leave_one_out", "batch_group"):
    total = scores - kl_coef * divergence
    present = jnp.any(mask, axis=-1)
    if config.baseline == "batch_group":
      return advantages_lib.reinforce_pp_baseline(total, mask), None
    if config.baseline == "leave_one_out":
      values = advantages_lib.rloo_advantages(total, present)
    else:
      values = advantages_lib.group_advantages(
        total, present, scale=config.scale
      )
    return jnp.broadcast_to(values[..., None], shape), None
  rewards = _token_rewards(rollouts, scores, kl_coef, config)
  if config.baseline == "batch":
    found = advantages_lib.reinforce_pp_advantages(
      rewards, _flat(mask), gamma=config.gamma
    )
    return found["advantages"].reshape(shape), None
  if config.baseline == "greedy":
    baseline = jnp.repeat(jnp.asarray(rollouts.baseline), shape[1])
    found = advantages_lib.remax_advantages(rewards, baseline, _flat(mask))
    return found.reshape(shape), None
  found = advantages_lib.gae(
    rewards,
    _flat(rollouts.values),
    _flat(mask),
    gamma=config.gamma,
    lam=config.lam,
    whiten_rewards=config.whiten_rewards,
    whiten_advantages=config.whiten_advantages,
  )
  return tuple(found[n].reshape(shape) for n in ("advantages", "returns"))


def learning_signal(
  rollouts: Rollouts,
  config: presets.PolicyGradientConfig,
  *,
  kl_coef: Any = None,
) -> Signal:
  """Advantages, value targets and weights of a round of rollouts.

  Args:
    rollouts: the responses and their scores.
    config: which method.
    kl_coef: price of the divergence in the reward; None for the config's.

  Returns:
    Signal.

  Raises:
    ValueError: an unknown baseline, or rollouts lack what it needs.
  """
  name = "learning_signal"
  checks.one_of(name, presets.BASELINES, baseline=config.baseline)
  for needed, value in (
    ("value", rollouts.values),
    ("greedy", rollouts.baseline),
  ):
    if config.baseline == needed and value is None:
      raise ValueError(f"{name}: baseline={needed!r} needs its numbers")
  kl_coef = config.kl_in_reward if kl_coef is None else kl_coef
  mask = jnp.asarray(rollouts.mask).astype(bool)
  if rollouts.kept is not None:
    mask = mask & jnp.asarray(rollouts.kept).astype(bool)[:, None, None]
  rollouts = rollouts._replace(mask=mask)
  (scores,) = numerics.to_float32(rollouts.scores)
  ended = jnp.asarray(rollouts.ended).astype(bool)
  if config.missing_eos is not None:
    scores = jnp.where(ended, scores, config.missing_eos)
  divergence = jnp.zeros_like(scores)
  if rollouts.ref_logps is not None:
    each = kl.kl_estimate(
      masking.replace(jnp.asarray(rollouts.logps), mask),
      masking.replace(jnp.asarray(rollouts.ref_logps), mask),
      kind=config.kl_estimator,
    )
    divergence = jnp.sum(jnp.where(mask, each, 0.0), axis=-1)
  advantages, returns = _by_baseline(
    rollouts, scores, divergence, kl_coef, config
  )
  counted = mask & ended[..., None] if config.mask_truncated else mask
  importance = None
  if config.importance_cap:
    importance = importance_weights(
      rollouts.logps, rollouts.sampler_logps, mask, cap=config.importance_cap
    )
  out = Signal(
    advantages=jnp.where(mask, advantages, 0.0),
    mask=counted,
    returns=returns,
    importance=importance,
    scores=scores,
    kl=divergence,
  )
  return jax.tree.map(jax.lax.stop_gradient, out)
