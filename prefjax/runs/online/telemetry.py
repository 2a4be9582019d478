# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Numbers of a round under TRL's names, and alarms about them."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def _spread(values: np.ndarray) -> np.ndarray:
  """Standard deviation of each group, exactly 0 where all are equal."""
  same = values.max(axis=1) == values.min(axis=1)
  return np.where(same, 0.0, values.std(axis=1))


def reward_metrics(
  total: np.ndarray, parts: Mapping[str, np.ndarray]
) -> dict[str, float]:
  """Of scores [B, K]: means, spreads, groups that teach nothing."""
  spread = _spread(total)
  out = {
    "reward": float(total.mean()),
    "reward_std": float(spread.mean()),
    "frac_reward_zero_std": float((spread == 0).mean()),
  }
  for name, values in parts.items():
    known = values[np.isfinite(values)]
    if known.size:
      out[f"rewards/{name}/mean"] = float(known.mean())
      out[f"rewards/{name}/std"] = float(known.std())
  return out


def length_metrics(lengths: np.ndarray, ended: np.ndarray) -> dict[str, float]:
  """Of tokens [B, K] of the responses and whether they ended."""
  out = {
    "completions/mean_length": float(lengths.mean()),
    "completions/min_length": float(lengths.min()),
    "completions/max_length": float(lengths.max()),
    "completions/clipped_ratio": float(1 - ended.mean()),
    "val/num_eos_tokens": float(ended.sum()),
  }
  whole = lengths[ended]
  for name, function in (("mean", np.mean), ("min", np.min), ("max", np.max)):
    out[f"completions/{name}_terminated_length"] = (
      float(function(whole)) if whole.size else 0.0
    )
  return out


def sampler_metrics(
  mask: np.ndarray, logps: np.ndarray, sampler: np.ndarray
) -> dict[str, float]:
  """How far the sampler's log-probs are from the trainer's, [B, K, R]."""
  gap = (logps - sampler)[mask & np.isfinite(sampler)]
  if not gap.size:
    return {}
  size = np.abs(gap)
  return {
    "sampling/sampling_logp_difference/mean": float(size.mean()),
    "sampling/sampling_logp_difference/max": float(size.max()),
    "sampling/k3": float(np.mean(np.expm1(gap) - gap)),
  }


def ratio_metrics(
  mask: np.ndarray, logps: np.ndarray, sampler: np.ndarray
) -> dict[str, float]:
  """Importance ratios of policy and sampling distribution."""
  gap = (logps - sampler)[mask & np.isfinite(sampler)]
  if not gap.size:
    return {}
  ratio = np.exp(np.clip(gap, -20, 20))
  return {
    "sampling/importance_sampling_ratio/min": float(ratio.min()),
    "sampling/importance_sampling_ratio/mean": float(ratio.mean()),
    "sampling/importance_sampling_ratio/max": float(ratio.max()),
  }


def objective_metrics(
  scores: np.ndarray, kl: np.ndarray, kl_coef: float
) -> dict[str, float]:
  """PPO's view of a round: scores, divergence and what is left of them."""
  penalty = -kl_coef * kl
  return {
    "objective/scores": float(scores.mean()),
    "objective/scores_std": float(scores.std()),
    "objective/kl": float(kl.mean()),
    "objective/kl_coef": float(kl_coef),
    "objective/non_score_reward": float(penalty.mean()),
    "objective/rlhf_reward": float((scores + penalty).mean()),
  }


def value_metrics(
  mask: np.ndarray, values: np.ndarray, returns: np.ndarray
) -> dict[str, float]:
  """How much of the returns the value model explains."""
  returns, values = returns[mask], values[mask]
  spread = returns.var()
  explained = 1 - (returns - values).var() / spread if spread > 0 else 0.0
  return {
    "val/explained_variance": float(explained),
    "val/return_mean": float(returns.mean()),
    "val/value_mean": float(values.mean()),
  }


# Limits beyond which somebody should look.
_ZERO_SHARE = 0.9  # of groups without any spread
_ENTROPY_SHARE = 0.1  # of the first round's entropy
_KL = 50.0  # nats of a response
_LENGTH_RATIO = 3.0  # of the first round's mean length
_CLIPPED = 0.5  # responses that were cut off
_GAP = 0.05  # nats a token between sampler and trainer
_PATIENCE = 3  # rounds in a row


@dataclasses.dataclass
class Alarms:
  """Watches rounds; each alarm speaks once a stretch.

  Attributes:
    counts: alarm -> rounds in a row.
    first: numbers of the first round, to compare with.
  """

  counts: dict[str, int] = dataclasses.field(default_factory=dict)
  first: dict[str, float] = dataclasses.field(default_factory=dict)

  def state(self) -> dict[str, Any]:
    """JSON values from which `Alarms(**state)` goes on."""
    return {"counts": dict(self.counts), "first": dict(self.first)}

  def see(self, row: Mapping[str, Any]) -> list[str]:
    """Remarks about a round; its metrics by name."""
    for name in ("entropy", "completions/mean_length"):
      if name in row:
        self.first.setdefault(name, float(row[name]))
    entropy = row.get("entropy", math.inf)
    length = row.get("completions/mean_length", 0.0)
    gap = row.get("sampling/sampling_logp_difference/mean", 0.0)
    rules = {
      "zero_variance": (
        row.get("frac_reward_zero_std", 0.0) >= _ZERO_SHARE,
        "nearly all groups have equal rewards and teach nothing: the prompts"
        " are too easy or too hard, or the reward is constant",
      ),
      "entropy_collapse": (
        entropy < _ENTROPY_SHARE * self.first.get("entropy", 0.0),
        "the policy hardly varies any more (entropy"
        f" {entropy:.3g} nats a token): lower the learning rate, raise"
        " clip_high or add an entropy bonus",
      ),
      "kl_blow_up": (
        row.get("objective/kl", 0.0) > _KL,
        f"responses are {row.get('objective/kl', 0.0):.0f} nats from the"
        " reference: raise the price of the divergence or lower the learning"
        " rate",
      ),
      "length_explosion": (
        length > _LENGTH_RATIO * self.first.get("completions/mean_length", 0)
        and row.get("completions/clipped_ratio", 0.0) > _CLIPPED,
        "responses grow and most are cut off: give cut-off responses a low"
        " score (missing_eos) or penalise length (overlong)",
      ),
      "sampler_gap": (
        gap > _GAP,
        f"sampler and trainer differ by {gap:.2g} nats a token: check dtypes,"
        " or set importance_cap",
      ),
    }
    remarks = []
    for name, (is_on, text) in rules.items():
      self.counts[name] = self.counts.get(name, 0) + 1 if is_on else 0
      if self.counts[name] == _PATIENCE:
        remarks.append(f"{name.replace('_', ' ')}: {text}")
    return remarks
