# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Metrics of preference learning, plots and the report."""

from prefjax.analysis.agreement import (
  gap_correlation,
  pair_accuracy,
  weighted_kappa,
)
from prefjax.analysis.alignment import alignment_gap_report, log_prob_drift
from prefjax.analysis.aspects import aspect_grid
from prefjax.analysis.best_of_n import (
  best_of_n_expected,
  best_of_n_kl,
  pass_at_k,
)
from prefjax.analysis.bootstrap import (
  bootstrap_interval,
  mean_interval,
  paired_difference,
  win_rate,
)
from prefjax.analysis.calibration import (
  brier_score,
  confidence,
  expected_calibration_error,
  preference_probability,
  reliability_curve,
)
from prefjax.analysis.length_bias import (
  accuracy_by_length,
  correlation_from_moments,
  margin_length_correlation,
)
from prefjax.analysis.modality import modality_reliance
from prefjax.analysis.over_optimisation import best_of_n_by, best_of_n_curve
from prefjax.analysis.ranking import (
  dpo_flip_threshold,
  flip_category,
  group_ranking_accuracy,
  idealized_log_ratio,
  idealized_ranking_accuracy,
  ipo_flip_threshold,
  normalized_ranking_accuracy,
  ranking_accuracy,
  ranking_accuracy_with_ties,
)
from prefjax.analysis.scores import (
  average_precision,
  average_ranks,
  best_f1,
  pearson,
  roc_auc,
  spearman,
)
from prefjax.analysis.self_preference import (
  attention_share,
  bias_logit,
  dbg_pair,
  dbg_score,
  debias_position,
  gold_preference,
  to_preference,
)

__all__ = [
  "accuracy_by_length",
  "alignment_gap_report",
  "aspect_grid",
  "attention_share",
  "average_precision",
  "average_ranks",
  "best_f1",
  "best_of_n_by",
  "best_of_n_curve",
  "best_of_n_expected",
  "best_of_n_kl",
  "bias_logit",
  "bootstrap_interval",
  "brier_score",
  "confidence",
  "correlation_from_moments",
  "dbg_pair",
  "dbg_score",
  "debias_position",
  "dpo_flip_threshold",
  "expected_calibration_error",
  "flip_category",
  "gap_correlation",
  "gold_preference",
  "group_ranking_accuracy",
  "idealized_log_ratio",
  "idealized_ranking_accuracy",
  "ipo_flip_threshold",
  "log_prob_drift",
  "margin_length_correlation",
  "mean_interval",
  "modality_reliance",
  "normalized_ranking_accuracy",
  "pair_accuracy",
  "paired_difference",
  "pass_at_k",
  "pearson",
  "preference_probability",
  "ranking_accuracy",
  "ranking_accuracy_with_ties",
  "reliability_curve",
  "roc_auc",
  "spearman",
  "to_preference",
  "weighted_kappa",
  "win_rate",
]
