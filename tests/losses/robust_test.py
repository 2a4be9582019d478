# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities and errors of the losses for flipped labels."""

import jax
import loss_inputs
import numpy as np
import pytest

from prefjax import losses

RATES = [0.0, 0.1, 0.3, 0.45]


def _swapped(pair):
  chosen, rejected, ref_chosen, ref_rejected = pair
  return rejected, chosen, ref_rejected, ref_chosen


def test_no_noise_is_dpo_bit_for_bit():
  pair = loss_inputs.pair(size=64)
  np.testing.assert_array_equal(
    losses.rdpo(*pair, epsilon=0.0), losses.dpo(*pair)
  )


@pytest.mark.parametrize("rate", RATES)
def test_the_mean_over_flips_is_the_clean_loss(rate):
  pair = loss_inputs.pair(size=64)
  mean = (1 - rate) * losses.rdpo(*pair, epsilon=rate) + rate * losses.rdpo(
    *_swapped(pair), epsilon=rate
  )
  np.testing.assert_allclose(mean, losses.dpo(*pair), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rate", RATES)
def test_gradient_is_beta_times_the_weight(rate):
  pair = loss_inputs.pair()
  gradient = jax.grad(
    lambda x: losses.rdpo(x, *pair[1:], beta=0.3, epsilon=rate).sum()
  )(pair[0])
  weight = losses.rdpo_gradient_weight(*pair, beta=0.3, epsilon=rate)
  np.testing.assert_allclose(gradient, -0.3 * weight, rtol=1e-5)
  assert (weight >= rate / (1 - 2 * rate)).all()


def test_satisfied_pairs_keep_falling():
  rate = 0.2
  pair = loss_inputs.pair_of(1000.0, 0.0)
  np.testing.assert_allclose(
    losses.rdpo(*pair, epsilon=rate), -rate / (1 - 2 * rate) * 100, rtol=1e-5
  )


def test_rates_by_pair_equal_rates_one_by_one():
  pair = loss_inputs.pair()
  rates = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.45], np.float32)
  for name in ("rdpo", "rdpo_gradient_weight"):
    together = getattr(losses, name)(*pair, epsilon=rates)
    for i, rate in enumerate(rates):
      alone = getattr(losses, name)(*pair, epsilon=float(rate))
      np.testing.assert_allclose(together[i], alone[i], rtol=1e-6)


def test_reward_form_agrees_with_the_policy_form():
  rewards = np.array([2.0, -1.0, 0.5], np.float32)
  zero = 0 * rewards
  np.testing.assert_allclose(
    losses.robust_bt(rewards, zero, epsilon=0.2),
    losses.rdpo(rewards, zero, zero, zero, beta=1.0, epsilon=0.2),
    rtol=1e-6,
  )


def test_correction_of_any_loss():
  pair = loss_inputs.pair()
  np.testing.assert_allclose(
    losses.noise_corrected(
      losses.dpo(*pair), losses.dpo(*_swapped(pair)), epsilon=0.2
    ),
    losses.rdpo(*pair, epsilon=0.2),
    rtol=1e-5,
    atol=1e-6,
  )
  hinge, swapped = losses.hinge(*pair), losses.hinge(*_swapped(pair))
  np.testing.assert_array_equal(
    losses.noise_corrected(hinge, swapped, epsilon=0.0), hinge
  )
  mean = 0.7 * losses.noise_corrected(hinge, swapped, epsilon=0.3)
  mean += 0.3 * losses.noise_corrected(swapped, hinge, epsilon=0.3)
  np.testing.assert_allclose(mean, hinge, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rate", [0.5, 0.7, -0.1])
def test_rates_out_of_range_are_refused(rate):
  pair = loss_inputs.pair()
  with pytest.raises(ValueError, match=rf"epsilon={rate} is outside \[0, 0.5"):
    losses.rdpo(*pair, epsilon=rate)
  with pytest.raises(ValueError, match="rdpo_gradient_weight: epsilon"):
    losses.rdpo_gradient_weight(*pair, epsilon=rate)
  with pytest.raises(ValueError, match="robust_bt: epsilon"):
    losses.robust_bt(pair[0], pair[1], epsilon=rate)
  with pytest.raises(ValueError, match="noise_corrected: epsilon"):
    losses.noise_corrected(pair[0], pair[1], epsilon=rate)


def test_rates_of_a_wrong_shape_are_refused():
  with pytest.raises(
    ValueError, match=r"rdpo: epsilon has shape \(2,\), expected \(\) or \(6,\)"
  ):
    losses.rdpo(*loss_inputs.pair(), epsilon=np.zeros(2))


@pytest.mark.parametrize(
  "kind",
  [
    np.float32,
    np.float64,
    np.array,
    jax.numpy.asarray,
    lambda e: jax.numpy.asarray([0.1, e]),
  ],
)
def test_a_rate_of_a_half_is_refused_of_any_kind(kind):
  pair = [np.asarray([-1.0, -2.0], np.float32)] * 4
  for run in (losses.rdpo, losses.rdpo_gradient_weight):
    with pytest.raises(ValueError, match="epsilon=0.5 .*outside"):
      run(*pair, epsilon=kind(0.5))
  with pytest.raises(ValueError, match="epsilon=0.5 .*outside"):
    losses.robust_bt(*pair[:2], epsilon=kind(0.5))


@pytest.mark.parametrize("kind", [np.float32, np.array, jax.numpy.asarray])
def test_no_smoothing_is_refused_of_any_kind(kind):
  pair = [np.asarray([-1.0, -2.0], np.float32)] * 4
  with pytest.raises(ValueError, match="label_smoothing=0.0 .*outside"):
    losses.exo_pair(*pair, label_smoothing=kind(0.0))


@pytest.mark.parametrize("epsilon", [0.49, 0.499, 0.4999])
def test_rates_near_a_half_keep_their_digits(epsilon):
  pair = [np.asarray([x], np.float32) for x in (-1.0, -2.0, -1.5, -1.75)]
  h = 0.1 * 0.75
  log_s, log_not = -np.log1p(np.exp(-h)), -np.log1p(np.exp(h))
  expected = -((1 - epsilon) * log_s - epsilon * log_not) / (1 - 2 * epsilon)
  np.testing.assert_allclose(
    losses.rdpo(*pair, epsilon=epsilon), expected, rtol=2e-6
  )
  np.testing.assert_allclose(
    losses.rdpo_gradient_weight(*pair, epsilon=epsilon),
    1 / (1 + np.exp(h)) + epsilon / (1 - 2 * epsilon),
    rtol=2e-6,
  )
