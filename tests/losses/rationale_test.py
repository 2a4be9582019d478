# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities and errors of losses with written reasons."""

import jax
import loss_inputs
import numpy as np
import pytest

from prefjax import losses

CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def _rationale():
  return 20 * loss_inputs.pair(seed=1)[0]


def test_weight_zero():
  pair = loss_inputs.pair()
  dpo = losses.dpo(*pair)
  np.testing.assert_array_equal(
    losses.rationale_dpo(*pair, _rationale(), gamma=0.0), dpo
  )
  np.testing.assert_allclose(
    losses.rationale_dpo(
      *pair, _rationale(), gamma=0.0, rationale_form="logsigmoid"
    ),
    dpo + np.log(2),
    **CLOSE,
  )
  lengths, rationale_lengths = np.arange(6), np.full(6, 40)
  np.testing.assert_array_equal(
    losses.rationale_orpo(
      *pair[:2], lengths, lengths, _rationale(), rationale_lengths, gamma=0.0
    ),
    losses.orpo(*pair[:2], lengths, lengths),
  )


def test_slopes_into_the_rationale():
  pair = loss_inputs.pair()
  # From a certain rationale to one that is out of reach.
  logps = np.array([0.0, -1.0, -30.0, -300.0, -3e3, -3e4], np.float32)

  def slope(form):
    return jax.grad(
      lambda x: losses.rationale_dpo(
        *pair, x, gamma=0.01, rationale_form=form
      ).sum()
    )(logps)

  np.testing.assert_allclose(slope("nll"), -0.01, rtol=1e-6)
  soft = slope("logsigmoid")
  np.testing.assert_allclose(soft[0], -0.005, rtol=1e-6)
  np.testing.assert_allclose(soft[-1], -0.01, rtol=1e-6)
  assert (np.diff(soft) <= 0).all()


def test_any_loss_takes_a_rationale():
  pair, lengths = loss_inputs.pair(), np.arange(6)
  simpo = losses.simpo(*pair[:2], lengths, lengths)
  np.testing.assert_allclose(
    losses.add_rationale(simpo, _rationale(), gamma=0.1),
    simpo - 0.1 * _rationale(),
    **CLOSE,
  )
  np.testing.assert_array_equal(
    losses.add_rationale(losses.dpo(*pair), _rationale()),
    losses.rationale_dpo(*pair, _rationale()),
  )


def test_orpo_rationale_is_per_token():
  pair, lengths = loss_inputs.pair()[:2], np.full(6, 9)

  def loss(logps, count):
    return losses.rationale_orpo(*pair, lengths, lengths, logps, count)

  logps, count = _rationale(), np.full(6, 40)
  np.testing.assert_allclose(
    loss(logps, count), loss(2 * logps, 2 * count), **CLOSE
  )
  np.testing.assert_allclose(
    loss(logps, 0 * count), loss(logps, 0 * count + 1), **CLOSE
  )


def test_errors():
  pair = loss_inputs.pair()
  with pytest.raises(ValueError, match="rationale_form='x' is not one of"):
    losses.rationale_dpo(*pair, pair[0], rationale_form="x")
  with pytest.raises(ValueError, match="rationale_dpo: gamma=-1"):
    losses.rationale_dpo(*pair, pair[0], gamma=-1)
  with pytest.raises(
    ValueError, match=r"rationale_dpo: rationale_logps has shape \(2,\)"
  ):
    losses.rationale_dpo(*pair, pair[0][:2])
