# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What makes a method learn from samples of its own.

Such a method carries an `Online`: who answers the prompts, what must be known
about the answers, and how scored answers become fields of a batch. Sampling,
scoring, storage and the loop are shared and know nothing of the method.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from prefjax import losses, rl
from prefjax.core import errors, types
from prefjax.methods import adapters
from prefjax.methods import method as method_lib
from prefjax.methods import objective as objective_lib
from prefjax.rl import signal as signal_lib

VALUE = ("value", "main")
# Who gives the responses to a prompt: all of them the policy, or the policy
# one and the reference, or a mixture of both models, the other.
SOURCES = ("policy", "reference", "mixture")


class Prepared(NamedTuple):
  """Fields that scored rollouts add to a batch.

  Attributes:
    group: name -> array, fields of the group 'main'.
    extras: name -> array that leads with B.
    statistics: name -> array [B, K], for the table of rollouts.
  """

  group: dict[str, Any]
  extras: dict[str, Any]
  statistics: dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Online:
  """How a method learns from samples of its own.

  Attributes:
    prepare: (Rollouts, price of the divergence) -> Prepared; pure and on
      arrays, it sees a whole round.
    source: who gives the second response to a prompt, one of SOURCES.
    samples: responses to a prompt, where the method fixes their number; 0
      leaves it to the config.
    least: fewest responses to a prompt.
    uses_reference: whether rollouts need log-probs of the reference.
    uses_values: whether they need values.
    uses_greedy: whether they need the reward of a greedy response.
    dynamic: whether groups of equal scores are sampled again.
    kl_coef: price of the divergence in the reward.
    kl_target: what the price is moved towards; 0 keeps it.
    kl_horizon: samples over which it moves.
    overlong: last tokens of the limit that are penalised.
    mixture: share of the reference, where the source is "mixture".
    config: settings of a policy-gradient method, or None.
  """

  prepare: Callable[[signal_lib.Rollouts, Any], Prepared]
  source: str = "policy"
  samples: int = 0
  least: int = 1
  uses_reference: bool = False
  uses_values: bool = False
  uses_greedy: bool = False
  dynamic: bool = False
  kl_coef: float = 0.0
  kl_target: float = 0.0
  kl_horizon: float = 10000.0
  overlong: int = 0
  mixture: float = 0.0
  config: rl.PolicyGradientConfig | None = None


