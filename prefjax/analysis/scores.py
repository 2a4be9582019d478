# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""How well numbers separate, order or follow labels: one definition each.

Host functions on NumPy arrays in float64.
"""

from typing import Any

import numpy as np

Array = Any


def _flat(function: str, **arrays: Array) -> list[np.ndarray]:
  out = [np.asarray(a, np.float64).reshape(-1) for a in arrays.values()]
  if len({a.size for a in out}) > 1:
    sizes = ", ".join(
      f"{name} has {a.size}" for name, a in zip(arrays, out, strict=True)
    )
    raise ValueError(f"{function}: lengths differ: {sizes}")
  return out


def average_ranks(values: Array) -> np.ndarray:
  """Ranks from 1; equal values share the mean of their ranks. float64 [N]."""
  values = np.asarray(values, np.float64).reshape(-1)
  _, inverse, counts = np.unique(
    values, return_inverse=True, return_counts=True
  )
  last = np.cumsum(counts)
  return (last - (counts - 1) / 2)[inverse]


def pearson(a: Array, b: Array) -> float:
  """Linear correlation; 0 if either is constant or N < 2.

  Raises:
    ValueError: lengths differ.
  """
  a, b = _flat("pearson", a=a, b=b)
  # Zero variance is a property of the values, not of a rounded deviation.
  if a.size < 2 or a.max() == a.min() or b.max() == b.min():
    return 0.0
  a, b = a - a.mean(), b - b.mean()
  # Scale first so that squares neither overflow nor vanish.
  a, b = a / np.abs(a).max(), b / np.abs(b).max()
  value = float(a @ b / np.sqrt((a @ a) * (b @ b)))
  return min(1.0, max(-1.0, value))


def spearman(a: Array, b: Array) -> float:
  """Rank correlation with average ranks; 0 if either is constant.

  Raises:
    ValueError: lengths differ.
  """
  a, b = _flat("spearman", a=a, b=b)
  return pearson(average_ranks(a), average_ranks(b))


def roc_auc(scores: Array, labels: Array) -> float:
  """Area under the ROC curve.

  Args:
    scores: [N] larger = more positive.
    labels: [N] 1 positive, 0 negative.

  Returns:
    P(a positive scores above a negative), ties half; 0.5 with one class.

  Raises:
    ValueError: lengths differ.
  """
  scores, labels = _flat("roc_auc", scores=scores, labels=labels)
  positive = labels > 0.5
  count, others = int(positive.sum()), int((~positive).sum())
  if not count or not others:
    return 0.5
  ranks = average_ranks(scores)[positive].sum()
  return float((ranks - count * (count + 1) / 2) / (count * others))


def _cuts(scores: np.ndarray, labels: np.ndarray):
  """(true positives, predicted positives, thresholds), highest first."""
  order = np.argsort(-scores, kind="stable")
  scores, positive = scores[order], labels[order] > 0.5
  last = np.append(scores[1:] != scores[:-1], True)
  hits = np.cumsum(positive)
  return hits[last], np.arange(1, scores.size + 1)[last], scores[last]


def average_precision(scores: Array, labels: Array) -> float:
  """Sum over distinct scores of (recall step) * precision.

  Args:
    scores: [N] larger = more positive.
    labels: [N] 1 positive, 0 negative.

  Returns:
    A value in [0, 1]; 0 without a positive.

  Raises:
    ValueError: lengths differ.
  """
  scores, labels = _flat("average_precision", scores=scores, labels=labels)
  total = int((labels > 0.5).sum())
  if not total:
    return 0.0
  hits, predicted, _ = _cuts(scores, labels)
  steps = np.diff(hits, prepend=0) / total
  return float(np.sum(steps * hits / predicted))


def best_f1(scores: Array, labels: Array) -> dict[str, float]:
  """The best F1 over thresholds.

  Args:
    scores: [N] larger = more positive, N >= 1.
    labels: [N] 1 positive, 0 negative.

  Returns:
    f1 and the threshold (predict positive at score >= threshold), the
    largest one among equals; f1 0 at the largest score without a positive.

  Raises:
    ValueError: lengths differ or N is 0.
  """
  scores, labels = _flat("best_f1", scores=scores, labels=labels)
  if not scores.size:
    raise ValueError("best_f1: needs at least one score")
  total = int((labels > 0.5).sum())
  hits, predicted, thresholds = _cuts(scores, labels)
  if not total:
    return {"f1": 0.0, "threshold": float(thresholds[0])}
  f1 = 2 * hits / (predicted + total)
  best = int(np.argmax(f1))
  return {"f1": float(f1[best]), "threshold": float(thresholds[best])}
