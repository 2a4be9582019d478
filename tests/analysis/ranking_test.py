# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Ranking accuracies, thresholds and the alignment gap."""

import jax
import numpy as np
import pytest

from prefjax import analysis


def _logps(seed, n=400):
  rng = np.random.default_rng(seed)
  return [rng.normal(-30, 8, n).astype(np.float32) for _ in range(4)]


def test_ties():
  chosen, rejected = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0])
  for ties in (1.0, 0.5, 0.0):
    np.testing.assert_array_equal(
      analysis.ranking_accuracy(chosen, rejected, ties=ties), [0, ties, 1]
    )
  with pytest.raises(ValueError, match="ties=2"):
    analysis.ranking_accuracy(chosen, rejected, ties=2)
  with pytest.raises(ValueError, match="rejected_logps has shape"):
    analysis.ranking_accuracy(chosen, rejected[:2])


def test_normalised():
  value = analysis.normalized_ranking_accuracy(
    [-10.0, -10.0, -4.0], [-9.0, -30.0, -4.0], [10, 2, 0], [3, 30, 1]
  )
  np.testing.assert_array_equal(value, [1, 0, 1])
  value = analysis.normalized_ranking_accuracy(
    [-4.0], [-4.0], [0], [1], ties=0.5
  )
  np.testing.assert_array_equal(value, [0.5])


def test_with_ties_by_hand():
  first, second = np.log([0.5, 0.5, 0.5, 0.2]), np.log([0.495, 0.4, 0.4, 0.4])
  agreement = [0.5, 0.5, 0.75, 0.25]
  value = analysis.ranking_accuracy_with_ties(first, second, agreement)
  np.testing.assert_array_equal(value, [1, 0, 1, 1])
  loose = analysis.ranking_accuracy_with_ties(
    first, second, agreement, tolerance=0.2
  )
  np.testing.assert_array_equal(loose, [1, 1, 1, 1])


def test_groups_by_hand():
  value = analysis.group_ranking_accuracy(
    [[3.0, 2.0, 1.0], [3.0, 3.0, 1.0], [1.0, 2.0, 9.0], [1.0, 2.0, 0.0]],
    [[1, 2, 3], [1, 2, 3], [2, 1, 1], [1, 2, 3]],
    [[1, 1, 1], [1, 1, 1], [1, 1, 0], [0, 1, 0]],
  )
  np.testing.assert_array_equal(value, [1, 0, 1, 1])
  # Responses of equal rank may come in any order.
  value = analysis.group_ranking_accuracy(
    [[5.0, 1.0, 9.0]], [[2, 2, 1]], [[1, 1, 1]]
  )
  np.testing.assert_array_equal(value, [1])


@pytest.mark.parametrize("beta", [0.05, 0.3, 1.0])
def test_dpo_threshold_is_exact(beta):
  """Theorem 4.1: right iff the loss is at most the threshold."""
  chosen, rejected, ref_chosen, ref_rejected = _logps(0)
  margin = beta * (chosen - rejected - ref_chosen + ref_rejected)
  loss = np.log1p(np.exp(-margin))
  threshold = np.asarray(
    analysis.dpo_flip_threshold(ref_chosen, ref_rejected, beta=beta)
  )
  right = np.asarray(analysis.ranking_accuracy(chosen, rejected))
  np.testing.assert_array_equal(right, loss <= threshold)
  zero = analysis.dpo_flip_threshold([-5.0], [-5.0], beta=beta)
  np.testing.assert_allclose(zero, np.log(2), rtol=1e-6)
  # The harder the pair (larger c), the smaller the loss it needs.
  difficulty = ref_rejected - ref_chosen
  order = np.argsort(difficulty)
  assert np.all(np.diff(threshold[order]) <= 0)


def test_ipo_threshold_guarantees_the_ranking():
  chosen, rejected, ref_chosen, ref_rejected = _logps(1)
  for tau in (0.02, 0.1, 1.0):
    loss = (chosen - rejected - ref_chosen + ref_rejected - 1 / (2 * tau)) ** 2
    bound = np.asarray(
      analysis.ipo_flip_threshold(ref_chosen, ref_rejected, tau=tau)
    )
    right = np.asarray(analysis.ranking_accuracy(chosen, rejected))
    inside = loss <= bound - 1e-3
    assert np.all(right[inside] == 1)
    impossible = ref_chosen - ref_rejected < -1 / (2 * tau)
    np.testing.assert_array_equal(bound == -1, impossible)


