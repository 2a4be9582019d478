# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities and errors of the margin variants."""

import math

import jax
import loss_inputs
import numpy as np
import pytest

from prefjax import losses

CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def test_exo_is_a_divergence_with_its_zero_at_the_smoothed_label():
  smoothing = 1e-2
  best = math.log((1 - smoothing) / smoothing)
  pair = loss_inputs.pair_of([best, best - 2, best + 2, 0.0], 0.0)
  loss = losses.exo_pair(*pair, beta=1.0, label_smoothing=smoothing)
  assert abs(float(loss[0])) < 1e-6
  assert (loss[1:] > 1e-3).all()


@pytest.mark.parametrize("smoothing", [0, 0.5, 1.0])
def test_exo_refuses_smoothing_at_the_ends(smoothing):
  with pytest.raises(ValueError, match=r"outside \(0, 0.5\)"):
    losses.exo_pair(*loss_inputs.pair(), label_smoothing=smoothing)


def test_discopop_at_zero_and_far_out():
  pair = loss_inputs.pair_of([0.0, -2e4, 2e4], 0.0)
  loss = losses.discopop(*pair)
  np.testing.assert_allclose(
    loss, [(math.log(2) + 1) / 2, 1000.0, 0.0], **CLOSE
  )


def test_discopop_rises_across_zero():
  # From log 2 to 1: the published shape, and why not to start there.
  pair = loss_inputs.pair_of([-0.15, 0.15], 0.0)
  below, above = losses.discopop(*pair, beta=1.0)
  assert below < above


def test_odpo_without_offset_is_dpo():
  pair = loss_inputs.pair()
  high, low = np.full(6, 3.0, np.float32), np.zeros(6, np.float32)
  dpo = losses.dpo(*pair)
  for offset in ("log", "linear"):
    np.testing.assert_allclose(
      losses.odpo(*pair, high, low, alpha=0.0, offset=offset), dpo, **CLOSE
    )
  # log 1 = 0: a gap of 1 asks for no margin.
  np.testing.assert_allclose(losses.odpo(*pair, high, high - 1), dpo, **CLOSE)


def test_odpo_asks_more_of_a_larger_gap():
  pair = loss_inputs.pair_of(np.zeros(3), 0.0)
  gap = np.array([0.5, 1.0, 4.0], np.float32)
  for offset in ("log", "linear"):
    loss = losses.odpo(*pair, gap, np.zeros(3, np.float32), offset=offset)
    assert (np.diff(loss) > 0).all()


def test_odpo_floors_a_gap_that_is_not_positive():
  pair = loss_inputs.pair_of(np.zeros(3), 0.0)
  gap = np.array([1e-6, 0.0, -2.0], np.float32)
  loss = losses.odpo(*pair, gap, np.zeros(3, np.float32))
  np.testing.assert_array_equal(loss, loss[0])
  with pytest.raises(ValueError, match="offset='square' is not one of log"):
    losses.odpo(*pair, gap, gap, offset="square")


def test_length_penalty_off_or_level_is_dpo():
  pair = loss_inputs.pair()
  short, long = np.arange(1, 7), np.arange(7, 13)
  dpo = losses.dpo(*pair)
  np.testing.assert_array_equal(
    losses.length_penalized_dpo(*pair, short, long, alpha=0.0), dpo
  )
  np.testing.assert_array_equal(
    losses.length_penalized_dpo(*pair, short, short), dpo
  )


def test_length_penalty_lets_a_longer_chosen_response_off():
  pair = loss_inputs.pair_of(np.zeros(2), 0.0)
  longer, level = losses.length_penalized_dpo(
    *pair, np.array([20, 10]), np.array([10, 10])
  )
  assert longer < level


def test_dpo_gamma_one_is_dpo_and_zero_has_no_reference():
  pair = loss_inputs.pair()
  np.testing.assert_allclose(
    losses.dpo_gamma(*pair), losses.dpo(*pair), rtol=1e-5
  )
  chosen, rejected, ref_chosen, ref_rejected = pair
  np.testing.assert_array_equal(
    losses.dpo_gamma(*pair, gamma=0.0),
    losses.dpo_gamma(chosen, rejected, ref_rejected, ref_chosen, gamma=0.0),
  )


@pytest.mark.parametrize(
  "name", ["exo_pair", "discopop", "length_penalized_dpo", "odpo"]
)
def test_a_larger_margin_is_better_away_from_the_centre(name):
  # Descent must raise the margin wherever the pair is clearly wrong.
  arrays = loss_inputs.example(name)
  chosen, rejected, _, _ = loss_inputs.pair_of([-40.0] * 6, 40.0)
  arrays.update(chosen_logps=chosen, rejected_logps=rejected)
  arrays.update(ref_chosen_logps=0 * chosen, ref_rejected_logps=0 * chosen)
  gradient = loss_inputs.gradients(name, arrays, beta=0.1)
  assert (np.asarray(gradient["chosen_logps"]) < 0).all()
  np.testing.assert_allclose(
    gradient["rejected_logps"], -gradient["chosen_logps"], **CLOSE
  )


def test_gradients_match_finite_differences():
  for name in ("exo_pair", "discopop", "odpo", "length_penalized_dpo"):
    arrays = loss_inputs.example(name)
    with jax.enable_x64(True):
      double = {
        k: v.astype(np.float64) if loss_inputs.is_float(v) else v
        for k, v in arrays.items()
      }
      gradient = loss_inputs.gradients(name, double)["chosen_logps"]
      step = 1e-5
      up = {**double, "chosen_logps": double["chosen_logps"] + step}
      down = {**double, "chosen_logps": double["chosen_logps"] - step}
      numeric = (loss_inputs.call(name, up) - loss_inputs.call(name, down)) / (
        2 * step
      )
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-9)
