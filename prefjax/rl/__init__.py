# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Advantages, shaped rewards and statistics of learning from own samples."""

from prefjax.losses.distillation import sparse_advantages, teacher_advantages
from prefjax.losses.kl import kl_estimate
from prefjax.losses.policy_gradient import sequence_ratio
from prefjax.rl.advantages import (
  dynamic_sampling_mask,
  gae,
  group_advantages,
  online_pairs,
  reinforce_pp_advantages,
  reinforce_pp_baseline,
  remax_advantages,
  rloo_advantages,
)
from prefjax.rl.presets import (
  BASELINES,
  SURROGATES,
  PolicyGradientConfig,
  preset,
)
from prefjax.rl.rollout import Samples, rollout
from prefjax.rl.shaping import (
  adaptive_kl,
  sequence_reward,
  shaped_rewards,
  whiten,
)
from prefjax.rl.signal import (
  Rollouts,
  Signal,
  importance_weights,
  learning_signal,
)
from prefjax.rl.statistics import ppo_stats
from prefjax.rl.steps import (
  StepConfig,
  StepState,
  policy_gradient_step,
  policy_loss,
  ppo_step,
)

__all__ = [
  "BASELINES",
  "SURROGATES",
  "PolicyGradientConfig",
  "Rollouts",
  "Samples",
  "Signal",
  "StepConfig",
  "StepState",
  "adaptive_kl",
  "dynamic_sampling_mask",
  "gae",
  "group_advantages",
  "importance_weights",
  "kl_estimate",
  "learning_signal",
  "online_pairs",
  "policy_gradient_step",
  "policy_loss",
  "ppo_stats",
  "ppo_step",
  "preset",
  "reinforce_pp_advantages",
  "reinforce_pp_baseline",
  "remax_advantages",
  "rloo_advantages",
  "rollout",
  "sequence_ratio",
  "sequence_reward",
  "shaped_rewards",
  "sparse_advantages",
  "teacher_advantages",
  "whiten",
]
