# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""One rating from several annotators: those who agree most (host)."""

import itertools

import numpy as np

from prefjax.core import checks


def consensus_ratings(
  ratings, mask, *, keep: int = 3, max_range: float = 2
) -> dict[str, np.ndarray]:
  """Mean of the few ratings that lie closest together.

  Args:
    ratings: [N, M], up to M ratings of N responses.
    mask: [N, M], which ratings exist.
    keep: 1 or more, ratings kept: the subset with the least sum of absolute
      differences, ties by position.
    max_range: kept ratings that span more make the response invalid.

  Returns:
    mean float32 [N], rounded int32 [N] (halves up) and valid int32 [N]; all
    0 with fewer than `keep` ratings.

  Raises:
    ValueError: shapes differ, not two axes, or a keyword is out of range.

  Reference:
    Wang et al., "HelpSteer2: Open-source dataset for training
    top-performing reward models", arXiv:2406.08673.
  """
  checks.rank("consensus_ratings", 2, ratings=ratings)
  checks.same_shape("consensus_ratings", ratings=ratings, mask=mask)
  checks.in_range("consensus_ratings", 1, keep=keep)
  checks.in_range("consensus_ratings", 0, max_range=max_range)
  ratings, kept = np.asarray(ratings), np.asarray(mask).astype(bool)
  number = len(ratings)
  mean, valid = np.zeros(number), np.zeros(number, np.int32)
  for row in range(number):
    values = [float(v) for v in ratings[row, kept[row]]]
    subsets = list(itertools.combinations(values, keep))
    if not subsets:
      continue
    best = min(  # the first of equal ones
      subsets,
      key=lambda s: sum(abs(a - b) for a, b in itertools.combinations(s, 2)),
    )
    mean[row] = sum(best) / keep
    valid[row] = max(best) - min(best) <= max_range
  return {
    "mean": mean.astype(np.float32),
    "rounded": np.floor(mean + 0.5).astype(np.int32),
    "valid": valid,
  }
