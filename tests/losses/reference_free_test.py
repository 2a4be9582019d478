# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities and errors of the losses without a reference."""

import jax
import loss_inputs
import numpy as np
import pytest

from prefjax import losses

CLOSE = {"rtol": 1e-6, "atol": 1e-6}
LENGTHS = np.array([3, 1, 0, 12, 7, 5])


def _reference_free(pair):
  return pair[0], pair[1], 0 * pair[0], 0 * pair[1]


def test_simpo_without_margin_is_reference_free_dpo():
  pair = loss_inputs.pair()
  eight = np.full(6, 8)
  np.testing.assert_allclose(
    losses.simpo(pair[0], pair[1], eight, eight, beta=4.0, gamma=0.0),
    losses.dpo(*_reference_free(pair), beta=0.5),
    **CLOSE,
  )


def test_simpo_gamma_is_in_reward_units():
  # A reward gap of exactly gamma gives log 2, whatever beta.
  for beta in (0.5, 2.5):
    chosen = np.array([-1.0 + 1.375 / beta], np.float32)
    loss = losses.simpo(
      chosen, np.array([-1.0], np.float32), [1], [1], beta=beta
    )
    np.testing.assert_allclose(loss, np.log(2), **CLOSE)


def test_nll_is_per_token_and_survives_no_tokens():
  logps = np.array([-6.0, -3.5, 0.0], np.float32)
  np.testing.assert_allclose(
    losses.nll(logps, np.array([3, 1, 0])), [2.0, 3.5, 0.0]
  )


def test_cpo_without_likelihood_is_reference_free_dpo():
  pair = loss_inputs.pair()
  np.testing.assert_allclose(
    losses.cpo(pair[0], pair[1], LENGTHS, alpha=0.0),
    losses.dpo(*_reference_free(pair)),
    **CLOSE,
  )


def test_cpo_is_preference_plus_likelihood():
  pair = loss_inputs.pair()
  np.testing.assert_allclose(
    losses.cpo(pair[0], pair[1], LENGTHS, alpha=0.7),
    losses.dpo(*_reference_free(pair)) + 0.7 * losses.nll(pair[0], LENGTHS),
    rtol=1e-5,
  )


def test_orpo_without_odds_is_likelihood():
  chosen, rejected, _, _ = loss_inputs.pair()
  np.testing.assert_array_equal(
    losses.orpo(chosen, rejected, LENGTHS, LENGTHS, beta=0.0),
    losses.nll(chosen, LENGTHS),
  )


def test_orpo_of_equal_responses_adds_beta_log_2():
  chosen, _, _, _ = loss_inputs.pair()
  np.testing.assert_allclose(
    losses.orpo(chosen, chosen, LENGTHS, LENGTHS, beta=0.3)
    - losses.nll(chosen, LENGTHS),
    0.3 * np.log(2),
    rtol=1e-5,
    atol=1e-5,
  )


@pytest.mark.parametrize("logp", [0.0, -1e-9, -1e-7, -1e-3, -50.0, -1e4])
def test_orpo_is_finite_for_certain_and_hopeless_responses(logp):
  chosen = np.array([logp], np.float32)
  rejected = np.array([-3.0], np.float32)
  for left, right in ((chosen, rejected), (rejected, chosen)):
    loss, gradient = jax.value_and_grad(
      lambda x, right=right: losses.orpo(x, right, [4], [4]).sum()
    )(left)
    assert np.isfinite(loss) and np.isfinite(gradient).all()


def test_slic_is_hinge_without_reference():
  pair = loss_inputs.pair()
  np.testing.assert_allclose(
    losses.slic(pair[0], pair[1], beta=0.1),
    losses.hinge(*_reference_free(pair), beta=0.1),
    **CLOSE,
  )


@pytest.mark.parametrize("name", ["slic", "simpo", "cpo", "orpo"])
def test_errors(name):
  chosen, rejected, _, _ = loss_inputs.pair()
  lengths = [LENGTHS] * sum(
    a.endswith("lengths") for a in loss_inputs.array_names(name)
  )
  with pytest.raises(
    ValueError,
    match=rf"{name}: rejected_logps has shape \(2,\), expected \(6,\) like"
    " chosen_logps",
  ):
    losses.get(name)(chosen, rejected[:2], *lengths)
  with pytest.raises(ValueError, match=f"{name}: beta=-1"):
    losses.get(name)(chosen, rejected, *lengths, beta=-1)


def test_nll_error_names_both_shapes():
  with pytest.raises(
    ValueError, match=r"nll: lengths has shape \(2,\), expected \(6,\)"
  ):
    losses.nll(loss_inputs.pair()[0], np.ones(2))