def test_idealised_limits():
  _, _, ref_chosen, ref_rejected = _logps(2)
  share = np.full(ref_chosen.shape, 0.8, np.float32)
  reference = np.asarray(analysis.ranking_accuracy(ref_chosen, ref_rejected))
  loose = analysis.idealized_ranking_accuracy(
    ref_chosen, ref_rejected, share, beta=1e4
  )
  np.testing.assert_array_equal(loose, reference)
  free = analysis.idealized_ranking_accuracy(
    ref_chosen, ref_rejected, share, beta=1e-3
  )
  assert np.all(np.asarray(free) == 1)
  even = analysis.idealized_log_ratio(
    ref_chosen, ref_rejected, np.full_like(share, 0.5)
  )
  np.testing.assert_allclose(even, ref_chosen - ref_rejected, atol=1e-4)
  sure = analysis.idealized_log_ratio([0.0], [0.0], [1.0], beta=1.0, eps=1e-2)
  np.testing.assert_allclose(sure, np.log(99), rtol=1e-4)
  with pytest.raises(ValueError, match="beta=0"):
    analysis.idealized_log_ratio([0.0], [0.0], [1.0], beta=0)


def test_flip_categories_and_drift():
  value = analysis.flip_category(
    [2.0, 2.0, 1.0, 1.0, 1.0],
    [1.0, 1.0, 2.0, 2.0, 1.0],
    [2.0, 1.0, 2.0, 1.0, 1.0],
    [1.0, 2.0, 1.0, 2.0, 1.0],
  )
  np.testing.assert_array_equal(value, [0, 1, 2, 3, 0])
  drift = analysis.log_prob_drift([-3.0, -5.0, -1.0], [-2.0, -2.0, -2.0])
  assert drift["mean"] == pytest.approx(-1.0)
  assert drift["median"] == pytest.approx(-1.0)
  assert drift["share_down"] == pytest.approx(2 / 3)
  assert analysis.log_prob_drift([], [])["mean"] == 0


def test_alignment_gap_report():
  chosen, rejected, ref_chosen, ref_rejected = _logps(3)
  report = analysis.alignment_gap_report(
    chosen,
    rejected,
    ref_chosen,
    ref_rejected,
    chosen_lengths=np.full(400, 7),
    rejected_lengths=np.full(400, 7),
    quantiles=5,
  )
  assert report["ranking_accuracy"] == pytest.approx(
    np.mean(chosen >= rejected)
  )
  # Equal lengths: normalising changes nothing.
  assert report["normalized_ranking_accuracy"] == report["ranking_accuracy"]
  assert report["gap"] == pytest.approx(
    report["idealized_median"] - report["ranking_accuracy"]
  )
  assert set(report["idealized"]) == {0.01, 0.1, 1.0, 5.0, 10.0}
  assert len(report["flips"]) == 5
  names = ("kept_right", "fixed", "broken", "kept_wrong")
  for row in report["flips"]:
    assert sum(row[name] for name in names) == row["count"] == 80
  # Difficulty groups: the reference is right exactly where c <= 0.
  easy, hard = report["flips"][0], report["flips"][-1]
  assert easy["kept_wrong"] == easy["fixed"] == 0
  assert hard["kept_right"] == hard["broken"] == 0
  # At the reference itself.
  same = analysis.alignment_gap_report(
    ref_chosen, ref_rejected, ref_chosen, ref_rejected
  )
  assert same["ranking_accuracy"] == same["reference_accuracy"]
  assert same["reward_accuracy"] == 0.5
  assert same["normalized_ranking_accuracy"] is None
  with pytest.raises(ValueError, match="one pair"):
    analysis.alignment_gap_report([], [], [], [])


def test_works_under_jit():
  chosen, rejected, ref_chosen, ref_rejected = _logps(4, 16)
  jitted = jax.jit(analysis.flip_category)
  np.testing.assert_array_equal(
    jitted(chosen, rejected, ref_chosen, ref_rejected),
    analysis.flip_category(chosen, rejected, ref_chosen, ref_rejected),
  )
  assert jax.jit(analysis.ranking_accuracy)(chosen, rejected).dtype == (
    np.float32
  )
