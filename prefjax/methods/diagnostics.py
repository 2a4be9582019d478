# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Metrics every pairwise method logs, under TRL's names and a few more.

All are sums and weights, so they do not depend on micro-batch or devices.
`moments/*` entries are raw moments: the metric writer turns them into the
correlation of margin with length difference.
"""

import dataclasses

import jax.numpy as jnp

from prefjax.core import types


@dataclasses.dataclass(frozen=True)
class RewardScale:
  """How log-probs become implicit rewards.

  Attributes:
    beta: multiplies the log-ratio.
    per_token: divide by the response length (reference-free averages).
  """

  beta: float = 1.0
  per_token: bool = False


def implicit_rewards(arrays, scale: RewardScale):
  """(chosen, rejected) implicit rewards over pairs, float32 [B * M]."""
  rewards = []
  for side in ("chosen", "rejected"):
    value = arrays[f"{side}_logps"]
    reference = arrays.get(f"ref_{side}_logps")
    if scale.per_token:
      value = value / jnp.maximum(arrays[f"{side}_lengths"], 1)
    elif reference is not None:
      value = value - reference
    rewards.append(scale.beta * value)
  return tuple(rewards)


def margin_metrics(chosen, rejected, arrays, weight):
  """What rewards of pairs tell, whatever gave them.

  Args:
    chosen: [N], rewards of the better responses.
    rejected: [N], of the others.
    arrays: chosen_lengths and rejected_lengths [N].
    weight: [N], how much each pair counts.
  """
  margin = chosen - rejected
  correct = (margin > 0).astype(jnp.float32)
  longer = arrays["chosen_lengths"] - arrays["rejected_lengths"]

  def of(values, w=weight):
    return types.weighted(values, w)

  return {
    "rewards/chosen": of(chosen),
    "rewards/rejected": of(rejected),
    "rewards/margins": of(margin),
    "rewards/accuracies": of(correct),
    "length/chosen": of(arrays["chosen_lengths"]),
    "length/rejected": of(arrays["rejected_lengths"]),
    "length_bias/accuracy_chosen_longer": of(correct, weight * (longer > 0)),
    "length_bias/accuracy_chosen_shorter": of(correct, weight * (longer < 0)),
    "moments/margin": of(margin),
    "moments/length": of(longer),
    "moments/margin_margin": of(margin * margin),
    "moments/length_length": of(longer * longer),
    "moments/margin_length": of(margin * longer),
  }


def pair_metrics(arrays, batch, scale: RewardScale):
  """Metrics over the valid pairs of a batch."""
  b = batch.example_weight.shape[0]
  m = arrays["pair_valid"].shape[0] // b
  weight = arrays["pair_valid"] * jnp.repeat(batch.example_weight, m)
  chosen, rejected = implicit_rewards(arrays, scale)

  def of(values, w=weight):
    return types.weighted(values, w)

  metrics = {
    **margin_metrics(chosen, rejected, arrays, weight),
    "logps/chosen": of(arrays["chosen_logps"]),
    "logps/rejected": of(arrays["rejected_logps"]),
  }
  if "ref_chosen_logps" in arrays:
    metrics["drift/chosen_logps"] = of(
      arrays["chosen_logps"] - arrays["ref_chosen_logps"]
    )
    metrics["drift/rejected_logps"] = of(
      arrays["rejected_logps"] - arrays["ref_rejected_logps"]
    )
  return metrics


def unpaired_metrics(rewards, logps, labels, weight):
  """Metrics of methods that learn from single labelled responses [B]."""
  desirable = weight * labels
  undesirable = weight * (1 - labels)
  return {
    "rewards/chosen": types.weighted(rewards, desirable),
    "rewards/rejected": types.weighted(rewards, undesirable),
    "logps/chosen": types.weighted(logps, desirable),
    "logps/rejected": types.weighted(logps, undesirable),
    "rewards/accuracies": types.weighted((rewards > 0) == (labels > 0), weight),
  }