def _settings(name: str, kwargs) -> rl.PolicyGradientConfig:
  """The preset of a method with its changes, checked."""
  start = rl.preset(name)
  adapters.check_kwargs(name, dataclasses.asdict(start), kwargs)
  config = dataclasses.replace(start, **kwargs)
  for key, low in (
    ("clip_low", 0),
    ("clip_high", 0),
    ("beta", 0),
    ("kl_in_reward", 0),
    ("kl_target", 0),
    ("dual_clip", 0),
    ("importance_cap", 0),
    ("overlong", 0),
    ("value_coef", 0),
  ):
    value = getattr(config, key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
      raise errors.ConfigError(
        f"method.kwargs.{key}: is {value!r}, not a number"
      )
    if value < low:
      raise errors.ConfigError(f"method.kwargs.{key}: is {value}, below {low}")
  for key, known in (
    ("baseline", rl.BASELINES),
    ("scale", ("std", "none", "batch")),
    ("level", ("token", "sequence")),
    ("surrogate", rl.SURROGATES),
    ("aggregation", ("token", "sequence", "sequence_sum", "fixed")),
    ("kl_estimator", ("k1", "k2", "k3", "abs")),
  ):
    value = getattr(config, key)
    if value not in known:
      raise errors.ConfigError(
        f"method.kwargs.{key}: is {value!r}{errors.nearest(value, known)};"
        f" known are {', '.join(known)}"
      )
  return config


def _prepare(config: rl.PolicyGradientConfig, rollouts, kl_coef) -> Prepared:
  found = signal_lib.learning_signal(rollouts, config, kl_coef=kl_coef)
  group = {
    "advantages": found.advantages,
    "old_logps": jnp.asarray(rollouts.logps),
    "token_weights": found.mask.astype(jnp.float32),
  }
  if rollouts.ref_logps is not None:
    group["ref_token_logps"] = jnp.asarray(rollouts.ref_logps)
  extras = {}
  if found.returns is not None:
    extras["returns"] = found.returns
    extras["old_values"] = jnp.asarray(rollouts.values)
  if found.importance is not None:
    extras["importance"] = found.importance
  number = jnp.maximum(jnp.sum(rollouts.mask, -1), 1)
  return Prepared(
    group,
    extras,
    {
      "scores": found.scores,
      "kl": found.kl,
      "advantage": jnp.sum(found.advantages, -1) / number,
    },
  )


def _rows(value, weight, batch, coefficient=1.0) -> types.Term:
  """A Term from values and weights of responses, both [B, K]."""
  total = jnp.sum(weight, axis=1)
  mean = jnp.sum(value * weight, axis=1) / jnp.where(total == 0, 1.0, total)
  return types.Term(
    value=mean,
    weight=total * batch.example_weight,
    coefficient=jnp.float32(coefficient),
  )


def _aggregate(token_losses, mask, config, batch, coefficient=1.0):
  """Token losses [B, K, R] as a Term; sums travel, so any cut will do."""
  fixed = config.aggregation == "fixed"
  value, weight = losses.aggregate_terms(
    token_losses,
    mask,
    mode=config.aggregation,
    max_length=1.0 if fixed else None,
  )
  if fixed:
    value = value / batch.extras["max_length"][:, None]
  return _rows(value, weight, batch, coefficient)


def _surrogate(config, logps, old, advantages, mask):
  if config.surrogate == "truncated":
    return losses.cispo_policy(
      logps, old, advantages, mask, clip_high=config.clip_high
    )
  return losses.ppo_policy(
    logps,
    old,
    advantages,
    mask,
    clip_low=config.clip_low,
    clip_high=config.clip_high,
    dual_clip=config.dual_clip or None,
    level=config.level,
  )


def _watch(config, logps, old, advantages, mask, entropy):
  """Per-token statistics, [B, K, R] each, and which of them count."""
  log_ratio = jnp.clip(logps - old, -20.0, 20.0)
  if config.level == "sequence":
    number = jnp.maximum(jnp.sum(mask, -1, keepdims=True), 1)
    mean = jnp.sum(jnp.where(mask, log_ratio, 0.0), -1, keepdims=True) / number
    log_ratio = jnp.broadcast_to(mean, log_ratio.shape)
  ratio = jnp.exp(log_ratio)
  low = (ratio < 1 - config.clip_low) & (advantages < 0)
  high = (ratio > 1 + config.clip_high) & (advantages > 0)
  if config.surrogate == "truncated":
    low = jnp.zeros_like(low)
  return {
    "entropy": entropy,
    "clip_ratio/low_mean": low,
    "clip_ratio/high_mean": high,
    "clip_ratio/region_mean": low | high,
    "policy/approxkl_avg": ratio - 1 - log_ratio,
    "val/ratio": ratio,
  }


def policy_gradient(name: str, kwargs) -> method_lib.Method:
  """PPO and its critic-free relatives: one loss, a dozen switches.

  Args:
    name: a name of `rl.preset`; the term's name.
    kwargs: fields of `rl.PolicyGradientConfig` that differ from it.

  Raises:
    ConfigError: an unknown field or a value out of range.
  """
  config = _settings(name, kwargs)
  with_values = config.baseline == "value"

  def method_loss(outputs, batch, method_state, keys):
    del keys
    group = batch.main
    policy = outputs[adapters.POLICY]
    # Rows that only fill up hold no numbers that may be looked at.
    mask = (jnp.asarray(group.token_weights) > 0) & (
      batch.example_weight[:, None, None] != 0
    )
    logps = policy["token_logps"]  # [B, K, R]
    old = jnp.where(mask, group.old_logps, 0.0)
    advantages = jnp.where(mask, group.advantages, 0.0)
    entropy = jnp.where(mask, policy["entropy"], 0.0)
    logps = jnp.where(mask, logps, 0.0)
    token_losses = _surrogate(config, logps, old, advantages, mask)
    if config.importance_cap:
      token_losses = token_losses * jnp.where(
        mask, batch.extras["importance"], 0.0
      )
    metrics = _watch(config, logps, old, advantages, mask, entropy)
    if config.beta:
      reference = outputs[adapters.REFERENCE]["token_logps"]
      divergence = rl.kl_estimate(
        logps, jnp.where(mask, reference, 0.0), kind="k3"
      )
      token_losses = token_losses + config.beta * divergence
      metrics["kl"] = divergence
    if config.entropy_coef:
      token_losses = token_losses - config.entropy_coef * entropy
    terms = {name: _aggregate(token_losses, mask, config, batch)}
    counted = mask * batch.example_weight[:, None, None]
    if with_values:
      values = outputs[VALUE]["state_values"]
      extras = {
        key: jnp.where(mask, batch.extras[key], 0.0)
        for key in ("old_values", "returns")
      }
      values = jnp.where(mask, values, 0.0)
      errors_of = losses.value_clip(
        values,
        extras["old_values"],
        extras["returns"],
        mask,
        clip=config.value_clip,
      )
      value, weight = losses.aggregate_terms(errors_of, mask, mode="token")
      terms["value"] = _rows(value, weight, batch, config.value_coef)
      moved = jnp.abs(values - extras["old_values"]) > config.value_clip
      metrics["val/clipfrac_avg"] = moved
      metrics["val/error"] = jnp.square(values - extras["returns"])
    return objective_lib.LossResult(
      terms,
      method_state,
      {key: types.weighted(x, counted) for key, x in metrics.items()},
    )

  needs = {adapters.POLICY: ("token_logps", "entropy")}
  if config.beta:
    needs[adapters.REFERENCE] = ("token_logps",)
  if with_values:
    needs[VALUE] = ("state_values",)

  def prepare(rollouts, kl_coef):
    return _prepare(config, rollouts, kl_coef)

  grouped = config.baseline in ("group", "leave_one_out", "batch_group")
  return method_lib.Method(
    inputs=("main",),
    needs=needs,
    loss=method_loss,
    record_kind="prompt",
    online=Online(
      prepare=prepare,
      least=2 if grouped else 1,
      uses_reference=config.uses_reference,
      uses_values=with_values,
      uses_greedy=config.baseline == "greedy",
      dynamic=config.dynamic_sampling,
      kl_coef=config.kl_in_reward,
      kl_target=config.kl_target,
      kl_horizon=config.kl_horizon,
      overlong=int(config.overlong),
      config=config,
    ),
  )


def defaults(name: str) -> dict[str, Any]:
  """Hyper-parameters of `policy_gradient` and their values."""
  return dataclasses.asdict(rl.preset(name))


def jit_prepare(online: Online) -> Callable[..., Prepared]:
  """`online.prepare` as one program."""
  return jax.jit(online.prepare)
