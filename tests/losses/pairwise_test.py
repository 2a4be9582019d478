# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities and errors of the pairwise losses."""

import math

import jax
import loss_inputs
import numpy as np
import pytest

from prefjax import losses

CLOSE = {"rtol": 1e-6, "atol": 1e-6}


@pytest.mark.parametrize("beta", [0.01, 0.1, 5.0])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_dpo_is_log_2_at_the_reference(beta, label_smoothing):
  chosen, rejected, _, _ = loss_inputs.pair()
  loss = losses.dpo(
    chosen,
    rejected,
    chosen,
    rejected,
    beta=beta,
    label_smoothing=label_smoothing,
  )
  np.testing.assert_allclose(loss, math.log(2), **CLOSE)


def test_conservative_without_smoothing_is_dpo():
  pair = loss_inputs.pair()
  np.testing.assert_array_equal(
    losses.conservative_dpo(*pair, label_smoothing=0.0), losses.dpo(*pair)
  )


def test_conservative_at_one_half_is_even_in_the_margin():
  chosen, rejected, ref_chosen, ref_rejected = loss_inputs.pair()
  np.testing.assert_allclose(
    losses.conservative_dpo(
      chosen, rejected, ref_chosen, ref_rejected, label_smoothing=0.5
    ),
    losses.conservative_dpo(
      rejected, chosen, ref_rejected, ref_chosen, label_smoothing=0.5
    ),
    **CLOSE,
  )


def test_conservative_optimum_is_the_log_odds_of_the_smoothing():
  smoothing, beta = 0.2, 0.1
  best = math.log((1 - smoothing) / smoothing) / beta

  def loss(margin):
    zero = 0.0 * margin
    return losses.conservative_dpo(
      margin, zero, zero, zero, beta=beta, label_smoothing=smoothing
    )

  assert abs(float(jax.grad(loss)(best))) < 1e-7
  assert float(jax.grad(loss)(best - 1)) < 0 < float(jax.grad(loss)(best + 1))


def test_swapping_the_pair_mirrors_the_margin():
  chosen, rejected, ref_chosen, ref_rejected = loss_inputs.pair()
  forward = losses.dpo(chosen, rejected, ref_chosen, ref_rejected)
  backward = losses.dpo(rejected, chosen, ref_rejected, ref_chosen)
  margin = 0.1 * ((chosen - ref_chosen) - (rejected - ref_rejected))
  # log s(-m) - log s(m) = -m
  np.testing.assert_allclose(backward - forward, margin, rtol=1e-5, atol=1e-6)


def test_dpo_norm_with_equal_lengths_is_dpo_at_beta_over_length():
  pair = loss_inputs.pair()
  lengths = np.full(6, 8)
  np.testing.assert_allclose(
    losses.dpo_norm(*pair, lengths, lengths, beta=4.0),
    losses.dpo(*pair, beta=0.5),
    **CLOSE,
  )


@pytest.mark.parametrize("average", [True, False])
def test_ipo_is_zero_at_its_target_only(average):
  beta = 0.25
  pair = loss_inputs.pair_of([2.0, 2.5, 1.5], 0.0)
  ones = np.ones(3, np.int32)
  loss = losses.ipo(*pair, ones, ones, beta=beta, average=average)
  assert float(loss[0]) == 0
  np.testing.assert_allclose(loss[1:], 0.25, **CLOSE)


def test_ipo_averages_each_side_over_its_own_length():
  pair = loss_inputs.pair_of(12.0, 6.0)
  loss = losses.ipo(*pair, np.array([4]), np.array([3]), beta=0.5)
  np.testing.assert_allclose(loss, (12 / 4 - 6 / 3 - 1.0) ** 2, **CLOSE)


def test_empty_responses_count_as_one_token():
  pair = loss_inputs.pair_of(1.0, 0.0)
  zero, one = np.zeros(1, np.int32), np.ones(1, np.int32)
  for loss in (losses.ipo, losses.dpo_norm):
    np.testing.assert_array_equal(
      loss(*pair, zero, zero), loss(*pair, one, one)
    )


def test_hinge_is_zero_once_the_margin_is_reached():
  pair = loss_inputs.pair_of([10.0, 11.0, 0.0, -5.0], 0.0)
  np.testing.assert_allclose(
    losses.hinge(*pair, beta=0.1), [0, 0, 1, 1.5], **CLOSE
  )
  gradient = jax.grad(lambda x: losses.hinge(x, *pair[1:], beta=0.1).sum())
  np.testing.assert_allclose(gradient(pair[0])[1:], [0, -0.1, -0.1], **CLOSE)


def test_implicit_rewards_count_a_tie_as_wrong():
  pair = loss_inputs.pair_of([1.0, 2.0, 1.0], [1.0, 1.0, 2.0])
  rewards = losses.implicit_rewards(*pair, beta=0.5)
  np.testing.assert_allclose(rewards["chosen"], [0.5, 1.0, 0.5])
  np.testing.assert_allclose(rewards["rejected"], [0.5, 0.5, 1.0])
  np.testing.assert_allclose(rewards["margin"], [0.0, 0.5, -0.5])
  np.testing.assert_array_equal(rewards["correct"], [0, 1, 0])


@pytest.mark.parametrize(
  "name", ["dpo", "conservative_dpo", "hinge", "implicit_rewards"]
)
def test_shape_errors_name_argument_and_both_shapes(name):
  chosen, rejected, ref_chosen, ref_rejected = loss_inputs.pair(size=4)
  with pytest.raises(ValueError) as caught:
    getattr(losses, name)(chosen, rejected[:3], ref_chosen, ref_rejected)
  assert str(caught.value) == (
    f"{name}: rejected_logps has shape (3,), expected (4,) like chosen_logps"
  )


@pytest.mark.parametrize("name", ["ipo", "dpo_norm"])
def test_length_errors_name_argument_and_both_shapes(name):
  pair = loss_inputs.pair(size=4)
  with pytest.raises(ValueError) as caught:
    getattr(losses, name)(*pair, np.ones(4), np.ones(2))
  assert str(caught.value) == (
    f"{name}: rejected_lengths has shape (2,), expected (4,) like the log-probs"
  )


@pytest.mark.parametrize(
  ("name", "keywords", "message"),
  [
    ("dpo", {"beta": 0}, r"dpo: beta=0 is outside \(0, inf\]"),
    ("dpo", {"label_smoothing": 0.6}, r"outside \[0, 0.5\]"),
    ("conservative_dpo", {"label_smoothing": -0.1}, "label_smoothing=-0.1"),
    ("hinge", {"beta": -1.0}, "hinge: beta=-1.0"),
    ("implicit_rewards", {"beta": float("nan")}, "beta=nan"),
  ],
)
def test_range_errors_name_the_keyword(name, keywords, message):
  with pytest.raises(ValueError, match=message):
    getattr(losses, name)(*loss_inputs.pair(), **keywords)
