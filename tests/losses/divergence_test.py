# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities and errors of f-DPO and token-level DPO."""

import jax
import loss_inputs
import numpy as np
import pytest

from prefjax import losses

CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def test_reverse_kl_is_dpo():
  pair = loss_inputs.pair()
  np.testing.assert_array_equal(losses.f_dpo(*pair), losses.dpo(*pair))


def test_alpha_one_is_forward_kl_and_alpha_to_zero_is_reverse_kl():
  pair = loss_inputs.pair(spread=2.0)
  np.testing.assert_allclose(
    losses.f_dpo(*pair, divergence="alpha", alpha=1.0),
    losses.f_dpo(*pair, divergence="forward_kl"),
    rtol=1e-5,
  )
  np.testing.assert_allclose(
    losses.f_dpo(*pair, divergence="alpha", alpha=1e-6),
    losses.dpo(*pair),
    rtol=1e-5,
  )


@pytest.mark.parametrize("divergence", ["forward_kl", "js", "alpha"])
@pytest.mark.parametrize("far", [500.0, 1e4])
def test_every_divergence_is_finite_far_out(divergence, far):
  pair = loss_inputs.pair_of([far, -far, far, -far], [-far, far, far, -far])
  loss, gradient = jax.value_and_grad(
    lambda x: losses.f_dpo(x, *pair[1:], divergence=divergence).sum()
  )(pair[0])
  assert np.isfinite(loss) and np.isfinite(gradient).all()


def test_equal_divergences_at_the_reference_are_log_2():
  pair = loss_inputs.pair_of(np.zeros(2), 0.0)
  for divergence in ("reverse_kl", "forward_kl", "js", "alpha"):
    np.testing.assert_allclose(
      losses.f_dpo(*pair, divergence=divergence), np.log(2), **CLOSE
    )


def test_tdpo_with_equal_kls_is_dpo():
  pair, kl = loss_inputs.pair(), np.linspace(0, 3, 6, dtype=np.float32)
  for variant in (1, 2):
    np.testing.assert_allclose(
      losses.tdpo(*pair, kl, kl, variant=variant), losses.dpo(*pair), **CLOSE
    )


@pytest.mark.parametrize("variant", [1, 2])
def test_tdpo_gradients_into_the_kls(variant):
  pair, kl = loss_inputs.pair(), np.ones(6, np.float32)
  chosen, rejected = jax.grad(
    lambda a, b: losses.tdpo(*pair, a, b, variant=variant).sum(), (0, 1)
  )(kl, 2 * kl)
  assert (np.asarray(chosen) == 0).all() == (variant == 2)
  assert (np.asarray(rejected) > 0).all()


def test_sequential_kl_against_numpy():
  rng = np.random.default_rng(0)
  logits, ref_logits = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
  mask = np.array([[1, 1, 0, 0], [1, 0, 1, 1], [0, 0, 0, 0]])
  p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
  q = np.exp(ref_logits) / np.exp(ref_logits).sum(-1, keepdims=True)
  expected = ((q * np.log(q / p)).sum(-1) * mask).sum(-1)
  actual = losses.sequential_kl(logits, ref_logits, mask)
  np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
  shifted = losses.sequential_kl(logits + 3, ref_logits - 7, mask)
  np.testing.assert_allclose(shifted, actual, rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(
    losses.sequential_kl(logits, logits, mask), 0, atol=1e-6
  )


def test_sequential_kl_ignores_masked_tokens_and_forbidden_words():
  logits = np.zeros((1, 2, 3), np.float32)
  ref_logits = logits.copy()
  ref_logits[0, 0, 2] = -np.inf  # a word the reference never says
  logits[0, 1] = np.nan
  mask = np.array([[1, 0]])
  value, gradient = jax.value_and_grad(
    lambda x: losses.sequential_kl(x, ref_logits, mask).sum()
  )(logits)
  np.testing.assert_allclose(value, np.log(3 / 2), rtol=1e-6)
  assert np.isfinite(gradient).all()
  np.testing.assert_array_equal(gradient[0, 1], 0)


def test_errors():
  pair, kl = loss_inputs.pair(), np.ones(6, np.float32)
  with pytest.raises(ValueError, match="f_dpo: divergence='tv' is not one of"):
    losses.f_dpo(*pair, divergence="tv")
  with pytest.raises(ValueError, match=r"f_dpo: alpha=0 is outside \(0, 1\]"):
    losses.f_dpo(*pair, divergence="alpha", alpha=0)
  with pytest.raises(ValueError, match="tdpo: variant=3 is not one of 1, 2"):
    losses.tdpo(*pair, kl, kl, variant=3)
  with pytest.raises(
    ValueError, match=r"tdpo: rejected_kl has shape \(3,\), expected \(6,\)"
  ):
    losses.tdpo(*pair, kl, kl[:3])
  with pytest.raises(
    ValueError,
    match=r"sequential_kl: mask has shape \(2, 4\), expected \(2, 3\)",
  ):
    losses.sequential_kl(
      np.zeros((2, 3, 5)), np.zeros((2, 3, 5)), np.ones((2, 4))
    )


@pytest.mark.parametrize("alpha", [0.1, 0.3, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("rows", [1, 5])
def test_two_held_exponents_cancel_compiled_too(alpha, rows):
  sides = [-10947.797, -15701.44, -947.797, -5701.44]
  pair = [np.full(rows, side, np.float32) for side in sides]
  run = jax.jit(lambda *p: losses.f_dpo(*p, divergence="alpha", alpha=alpha))
  np.testing.assert_allclose(run(*pair), np.log(2), rtol=1e-6)
