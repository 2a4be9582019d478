# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Do stated preference probabilities come true? Host functions, float64."""

from typing import Any

import numpy as np

Array = Any


def preference_probability(margins: Array) -> np.ndarray:
  """sigmoid(reward margin): P(chosen beats rejected) under Bradley-Terry.

  Args:
    margins: [N] reward margins (for DPO: beta times the log-ratio gap).

  Returns:
    float64 [N].
  """
  margins = np.asarray(margins, np.float64)
  # exp of a non-positive number only, so that nothing overflows.
  small = np.exp(-np.abs(margins))
  return np.where(margins >= 0, 1 / (1 + small), small / (1 + small))


def _checked(function: str, probabilities, outcomes, bins):
  probabilities = np.asarray(probabilities, np.float64).reshape(-1)
  outcomes = np.asarray(outcomes, np.float64).reshape(-1)
  if probabilities.size != outcomes.size:
    raise ValueError(
      f"{function}: {probabilities.size} probabilities but"
      f" {outcomes.size} outcomes"
    )
  if bins < 1:
    raise ValueError(f"{function}: bins={bins} must be 1 or more")
  if probabilities.size and not (
    probabilities.min() >= 0 and probabilities.max() <= 1
  ):
    raise ValueError(f"{function}: probabilities must lie in [0, 1]")
  return probabilities, outcomes


def reliability_curve(
  probabilities: Array,
  outcomes: Array,
  *,
  bins: int = 10,
  adaptive: bool = False,
) -> dict[str, np.ndarray]:
  """Mean stated probability against observed frequency, by bin.

  Args:
    probabilities: [N] stated probabilities.
    outcomes: [N] 1 where it happened, else 0 (or a share).
    bins: number of bins over [0, 1].
    adaptive: bins of equal count instead of equal width.

  Returns:
    probability, frequency and count of every bin that is not empty.

  Raises:
    ValueError: lengths differ, a probability outside [0, 1], bins < 1.
  """
  p, y = _checked("reliability_curve", probabilities, outcomes, bins)
  if adaptive:
    index = np.empty(p.size, np.int64)
    order = np.argsort(p, kind="stable")
    index[order] = np.arange(p.size) * bins // max(1, p.size)
  else:
    index = np.minimum((p * bins).astype(np.int64), bins - 1)
  count = np.bincount(index, minlength=bins)
  kept = count > 0
  return {
    "probability": np.bincount(index, p, bins)[kept] / count[kept],
    "frequency": np.bincount(index, y, bins)[kept] / count[kept],
    "count": count[kept],
  }


def expected_calibration_error(
  probabilities: Array,
  outcomes: Array,
  *,
  bins: int = 10,
  adaptive: bool = False,
) -> float:
  """Mean gap of probability and frequency over bins, weighted by count.

  Args, Raises: see `reliability_curve`.

  Returns:
    A value in [0, 1]; 0 without data.
  """
  curve = reliability_curve(
    probabilities, outcomes, bins=bins, adaptive=adaptive
  )
  total = curve["count"].sum()
  if not total:
    return 0.0
  gaps = np.abs(curve["probability"] - curve["frequency"])
  return float(np.sum(gaps * curve["count"]) / total)


def brier_score(probabilities: Array, outcomes: Array) -> float:
  """Mean squared difference of probability and outcome; 0 without data.

  Raises:
    ValueError: lengths differ or a probability is outside [0, 1].
  """
  p, y = _checked("brier_score", probabilities, outcomes, 1)
  return float(np.mean((p - y) ** 2)) if p.size else 0.0


def confidence(margins: Array) -> tuple[np.ndarray, np.ndarray]:
  """Confidence in the ordering that the model believes in, and its success.

  Pairs always list the better response first, so P(chosen wins) has no
  negative outcomes; the confidence sigmoid(|margin|) in [0.5, 1] does.

  Args:
    margins: [N] reward margins, chosen minus rejected.

  Returns:
    (confidence [N], right [N] with ties as 0.5).
  """
  margins = np.asarray(margins, np.float64).reshape(-1)
  return (
    preference_probability(np.abs(margins)),
    np.where(margins == 0, 0.5, (margins > 0).astype(np.float64)),
  )
