# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The alignment gap and log-prob drift of a trained model (host).

Reference: "Preference Learning Algorithms Do Not Learn Preference Rankings",
arXiv 2405.19534.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from prefjax.analysis import ranking

Array = Any


def log_prob_drift(logps: Array, ref_logps: Array) -> dict[str, float]:
  """How far log-probs of responses moved from the reference (host).

  Falling log-probs of *chosen* responses are the well-known side effect of
  pairwise losses: only the difference is trained.

  Args:
    logps: [N] summed log-probs after training, nats.
    ref_logps: [N] before.

  Returns:
    mean and median drift in nats and the share of responses that fell; zeros
    when N is 0.
  """
  drift = np.asarray(logps, np.float64) - np.asarray(ref_logps, np.float64)
  if not drift.size:
    return {"mean": 0.0, "median": 0.0, "share_down": 0.0}
  return {
    "mean": float(np.mean(drift)),
    "median": float(np.median(drift)),
    "share_down": float(np.mean(drift < 0)),
  }


def alignment_gap_report(
  chosen_logps: Array,
  rejected_logps: Array,
  ref_chosen_logps: Array,
  ref_rejected_logps: Array,
  *,
  chosen_lengths: Array | None = None,
  rejected_lengths: Array | None = None,
  agreement: Array | None = None,
  betas: Sequence[float] = (0.01, 0.1, 1.0, 5.0, 10.0),
  quantiles: int = 4,
) -> dict[str, Any]:
  """Ranking accuracy, what a perfect optimum would score, and the flips.

  Args:
    chosen_logps: [N] policy log-probs of preferred responses, nats.
    rejected_logps: [N].
    ref_chosen_logps: [N] reference log-probs.
    ref_rejected_logps: [N].
    chosen_lengths: [N] tokens, for the normalised accuracy (with the next).
    rejected_lengths: [N].
    agreement: [N] share of raters for the chosen response; 0.75 if missing.
    betas: where the idealised accuracy is evaluated.
    quantiles: difficulty groups by c = log ref(y_l) - log ref(y_w).

  Returns:
    ranking_accuracy, reference_accuracy, reward_accuracy (ties half),
    normalized_ranking_accuracy (None without lengths), idealized {beta:
    value} with its min, median and max, gap (median idealised - accuracy)
    and flips, one row a difficulty group: c_low, c_high, count and the
    counts kept_right, fixed, broken, kept_wrong.

  Raises:
    ValueError: shapes differ, N is 0, or betas is empty.
  """
  arrays = [
    np.asarray(a, np.float32)
    for a in (
      chosen_logps,
      rejected_logps,
      ref_chosen_logps,
      ref_rejected_logps,
    )
  ]
  chosen, rejected, ref_chosen, ref_rejected = arrays
  if not chosen.size or not len(betas):
    raise ValueError("alignment_gap_report: needs one pair and one beta")
  share = (
    np.full(chosen.shape, 0.75, np.float32) if agreement is None else agreement
  )
  accuracy = float(np.mean(ranking.ranking_accuracy(chosen, rejected)))
  ideal = {
    float(beta): float(
      np.mean(
        ranking.idealized_ranking_accuracy(
          ref_chosen, ref_rejected, share, beta=beta
        )
      )
    )
    for beta in betas
  }
  values = list(ideal.values())
  category = np.asarray(
    ranking.flip_category(chosen, rejected, ref_chosen, ref_rejected)
  )
  normalized = None
  if chosen_lengths is not None and rejected_lengths is not None:
    normalized = float(
      np.mean(
        ranking.normalized_ranking_accuracy(
          chosen, rejected, chosen_lengths, rejected_lengths
        )
      )
    )
  difficulty = ref_rejected - ref_chosen
  order = np.argsort(difficulty, kind="stable")
  flips = []
  for part in np.array_split(order, min(quantiles, len(order))):
    counts = np.bincount(category[part], minlength=4)
    flips.append(
      {
        "c_low": float(difficulty[part].min()),
        "c_high": float(difficulty[part].max()),
        "count": len(part),
        "kept_right": int(counts[0]),
        "fixed": int(counts[1]),
        "broken": int(counts[2]),
        "kept_wrong": int(counts[3]),
      }
    )
  return {
    "ranking_accuracy": accuracy,
    "reference_accuracy": float(
      np.mean(ranking.ranking_accuracy(ref_chosen, ref_rejected))
    ),
    "reward_accuracy": float(
      np.mean(
        ranking.ranking_accuracy(
          chosen - ref_chosen, rejected - ref_rejected, ties=0.5
        )
      )
    ),
    "normalized_ranking_accuracy": normalized,
    "idealized": ideal,
    "idealized_min": min(values),
    "idealized_median": float(np.median(values)),
    "idealized_max": max(values),
    "gap": float(np.median(values)) - accuracy,
    "flips": flips,
  }
