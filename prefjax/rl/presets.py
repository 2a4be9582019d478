# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Settings of the policy-gradient methods, by name."""

import dataclasses

from prefjax.core import errors

BASELINES = (
  "group",
  "leave_one_out",
  "greedy",
  "batch",
  "batch_group",
  "value",
)
SURROGATES = ("clip", "truncated")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PolicyGradientConfig:
  """The switches in which the methods differ.

  Attributes:
    baseline: "group" (mean of the group), "leave_one_out", "greedy" (reward
      of the greedy response), "batch" (token returns, whitened),
      "batch_group" (less the group's mean, then whitened) or "value" (a
      value model, GAE).
    scale: of the advantage, see `group_advantages`.
    level: of the ratio, see `ppo_policy`.
    clip_low: bound of the ratio below 1.
    clip_high: bound above 1.
    aggregation: see `losses.aggregate`.
    beta: weight of the k3 divergence in the loss.
    kl_in_reward: price of the divergence inside the reward.
    dynamic_sampling: whether groups of equal scores are sampled again.
    surrogate: "clip" (`ppo_policy`) or "truncated" (`cispo_policy`).
    dual_clip: bound on the loss where the advantage is negative; 0 for none.
    kl_estimator: of the divergence inside the reward, see `kl_estimate`.
    kl_target: divergence of a response, nats, that the price is moved
      towards (`adaptive_kl`); 0 keeps the price.
    kl_horizon: samples over which the price moves.
    missing_eos: what replaces the score of a response that was cut off;
      None for nothing.
    mask_truncated: leave responses that were cut off out of the loss.
    overlong: last tokens of the limit over which `overlong_penalty` sets in;
      0 for no penalty.
    entropy_coef: weight of the entropy bonus.
    importance_cap: bound of the weight that corrects for a sampler that is
      not the trained policy (truncated importance sampling); 0 for none.
    gamma: discount, for "batch" and "value".
    lam: lambda of `gae`.
    whiten_rewards: see `gae`.
    whiten_advantages: see `gae`.
    value_coef: weight of the value loss.
    value_clip: how far a value may move, see `losses.value_clip`.
  """

  baseline: str = "group"
  scale: str = "std"
  level: str = "token"
  clip_low: float = 0.2
  clip_high: float = 0.2
  aggregation: str = "sequence"
  beta: float = 0.0
  kl_in_reward: float = 0.0
  dynamic_sampling: bool = False
  surrogate: str = "clip"
  dual_clip: float = 0.0
  kl_estimator: str = "k1"
  kl_target: float = 0.0
  kl_horizon: float = 10000.0
  missing_eos: float | None = None
  mask_truncated: bool = False
  overlong: int = 0
  entropy_coef: float = 0.0
  importance_cap: float = 0.0
  gamma: float = 1.0
  lam: float = 0.95
  whiten_rewards: bool = False
  whiten_advantages: bool = True
  value_coef: float = 0.1
  value_clip: float = 0.2

  @property
  def uses_reference(self) -> bool:
    """Whether log-probs of the reference are looked at."""
    return bool(self.beta or self.kl_in_reward or self.kl_target)


_PRESETS = {
  "cispo": PolicyGradientConfig(
    clip_high=0.28, aggregation="token", surrogate="truncated"
  ),
  "dapo": PolicyGradientConfig(
    clip_high=0.28, aggregation="token", dynamic_sampling=True
  ),
  "dr_grpo": PolicyGradientConfig(scale="none", aggregation="fixed"),
  "grpo": PolicyGradientConfig(beta=0.04),
  "gspo": PolicyGradientConfig(level="sequence", clip_low=3e-4, clip_high=4e-4),
  "ppo": PolicyGradientConfig(
    baseline="value",
    scale="none",
    aggregation="token",
    kl_in_reward=0.05,
    missing_eos=-10.0,
  ),
  "reinforce_pp": PolicyGradientConfig(
    baseline="batch", scale="batch", aggregation="token", kl_in_reward=0.05
  ),
  "remax": PolicyGradientConfig(
    baseline="greedy",
    scale="none",
    aggregation="sequence_sum",
    kl_in_reward=0.05,
  ),
  "rloo": PolicyGradientConfig(
    baseline="leave_one_out",
    scale="none",
    aggregation="sequence_sum",
    kl_in_reward=0.05,
  ),
}
NAMES = tuple(_PRESETS)


def preset(name: str) -> PolicyGradientConfig:
  """The settings of a method; change some with `dataclasses.replace`.

  Raises:
    ConfigError: unknown name; lists near matches.
  """
  if name not in _PRESETS:
    raise errors.ConfigError(
      f"preset: unknown method {name!r}{errors.nearest(name, NAMES)}; there"
      f" are {', '.join(NAMES)}"
    )
  return _PRESETS[name]
