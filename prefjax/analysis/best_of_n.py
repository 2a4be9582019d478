# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What the best of n samples gains, and what it costs (host)."""

import math
from typing import Any

import numpy as np

from prefjax.core import checks

Array = Any


def best_of_n_expected(scores: Array, *, n: int) -> np.ndarray:
  """Expected score of the best of n, from N samples, without bias.

    sum_i r_(i) C(i, n - 1) / C(N, n), r sorted ascending, i from 0

  Args:
    scores: [B, N], scores of N samples of each prompt.
    n: in 1..N.

  Returns:
    float32 [B]; the mean for n = 1, the largest for n = N.

  Raises:
    ValueError: scores is not two axes or n is out of range.
  """
  checks.rank("best_of_n_expected", 2, scores=scores)
  ranked = np.sort(np.asarray(scores, np.float64), axis=1)
  number = ranked.shape[1]
  checks.in_range("best_of_n_expected", 1, number, n=n)
  # Integers: factorials leave the range of floats long before N does.
  total = math.comb(number, n)
  weights = [math.comb(i, n - 1) / total for i in range(number)]
  return (ranked @ np.array(weights)).astype(np.float32)


def best_of_n_kl(n: Array) -> np.ndarray:
  """Upper bound on the divergence of the best of n from one sample, nats.

    log n - (n - 1) / n

  Args:
    n: [...], 1 or more.

  Returns:
    float32 [...].

  Raises:
    ValueError: n is below 1.

  Reference:
    Stiennon et al., "Learning to summarize from human feedback",
    arXiv:2009.01325; that it is a bound: Beirami et al., arXiv:2401.01879.
  """
  n = np.asarray(n, np.float64)
  if (n < 1).any():
    raise ValueError(f"best_of_n_kl: n={n.min()} is below 1")
  return (np.log(n) - (n - 1) / n).astype(np.float32)


def pass_at_k(correct: Array, total: Array, *, k: int) -> np.ndarray:
  """Probability that one of k samples is right, without bias.

    1 - C(N - c, k) / C(N, k)

  Args:
    correct: [B], number c of right samples.
    total: [B], number N of samples.
    k: 1 or more.

  Returns:
    float32 [B]; NaN where there are fewer than k samples.

  Raises:
    ValueError: shapes differ, k is below 1, or a c is not in 0..N.

  Reference:
    Chen et al., "Evaluating Large Language Models Trained on Code",
    arXiv:2107.03374, equation 1.
  """
  checks.same_shape("pass_at_k", correct=correct, total=total)
  checks.in_range("pass_at_k", 1, k=k)
  counts = np.asarray(correct).ravel().tolist()
  sizes = np.asarray(total).ravel().tolist()
  out = []
  for right, size in zip(counts, sizes, strict=True):
    right, size = int(right), int(size)
    if not 0 <= right <= size:
      raise ValueError(f"pass_at_k: correct={right} is outside 0..{size}")
    if size < k:
      out.append(math.nan)
    else:
      out.append(1 - math.comb(size - right, k) / math.comb(size, k))
  return np.array(out, np.float32).reshape(np.shape(correct))
