# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities and errors of Nash-MD and XPO."""

import jax
import loss_inputs
import numpy as np
import pytest

from prefjax import generation, losses

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def test_nash_md_rests_at_even_odds_on_the_reference():
  logps = -np.abs(np.random.default_rng(0).normal(size=(3, 4)))
  logps = logps.astype(np.float32)
  mask = np.ones((3, 4))

  def gradient(win_prob, ref):
    return jax.grad(
      lambda x: losses.nash_md(
        x, ref, np.full(3, win_prob, np.float32), mask, beta=0.2
      ).sum()
    )(logps)

  np.testing.assert_array_equal(gradient(0.5, logps), 0)
  np.testing.assert_allclose(gradient(0.9, logps), -0.4, rtol=1e-6)
  # The divergence pulls back by its log-ratio.
  np.testing.assert_allclose(gradient(0.5, logps - 1), 0.2, rtol=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_xpo_is_dpo_on_the_ordered_pair_and_a_bonus(alpha):
  own, other, ref_own, ref_other = loss_inputs.pair()
  won = np.array([1, 0, 1, 0, 0, 1])
  loss = losses.xpo(own, ref_own, other, ref_other, won, alpha=alpha)
  ordered = np.where(
    won,
    losses.dpo(own, other, ref_own, ref_other),
    losses.dpo(other, own, ref_other, ref_own),
  )
  np.testing.assert_allclose(loss, ordered + alpha * other, **CLOSE)


def test_the_mixture_ends_at_both_models():
  rng = np.random.default_rng(1)
  logits, ref_logits = rng.normal(size=(2, 3, 5)).astype(np.float32)
  forbidden = logits.copy()
  forbidden[:, 0] = -np.inf
  for coef, expected in ((0.0, logits), (1.0, ref_logits)):
    np.testing.assert_allclose(
      generation.mixture_logits(logits, ref_logits, coef=coef),
      jax.nn.log_softmax(expected),
      **CLOSE,
    )
  half = generation.mixture_logits(forbidden, ref_logits)
  assert np.isneginf(half[:, 0]).all() and np.isfinite(half[:, 1:]).all()
  whole = generation.mixture_logits(forbidden, ref_logits, coef=1.0)
  assert np.isfinite(whole).all()
  product = np.exp(0.3 * logits + 0.7 * ref_logits)
  np.testing.assert_allclose(
    np.exp(generation.mixture_logits(logits, ref_logits + 4, coef=0.7)),
    product / product.sum(-1, keepdims=True),
    rtol=1e-5,
  )


def test_errors():
  own, other, ref_own, ref_other = loss_inputs.pair()
  with pytest.raises(ValueError, match=r"xpo: policy_wins has shape \(2,\)"):
    losses.xpo(own, ref_own, other, ref_other, np.ones(2))
  with pytest.raises(ValueError, match="xpo: alpha=-1"):
    losses.xpo(own, ref_own, other, ref_other, np.ones(6), alpha=-1)
  with pytest.raises(ValueError, match="mixture_logits: coef=2"):
    generation.mixture_logits(own, other, coef=2)
