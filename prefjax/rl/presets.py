# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Settings of the critic-free methods, by name."""

import dataclasses

from prefjax.core import errors


@dataclasses.dataclass(frozen=True, kw_only=True)
class PolicyGradientConfig:
  """The switches in which the methods differ.

  Attributes:
    baseline: "group" (mean of the group), "leave_one_out", "greedy" (reward
      of the greedy response) or "batch" (token returns, whitened).
    scale: of the advantage, see `group_advantages`.
    level: of the ratio, see `ppo_policy`.
    clip_low: bound of the ratio below 1.
    clip_high: bound above 1.
    aggregation: see `losses.aggregate`.
    beta: weight of the k3 divergence in the loss.
    kl_in_reward: price of the divergence inside the reward.
    dynamic_sampling: whether groups of equal scores are sampled again.
    surrogate: "clip" (`ppo_policy`) or "truncated" (`cispo_policy`).
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
  "reinforce_pp": PolicyGradientConfig(
    baseline="batch", scale="batch", aggregation="token", kl_in_reward=0.05
  ),
  "remax": PolicyGradientConfig(
    baseline="greedy", scale="none", kl_in_reward=0.05
  ),
  "rloo": PolicyGradientConfig(
    baseline="leave_one_out", scale="none", kl_in_reward=0.05
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
