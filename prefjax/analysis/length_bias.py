# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Does the model prefer length for its own sake? Host functions, float64."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prefjax.analysis import scores

Array = Any

# Bucket edges of the length difference (chosen - rejected) in tokens.
BUCKETS = (-16.0, -8.0, -4.0, -0.5, 0.5, 4.0, 8.0, 16.0)


def margin_length_correlation(
  margins: Array, length_differences: Array
) -> dict[str, float]:
  """Correlation of the margin with the length difference.

  Args:
    margins: [N] chosen minus rejected, rewards or log-probs.
    length_differences: [N] chosen minus rejected length, tokens.

  Returns:
    pearson and spearman; 0 where either side is constant.

  Raises:
    ValueError: lengths differ.
  """
  return {
    "pearson": scores.pearson(margins, length_differences),
    "spearman": scores.spearman(margins, length_differences),
  }


def correlation_from_moments(moments: Mapping[str, float]) -> float:
  """Pearson correlation from means that were summed over batches.

  Args:
    moments: means named margin, length, margin_margin, length_length and
      margin_length.

  Returns:
    The correlation; 0 where a variance is 0 or lost in rounding.
  """
  margin, length = moments["margin"], moments["length"]
  first = moments["margin_margin"] - margin * margin
  second = moments["length_length"] - length * length
  # Float32 moments of a constant leave a difference of this relative size.
  if first <= 1e-6 * moments["margin_margin"]:
    return 0.0
  if second <= 1e-6 * moments["length_length"]:
    return 0.0
  covariance = moments["margin_length"] - margin * length
  return min(1.0, max(-1.0, covariance / math.sqrt(first * second)))


def accuracy_by_length(
  margins: Array,
  length_differences: Array,
  *,
  edges: Sequence[float] = BUCKETS,
  ties: float = 0.5,
) -> list[dict[str, float]]:
  """Accuracy of the margin's sign by bucket of length difference.

  Args:
    margins: [N] chosen minus rejected.
    length_differences: [N] chosen minus rejected length, tokens.
    edges: ascending inner edges; bucket i holds edges[i-1] <= d < edges[i].
    ties: what a margin of 0 counts.

  Returns:
    One row a bucket: low, high (infinite at the ends), count, accuracy
    (NaN when empty) and standard_error.

  Raises:
    ValueError: lengths differ, or edges do not ascend.
  """
  margins = np.asarray(margins, np.float64).reshape(-1)
  lengths = np.asarray(length_differences, np.float64).reshape(-1)
  if margins.size != lengths.size:
    raise ValueError(
      f"accuracy_by_length: {margins.size} margins but {lengths.size}"
      " length differences"
    )
  if any(a >= b for a, b in zip(edges, edges[1:], strict=False)):
    raise ValueError(f"accuracy_by_length: edges={list(edges)} do not ascend")
  right = np.where(margins == 0, ties, (margins > 0).astype(np.float64))
  bounds = [-math.inf, *edges, math.inf]
  rows = []
  for low, high in zip(bounds, bounds[1:], strict=False):
    inside = right[(lengths >= low) & (lengths < high)]
    accuracy = float(inside.mean()) if inside.size else math.nan
    error = (
      math.sqrt(accuracy * (1 - accuracy) / inside.size)
      if inside.size
      else math.nan
    )
    rows.append(
      {
        "low": float(low),
        "high": float(high),
        "count": int(inside.size),
        "accuracy": accuracy,
        "standard_error": error,
      }
    )
  return rows
