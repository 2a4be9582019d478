# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities of the losses that anchor each response."""

import math

import jax
import loss_inputs
import numpy as np
import pytest

from prefjax import losses

CLOSE = {"rtol": 1e-6, "atol": 1e-6}
NAMES = (
  "nca_pair",
  "bco_pair",
  "sppo_hard",
  "apo_zero",
  "apo_down",
  "cal_dpo",
  "dpop",
)


def _chosen_gradient(name, pair, **keywords):
  loss = losses.get(name)
  return jax.grad(lambda x: loss(x, *pair[1:], **keywords).sum())(pair[0])


def test_nca_chosen_has_a_finite_goal():
  beta = 0.5
  goal = math.log(2) / beta
  pair = loss_inputs.pair_of([goal, goal - 1, goal + 1], 0.0)
  gradient = _chosen_gradient("nca_pair", pair, beta=beta)
  assert abs(float(gradient[0])) < 1e-6
  assert gradient[1] < 0 < gradient[2]


def test_bco_without_shift():
  pair = loss_inputs.pair()
  c, r = pair[0] - pair[2], pair[1] - pair[3]
  expected = -jax.nn.log_sigmoid(0.01 * c) - jax.nn.log_sigmoid(-0.01 * r)
  np.testing.assert_allclose(losses.bco_pair(*pair), expected, **CLOSE)


def test_bco_shift_has_no_gradient():
  pair = loss_inputs.pair()
  gradient = jax.grad(lambda d: losses.bco_pair(*pair, delta=d).sum())(0.3)
  assert float(gradient) == 0


def test_sppo_targets():
  pair = loss_inputs.pair_of([5.0, 0.0], [-5.0, 0.0])
  np.testing.assert_allclose(
    losses.sppo_hard(*pair, beta=0.1), [0.0, 50.0], **CLOSE
  )


def test_apo_zero_mirrors_to_two():
  c = np.array([3.0, -40.0, 700.0], np.float32)
  r = np.array([-1.0, 10.0, -900.0], np.float32)
  total = losses.apo_zero(*loss_inputs.pair_of(c, r)) + losses.apo_zero(
    *loss_inputs.pair_of(-c, -r)
  )
  np.testing.assert_allclose(total, 2.0, **CLOSE)


def test_apo_down_at_the_reference_moves_only_the_rejected_response():
  pair = loss_inputs.pair_of(0.0, 0.0)
  np.testing.assert_allclose(losses.apo_down(*pair), 1.0, **CLOSE)
  assert float(_chosen_gradient("apo_down", pair)[0]) == 0
  # Above the reference it pushes the chosen response down.
  above = loss_inputs.pair_of(5.0, -30.0)
  assert float(_chosen_gradient("apo_down", above)[0]) > 0


def test_cal_dpo_without_calibration_is_dpo_at_beta_one():
  pair = loss_inputs.pair()
  np.testing.assert_allclose(
    losses.cal_dpo(*pair, calibration_weight=0.0),
    losses.dpo(*pair, beta=1.0),
    **CLOSE,
  )


def test_cal_dpo_calibration_part_is_zero_at_its_targets():
  pair = loss_inputs.pair_of(5.0, -5.0)
  np.testing.assert_allclose(
    losses.cal_dpo(*pair, beta=0.1), math.log1p(math.exp(-10)), **CLOSE
  )


def test_dpop_acts_only_below_the_reference():
  pair = loss_inputs.pair()
  np.testing.assert_array_equal(
    losses.dpop(*pair, lam=0.0), losses.dpo(*pair, beta=0.3)
  )
  above = loss_inputs.pair_of([0.0, 2.0], [1.0, -1.0])
  np.testing.assert_array_equal(
    losses.dpop(*above), losses.dpo(*above, beta=0.3)
  )
  below = loss_inputs.pair_of(-1.0, -60.0)
  assert float(losses.dpop(*below)[0]) > float(losses.dpo(*below)[0])


@pytest.mark.parametrize("name", NAMES)
def test_errors(name):
  chosen, rejected, ref_chosen, ref_rejected = loss_inputs.pair(size=4)
  with pytest.raises(
    ValueError,
    match=rf"{name}: ref_rejected_logps has shape \(2,\), expected \(4,\)",
  ):
    losses.get(name)(chosen, rejected, ref_chosen, ref_rejected[:2])
  with pytest.raises(ValueError, match=f"{name}: beta=0"):
    losses.get(name)(chosen, rejected, ref_chosen, ref_rejected, beta=0)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"apo_down"}))
def test_likelihood_preserving_losses_raise_a_fallen_chosen_response(name):
  # Both responses fell together: DPO is content, these are not.
  pair = loss_inputs.pair_of([-80.0], [-80.0])
  assert float(_chosen_gradient(name, pair)[0]) < 0
