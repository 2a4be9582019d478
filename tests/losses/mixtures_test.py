# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities and errors of mixtures of losses."""

import jax
import loss_inputs
import numpy as np
import pytest

from prefjax import losses

CLOSE = {"rtol": 1e-6, "atol": 1e-6}
LENGTHS = np.arange(6)


def test_mpo_corners():
  pair, lengths = loss_inputs.pair(), np.arange(6)

  def mpo(preference, quality, generation):
    return losses.mpo(
      *pair,
      lengths,
      delta=0.2,
      preference_weight=preference,
      quality_weight=quality,
      generation_weight=generation,
    )

  np.testing.assert_array_equal(mpo(1, 0, 0), losses.dpo(*pair))
  np.testing.assert_array_equal(
    mpo(0, 1, 0), losses.bco_pair(*pair, beta=0.1, delta=0.2)
  )
  np.testing.assert_array_equal(mpo(0, 0, 1), losses.nll(pair[0], lengths))


def test_weighted_sum():
  terms = {"a": np.ones(3, np.float32), "b": np.arange(3.0)}
  np.testing.assert_allclose(
    losses.weighted_sum(terms, {"b": 2.0, "a": 0.5}), [0.5, 2.5, 4.5]
  )
  with pytest.raises(KeyError, match="'c'"):
    losses.weighted_sum(terms, {"a": 1.0, "b": 1.0, "c": 1.0})
  with pytest.raises(KeyError, match="'b'"):
    losses.weighted_sum(terms, {"a": 1.0})
  with pytest.raises(ValueError, match="terms is empty"):
    losses.weighted_sum({}, {})
  with pytest.raises(ValueError, match=r"weighted_sum: b has shape \(2,\)"):
    losses.weighted_sum({"a": np.ones(3), "b": np.ones(2)}, {"a": 1, "b": 1})


def test_rpo_corners():
  pair = loss_inputs.pair()
  np.testing.assert_array_equal(
    losses.rpo(*pair, LENGTHS, alpha=0, label_smoothing=0.2),
    losses.dpo(*pair, label_smoothing=0.2),
  )
  np.testing.assert_allclose(
    losses.rpo(*pair, LENGTHS, dpo_weight=0, alpha=0.7),
    0.7 * losses.nll(pair[0], LENGTHS),
    **CLOSE,
  )


def test_rpo_likelihood_is_per_token():
  # A trace said twice: twice the log-prob, twice the tokens.
  chosen, *rest = loss_inputs.pair()
  once = losses.rpo(chosen, *rest, LENGTHS + 1, dpo_weight=0)
  twice = losses.rpo(2 * chosen, *rest, 2 * (LENGTHS + 1), dpo_weight=0)
  np.testing.assert_allclose(once, twice, **CLOSE)
  # An empty trace divides by one.
  empty = losses.rpo(chosen, *rest, 0 * LENGTHS, dpo_weight=0)
  np.testing.assert_allclose(empty, -chosen, **CLOSE)


def test_rpo_always_pushes_the_chosen_response_up():
  pair = loss_inputs.pair_of(np.linspace(-300, 300, 6), 0.0)
  gradient = jax.grad(
    lambda x: losses.rpo(x, *pair[1:], LENGTHS, beta=0.2, alpha=0.3).sum()
  )(pair[0])
  margin = 0.2 * np.linspace(-300, 300, 6)
  expected = 0.2 / (1 + np.exp(margin)) + 0.3 / np.maximum(LENGTHS, 1)
  np.testing.assert_allclose(gradient, -expected, rtol=1e-5)


def test_errors():
  pair = loss_inputs.pair()
  with pytest.raises(ValueError, match="mpo: quality_weight=-1"):
    losses.mpo(*pair, LENGTHS, quality_weight=-1)
  with pytest.raises(
    ValueError, match=r"mpo: chosen_lengths has shape \(2,\), expected \(6,\)"
  ):
    losses.mpo(*pair, LENGTHS[:2])
  with pytest.raises(ValueError, match="rpo: alpha=-1"):
    losses.rpo(*pair, LENGTHS, alpha=-1)
  with pytest.raises(
    ValueError, match=r"rpo: chosen_lengths has shape \(2,\), expected \(6,\)"
  ):
    losses.rpo(*pair, LENGTHS[:2])


def test_terms_may_have_any_name():
  terms = {name: np.ones(2, np.float32) for name in ("function", "like")}
  np.testing.assert_array_equal(
    losses.weighted_sum(terms, {"function": 1.0, "like": 2.0}), [3, 3]
  )
