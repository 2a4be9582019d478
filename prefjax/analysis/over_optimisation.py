# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What the gold reward does while a proxy is optimised harder (host)."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from prefjax.analysis import best_of_n, bootstrap
from prefjax.core import checks

Array = Any


def best_of_n_by(selecting: Array, measured: Array, *, n: int) -> np.ndarray:
  """Expected measure of the one that is selected among n, without bias.

  `best_of_n_expected` where selecting and measured are the same.

  Args:
    selecting: [B, N], scores that choose, such as a proxy's.
    measured: [B, N], what the chosen one is measured by.
    n: in 1..N.

  Returns:
    float64 [B]; samples of equal score are chosen alike.

  Raises:
    ValueError: shapes differ, not two axes, or n is out of range.
  """
  name = "best_of_n_by"
  checks.rank(name, 2, selecting=selecting)
  checks.same_shape(name, selecting=selecting, measured=measured)
  selecting = np.asarray(selecting, np.float64)
  measured = np.asarray(measured, np.float64)
  number = selecting.shape[1]
  checks.in_range(name, 1, number, n=n)
  total = math.comb(number, n)
  weights = np.array([math.comb(i, n - 1) / total for i in range(number)])
  out = np.empty(len(selecting))
  for row, (scores, values) in enumerate(zip(selecting, measured, strict=True)):
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    # Ties share what their places weigh together.
    _, group = np.unique(ranked, return_inverse=True)
    share = np.bincount(group, weights) / np.bincount(group)
    out[row] = values[order] @ share[group]
  return out


def best_of_n_curve(
  proxy: Array, gold: Array, *, sizes: Sequence[int] | None = None, key: int = 0
) -> list[dict[str, float]]:
  """Proxy and gold reward of the best of n by the proxy.

  Args:
    proxy: [B, N], scores of N samples of each prompt.
    gold: [B, N], the true reward.
    sizes: values of n; None for powers of 2 up to N.
    key: of the bootstrap over prompts.

  Returns:
    A row an n: n, kl (nats, `best_of_n_kl`), proxy, gold, gold_low,
    gold_high, and ceiling, the best of n by the gold reward itself.
  """
  number = np.shape(proxy)[1]
  if sizes is None:
    sizes = [1 << i for i in range(number.bit_length()) if 1 << i <= number]
  rows = []
  for n in sizes:
    found = best_of_n_by(proxy, gold, n=n)
    interval = bootstrap.mean_interval(key, found)
    rows.append(
      {
        "n": int(n),
        "kl": float(best_of_n.best_of_n_kl(n)),
        "proxy": float(best_of_n_by(proxy, proxy, n=n).mean()),
        "gold": interval["mean"],
        "gold_low": interval["low"],
        "gold_high": interval["high"],
        "ceiling": float(best_of_n_by(gold, gold, n=n).mean()),
      }
    )
  return rows


def fit(distances: Array, gains: Array) -> dict[str, float]:
  """The best-of-n form of Gao et al.: gain = d (alpha - beta d).

  Args:
    distances: [N], d = sqrt(KL).
    gains: [N], gold reward less that of one sample.

  Returns:
    alpha, beta (least squares) and peak, the d where the gain turns, inf
    where beta is not positive.

  Raises:
    ValueError: shapes differ, or fewer than two distances above 0.

  Reference:
    Gao et al., "Scaling Laws for Reward Model Overoptimization",
    arXiv:2210.10760.
  """
  checks.same_shape("fit", distances=distances, gains=gains)
  d, y = (np.asarray(x, np.float64).reshape(-1) for x in (distances, gains))
  if np.sum(d > 0) < 2:
    raise ValueError("fit: fewer than two distances above 0")
  columns = np.stack([d, -(d**2)], axis=1)
  alpha, beta = np.linalg.lstsq(columns, y, rcond=None)[0]
  peak = alpha / (2 * beta) if beta > 0 else math.inf
  return {"alpha": float(alpha), "beta": float(beta), "peak": float(peak)}
