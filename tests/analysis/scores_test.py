# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Correlations, ROC, precision-recall, calibration, length bias."""

import math

import numpy as np
import pytest
from scipy import stats

from prefjax import analysis


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [3, 1000])
def test_correlations_against_scipy(seed, levels):
  rng = np.random.default_rng(seed)
  a = rng.integers(0, levels, 60)
  b = a + rng.integers(0, levels, 60)
  assert analysis.spearman(a, b) == pytest.approx(
    stats.spearmanr(a, b).statistic, abs=1e-12
  )
  assert analysis.pearson(a, b) == pytest.approx(
    stats.pearsonr(a, b).statistic, abs=1e-12
  )
  np.testing.assert_allclose(analysis.average_ranks(a), stats.rankdata(a))


def test_correlations_at_the_edges():
  assert analysis.pearson([], []) == analysis.spearman([1], [2]) == 0
  assert analysis.pearson([0.1] * 7, range(7)) == 0
  assert analysis.pearson([1e300, -1e300], [1e-300, 2e-300]) == -1
  with pytest.raises(ValueError, match="a has 2, b has 3"):
    analysis.pearson([1, 2], [1, 2, 3])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [4, 10_000])
def test_roc_auc_against_mann_whitney(seed, levels):
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, 2, 80)
  scores = rng.integers(0, levels, 80) + labels * levels // 3
  statistic = stats.mannwhitneyu(
    scores[labels == 1], scores[labels == 0]
  ).statistic
  expected = statistic / (labels.sum() * (80 - labels.sum()))
  assert analysis.roc_auc(scores, labels) == pytest.approx(expected)
  assert analysis.roc_auc(-scores, labels) == pytest.approx(1 - expected)


def test_single_class():
  assert analysis.roc_auc([1.0, 2.0], [1, 1]) == 0.5
  assert analysis.average_precision([1.0, 2.0], [0, 0]) == 0
  assert analysis.average_precision([1.0, 2.0], [1, 1]) == 1
  assert analysis.best_f1([1.0, 2.0], [0, 0]) == {"f1": 0, "threshold": 2}


@pytest.mark.parametrize("seed", range(5))
def test_precision_recall_by_definition(seed):
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, 2, 50)
  scores = rng.integers(0, 12, 50)  # many ties
  precision, recall = [], [0.0]
  f1 = {}
  for cut in sorted(set(scores), reverse=True):
    taken = scores >= cut
    hits = np.sum(labels[taken])
    precision.append(hits / taken.sum())
    recall.append(hits / labels.sum())
    f1[cut] = 2 * hits / (taken.sum() + labels.sum())
  expected = np.sum(np.diff(recall) * precision)
  assert analysis.average_precision(scores, labels) == pytest.approx(expected)
  best = analysis.best_f1(scores, labels)
  assert best["f1"] == pytest.approx(max(f1.values()))
  assert f1[best["threshold"]] == pytest.approx(best["f1"])


# --- calibration ------------------------------------------------------------


def test_preference_probability_is_stable():
  value = analysis.preference_probability([-1e4, 0.0, 2.0, 1e4])
  np.testing.assert_allclose(value, [0, 0.5, 1 / (1 + math.exp(-2)), 1])


def test_reliability_by_hand():
  p = [0.05, 0.15, 0.15, 0.95, 1.0, 0.0]
  y = [0, 1, 0, 1, 1, 1]
  curve = analysis.reliability_curve(p, y, bins=10)
  np.testing.assert_allclose(curve["probability"], [0.025, 0.15, 0.975])
  np.testing.assert_allclose(curve["frequency"], [0.5, 0.5, 1.0])
  np.testing.assert_array_equal(curve["count"], [2, 2, 2])
  expected = (2 * 0.475 + 2 * 0.35 + 2 * 0.025) / 6
  assert analysis.expected_calibration_error(p, y) == pytest.approx(expected)
  assert analysis.brier_score(p, y) == pytest.approx(
    np.mean((np.array(p) - y) ** 2)
  )


def test_adaptive_bins_have_equal_counts():
  rng = np.random.default_rng(0)
  p = rng.beta(8, 1, 1000)
  curve = analysis.reliability_curve(p, p > 0.5, bins=8, adaptive=True)
  np.testing.assert_array_equal(curve["count"], [125] * 8)
  assert np.all(np.diff(curve["probability"]) > 0)


def test_calibrated_and_overconfident_models():
  rng = np.random.default_rng(1)
  p = rng.uniform(0, 1, 20_000)
  y = rng.uniform(0, 1, 20_000) < p
  assert analysis.expected_calibration_error(p, y) < 0.015
  sharper = np.clip(p + 0.3 * np.sign(p - 0.5), 0, 1)
  assert analysis.expected_calibration_error(sharper, y) > 0.15
  assert analysis.brier_score(p, y) < analysis.brier_score(sharper, y)


def test_confidence():
  sure, right = analysis.confidence([2.0, -2.0, 0.0])
  np.testing.assert_allclose(sure, [0.880797, 0.880797, 0.5], rtol=1e-5)
  np.testing.assert_array_equal(right, [1, 0, 0.5])


def test_calibration_refuses_bad_input():
  with pytest.raises(ValueError, match="lie in"):
    analysis.brier_score([1.5], [1])
  with pytest.raises(ValueError, match="2 probabilities but 1"):
    analysis.reliability_curve([0.5, 0.5], [1])
  with pytest.raises(ValueError, match="bins=0"):
    analysis.reliability_curve([0.5], [1], bins=0)
  assert analysis.expected_calibration_error([], []) == 0


# --- length bias ------------------------------------------------------------


def test_length_correlation_and_its_moments():
  rng = np.random.default_rng(0)
  length = rng.integers(-20, 20, 500).astype(float)
  margin = 0.2 * length + rng.normal(0, 2, 500)
  value = analysis.margin_length_correlation(margin, length)
  expected = stats.pearsonr(margin, length).statistic
  assert value["pearson"] == pytest.approx(expected)
  assert value["spearman"] == pytest.approx(
    stats.spearmanr(margin, length).statistic
  )
  moments = {
    "margin": margin.mean(),
    "length": length.mean(),
    "margin_margin": np.mean(margin**2),
    "length_length": np.mean(length**2),
    "margin_length": np.mean(margin * length),
  }
  assert analysis.correlation_from_moments(moments) == pytest.approx(expected)
  constant = {**moments, "length": 3.0, "length_length": 9.0000001}
  assert analysis.correlation_from_moments(constant) == 0


def test_accuracy_by_length_by_hand():
  rows = analysis.accuracy_by_length(
    [1.0, -1.0, 2.0, 0.0, 3.0], [-3, -3, 0, 5, 5], edges=(-0.5, 0.5)
  )
  assert [row["count"] for row in rows] == [2, 1, 2]
  assert [row["accuracy"] for row in rows] == [0.5, 1.0, 0.75]
  assert rows[0]["standard_error"] == pytest.approx(math.sqrt(0.125))
  assert rows[0]["low"] == -math.inf and rows[-1]["high"] == math.inf
  strict = analysis.accuracy_by_length([0.0], [0], edges=(1.0,), ties=0.0)
  assert strict[0]["accuracy"] == 0 and math.isnan(strict[1]["accuracy"])
  with pytest.raises(ValueError, match="ascend"):
    analysis.accuracy_by_length([0.0], [0], edges=(1.0, 1.0))
  with pytest.raises(ValueError, match="1 margins but 2"):
    analysis.accuracy_by_length([0.0], [0, 1])
