# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities and errors of example weights."""

import jax
import loss_inputs
import numpy as np
import pytest

from prefjax import losses

CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def test_collision_probability_ends():
  uniform = np.zeros((2, 7), np.float32)
  certain = np.array([[50.0, 0, 0], [1e4, 0, -1e4]], np.float32)
  np.testing.assert_allclose(
    losses.log_collision_probability(uniform), -np.log(7), rtol=1e-6
  )
  np.testing.assert_allclose(
    losses.log_collision_probability(certain), 0, atol=1e-6
  )
  with pytest.raises(ValueError, match="log_collision_probability: logits"):
    losses.log_collision_probability(np.float32(1))


def test_weights_are_one_on_average_under_the_policy():
  # E_p[log p] <= log E_p[p], so a typical draw weighs at most 1; a uniform
  # policy weighs exactly 1.
  logits = np.zeros((3, 4, 5), np.float32)
  mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]])
  token_logps = np.full((3, 4), -np.log(5), np.float32)
  token_logps[1, 2:] = np.nan
  weights = losses.wpo_weights(
    token_logps, losses.log_collision_probability(logits), mask
  )
  np.testing.assert_allclose(weights, 1.0, **CLOSE)


def test_weights_carry_no_gradient():
  rng = np.random.default_rng(0)
  logps, collision = -np.abs(rng.normal(size=(2, 3, 4))).astype(np.float32)
  mask = np.ones((3, 4))
  gradient = jax.grad(lambda x: losses.wpo_weights(x, collision, mask).sum())(
    logps
  )
  np.testing.assert_array_equal(gradient, 0)
  pair, ones = loss_inputs.pair(), np.ones(6, np.float32)
  gradient = jax.grad(lambda w: losses.wpo(*pair, w, ones).sum())(ones)
  np.testing.assert_array_equal(gradient, 0)


def test_wpo_with_unit_weights_is_dpo():
  pair, ones = loss_inputs.pair(), np.ones(6, np.float32)
  np.testing.assert_array_equal(
    losses.wpo(*pair, ones, ones, beta=0.1), losses.dpo(*pair)
  )


def test_wpo_cap():
  pair, two = loss_inputs.pair(), np.full(6, 2.0, np.float32)
  dpo = losses.dpo(*pair, beta=0.01)
  np.testing.assert_allclose(losses.wpo(*pair, two, two), dpo, **CLOSE)
  np.testing.assert_allclose(
    losses.wpo(*pair, two, two, max_weight=None), 4 * dpo, **CLOSE
  )
  np.testing.assert_allclose(
    losses.wpo(*pair, two, two, max_weight=3.0), 3 * dpo, **CLOSE
  )


def test_errors():
  pair, ones = loss_inputs.pair(), np.ones(6, np.float32)
  with pytest.raises(
    ValueError, match=r"wpo: rejected_weights has shape \(2,\), expected \(6,\)"
  ):
    losses.wpo(*pair, ones, ones[:2])
  with pytest.raises(ValueError, match="wpo: max_weight=0"):
    losses.wpo(*pair, ones, ones, max_weight=0)


@pytest.mark.parametrize(
  "logits",
  [
    [35.765625, -24.40625, 44.671875, 16.0625, -16.46875, 6.125, -46.03125],
    [12.75, 7.5, 7.484375, -10.203125, -1.703125, -3.046875, 2.65625],
    [199.28125, 199.53125, 199.484375, 201.171875, 200.984375, 201.28125],
    [-1000.0, -1000.5, -999.25, -1003.0],
    [0.0, -np.inf, 1.0],
    [3.0, 3.0, 3.0],
  ],
)
def test_collision_probability_keeps_its_digits(logits):
  p = np.exp(np.asarray(logits, np.float64) - np.max(logits))
  p /= p.sum()
  found, grad = jax.value_and_grad(losses.log_collision_probability)(
    np.asarray(logits, np.float32)
  )
  np.testing.assert_allclose(found, np.log(np.sum(p**2)), rtol=2e-6)
  expected = 2 * p**2 / np.sum(p**2) - 2 * p
  np.testing.assert_allclose(grad, expected, rtol=1e-5, atol=1e-6)
