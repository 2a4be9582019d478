# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Agreement of annotators, and how rewards order pairs (host)."""

from typing import Any

import numpy as np

from prefjax.analysis import scores as scores_lib
from prefjax.core import checks

Array = Any
_WEIGHTS = ("quadratic", "linear", "none")


def weighted_kappa(
  a: Array, b: Array, *, num_levels: int = 5, weights: str = "quadratic"
) -> float:
  """Cohen's kappa of two annotators with graded disagreement.

    1 - (disagreement seen) / (disagreement of independent annotators)

  Args:
    a: int [N], ratings in 0..num_levels - 1.
    b: int [N], of the other annotator.
    num_levels: number of levels.
    weights: cost of a disagreement: its "quadratic" or "linear" distance,
      or 1 ("none").

  Returns:
    Kappa; 1.0 where no disagreement is expected.

  Raises:
    ValueError: shapes differ, a rating is out of range, or an unknown
      weighting.
  """
  checks.one_of("weighted_kappa", _WEIGHTS, weights=weights)
  checks.rank("weighted_kappa", 1, a=a)
  checks.same_shape("weighted_kappa", a=a, b=b)
  a, b = np.asarray(a, np.int64), np.asarray(b, np.int64)
  for name, values in (("a", a), ("b", b)):
    if values.size and not (0 <= values.min() and values.max() < num_levels):
      raise ValueError(
        f"weighted_kappa: {name} holds ratings outside 0..{num_levels - 1}"
      )
  if not a.size:
    return 1.0
  table = np.zeros((num_levels, num_levels))
  np.add.at(table, (a, b), 1.0)
  distance = np.abs(np.subtract.outer(np.arange(num_levels), range(num_levels)))
  cost = {
    "quadratic": distance**2,
    "linear": distance,
    "none": distance > 0,
  }[weights].astype(np.float64)
  expected = np.outer(table.sum(1), table.sum(0)) / a.size
  by_chance = (cost * expected).sum()
  return 1.0 if by_chance == 0 else float(1 - (cost * table).sum() / by_chance)


def pair_accuracy(
  chosen_rewards: Array, rejected_rewards: Array, mask: Array | None = None
) -> float:
  """Share of pairs in which the chosen response scores higher.

  Args:
    chosen_rewards: [B].
    rejected_rewards: [B].
    mask: [B] or None, which pairs count.

  Returns:
    In [0, 1]; a tie counts half, and 0 without pairs.

  Raises:
    ValueError: shapes differ.
  """
  chosen = np.asarray(chosen_rewards, np.float64)
  rejected = np.asarray(rejected_rewards, np.float64)
  kept = np.ones(chosen.shape, bool) if mask is None else np.asarray(mask, bool)
  checks.same_shape(
    "pair_accuracy", chosen_rewards=chosen, rejected_rewards=rejected, mask=kept
  )
  if not kept.any():
    return 0.0
  right = (chosen > rejected) + 0.5 * (chosen == rejected)
  return float(right[kept].mean())


def gap_correlation(gaps: Array, accuracies: Array) -> dict[str, float]:
  """Whether a wider gap between two models makes their ratio better.

  Args:
    gaps: [P], gaps of P pairs of models.
    accuracies: [P], ranking accuracy of each pair's density ratio.

  Returns:
    {"pearson", "spearman"}; 0 where either is constant.

  Raises:
    ValueError: lengths differ.
  """
  return {
    "pearson": scores_lib.pearson(gaps, accuracies),
    "spearman": scores_lib.spearman(gaps, accuracies),
  }
