# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities and errors of losses against blind responses."""

import jax
import loss_inputs
import numpy as np
import pytest

from prefjax import losses

CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def _sigmoid(x):
  return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def test_without_the_blind_term_it_is_dpo():
  pair, blind = loss_inputs.pair(), loss_inputs.pair(seed=1)[:2]
  np.testing.assert_array_equal(
    losses.bpo_blind(*pair, *blind, blind_weight=0.0), losses.dpo(*pair)
  )


def test_blind_equal_to_rejected_doubles_dpo():
  pair = loss_inputs.pair()
  np.testing.assert_allclose(
    losses.bpo_blind(*pair, pair[1], pair[3]), 2 * losses.dpo(*pair), **CLOSE
  )


def test_an_untrained_policy_is_at_twice_log_two():
  ref = loss_inputs.pair()[0]
  np.testing.assert_allclose(
    losses.bpo_blind(ref, ref, ref, ref, ref, ref), 2 * np.log(2), rtol=1e-6
  )


def test_blind_equal_to_chosen_adds_log_two_and_no_gradient():
  pair = loss_inputs.pair()
  total = losses.bpo_blind(*pair, pair[0], pair[2])
  np.testing.assert_allclose(total, losses.dpo(*pair) + np.log(2), rtol=1e-6)

  def loss(shared):
    # One response in two roles: what pulls it up pushes it down.
    return losses.bpo_blind(shared, *pair[1:], shared, pair[2]).sum()

  expected = jax.grad(lambda x: losses.dpo(x, *pair[1:]).sum())(pair[0])
  np.testing.assert_allclose(jax.grad(loss)(pair[0]), expected, **CLOSE)


def test_gradients():
  pair, (blind, ref_blind) = loss_inputs.pair(), loss_inputs.pair(seed=1)[:2]
  chosen, rejected, ref_chosen, ref_rejected = pair
  first = 0.3 * ((chosen - ref_chosen) - (rejected - ref_rejected))
  second = 0.3 * ((chosen - ref_chosen) - (blind - ref_blind))
  into_chosen, into_blind = jax.grad(
    lambda x, b: losses.bpo_blind(
      x, *pair[1:], b, ref_blind, beta=0.3, blind_weight=0.5
    ).sum(),
    argnums=(0, 1),
  )(chosen, blind)
  np.testing.assert_allclose(
    into_chosen, -0.3 * (_sigmoid(-first) + 0.5 * _sigmoid(-second)), rtol=1e-5
  )
  np.testing.assert_allclose(
    into_blind, 0.3 * 0.5 * _sigmoid(-second), rtol=1e-5
  )


def test_rows_without_a_blind_response_may_hold_anything():
  pair, blind = loss_inputs.pair(), np.array(loss_inputs.pair(seed=1)[0])
  weight = np.array([1, 0, 1, 0, 0, 2], np.float32)
  holes = np.where(weight > 0, blind, np.nan).astype(np.float32)

  def loss(chosen, blind):
    return losses.bpo_blind(
      chosen, *pair[1:], blind, pair[2], blind_weight=weight
    )

  np.testing.assert_array_equal(loss(pair[0], holes), loss(pair[0], blind))
  gradient = jax.grad(lambda x: loss(x, holes).sum())(pair[0])
  assert np.isfinite(gradient).all()


def test_errors():
  pair = loss_inputs.pair()
  with pytest.raises(ValueError, match="bpo_blind: blind_weight=-1"):
    losses.bpo_blind(*pair, *pair[:2], blind_weight=-1)
  with pytest.raises(
    ValueError, match=r"bpo_blind: blind_weight has shape \(2,\)"
  ):
    losses.bpo_blind(*pair, *pair[:2], blind_weight=np.ones(2))
