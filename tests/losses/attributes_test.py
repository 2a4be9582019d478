# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Attribute regression, strength and SteerLM 2.0."""

import jax
import numpy as np
import pytest

from prefjax import losses, rewards

CLOSE = {"rtol": 1e-5, "atol": 1e-6}
MASK = np.array([[1, 1, 1, 1], [1, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0]])


def _group(seed=0, number=4):
  rng = np.random.default_rng(seed)
  return (3 * rng.normal(size=(number, 4, 4))).astype(np.float32)


def test_regression_counts_rated_attributes():
  predictions, targets = _group(number=2)
  loss = losses.attribute_regression(
    predictions, np.where(MASK, targets, -100), MASK
  )
  error = (predictions - targets) ** 2 * MASK
  np.testing.assert_allclose(
    loss, error.sum(1) / np.maximum(MASK.sum(1), 1), **CLOSE
  )
  np.testing.assert_allclose(
    losses.attribute_regression(predictions, targets),
    ((predictions - targets) ** 2).mean(1),
    **CLOSE,
  )


def test_strength_variants():
  chosen, rejected, strength = np.abs(_group(number=3))[:, 0]

  def loss(strength, variant):
    return losses.strength_bt(chosen, rejected, strength, variant=variant)

  regular = losses.bradley_terry(chosen, rejected)
  np.testing.assert_allclose(loss(strength, "regular"), regular, **CLOSE)
  np.testing.assert_allclose(loss(0 * strength, "margin"), regular, **CLOSE)
  np.testing.assert_allclose(loss(0 * strength + 1, "scaled"), regular, **CLOSE)
  np.testing.assert_allclose(
    loss(strength, "margin"),
    losses.bradley_terry(chosen, rejected, strength),
    **CLOSE,
  )
  np.testing.assert_allclose(
    loss(strength, "scaled"), strength * regular, **CLOSE
  )


def _softmax(x, mask):
  e = np.where(mask, np.exp(np.where(mask, x - x.max(), 0)), 0)
  return e / max(e.sum(), 1e-30)


def test_weights_by_loops():
  arrays = _group()
  holes = [np.where(MASK, x, np.nan) for x in arrays]
  out = losses.steerlm2_weights(*holes, MASK)
  logps, attributes, prior, proposal = arrays.astype(np.float64)
  for row in range(4):
    target = _softmax((attributes + prior - proposal)[row], MASK[row])
    baseline = _softmax((logps - proposal)[row], MASK[row])
    np.testing.assert_allclose(out["target"][row], target, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
      out["weight"][row], target - baseline, rtol=1e-3, atol=1e-6
    )
    if MASK[row].any():
      t, b = target[MASK[row] == 1] + 1e-8, baseline[MASK[row] == 1] + 1e-8
      np.testing.assert_allclose(
        out["distance"][row], (t * np.log(t / b)).sum(), rtol=1e-3, atol=1e-5
      )
  # A sample alone, or none, has nothing to be compared with.
  np.testing.assert_array_equal(out["weight"][2:], 0)
  np.testing.assert_allclose(out["distance"][2:], 0, atol=1e-6)
  assert out["distance"][3] == 0
  np.testing.assert_allclose(out["weight"].sum(1), 0, atol=1e-6)


def test_constants_of_a_group_do_not_matter():
  arrays = _group(1)
  expected = losses.steerlm2_weights(*arrays)["weight"]
  shift = np.random.default_rng(2).normal(size=(4, 4, 1)).astype(np.float32)
  np.testing.assert_allclose(
    losses.steerlm2_weights(*(arrays + shift))["weight"],
    expected,
    rtol=1e-3,
    atol=1e-5,
  )


def test_the_posterior_is_a_resting_point():
  _, attributes, prior, proposal = _group(3)
  lengths = np.full((4, 4), 7)

  def loss(logps):
    return losses.steerlm2(logps, attributes, prior, proposal, lengths).sum()

  np.testing.assert_allclose(jax.grad(loss)(attributes + prior), 0, atol=1e-6)
  gradient = jax.grad(loss)(prior)
  weight = losses.steerlm2_weights(prior, attributes, prior, proposal)["weight"]
  np.testing.assert_allclose(gradient, -weight / 7, rtol=1e-4, atol=1e-7)


def test_length_divides():
  arrays = _group(4)
  lengths = np.where(MASK, np.arange(4), 10_000)
  plain = losses.steerlm2(*arrays, None, MASK, normalize_by_length=False)
  divided = losses.steerlm2(*arrays, lengths, MASK)
  mean = (lengths * MASK).sum(1) / np.maximum(MASK.sum(1), 1)
  np.testing.assert_allclose(divided, plain / np.maximum(mean, 1), **CLOSE)


def test_likelihood_of_wanted_ratings():
  predictions = np.array([[0.0, 3.9], [2.2, 9.0]], np.float32)
  levels = np.arange(5)
  total = np.zeros((2, 5))
  for level in levels:
    logps = rewards.attribute_log_likelihood(
      predictions[:, :1], np.full((2, 1), level), scale=0.7
    )
    energy = -((levels - predictions[:, :1]) ** 2) / (2 * 0.7**2)
    exact = energy[:, level] - np.log(np.exp(energy).sum(1))
    np.testing.assert_allclose(logps, exact, rtol=1e-4, atol=1e-5)
    total[:, level] = np.exp(logps)
  np.testing.assert_allclose(total.sum(1), 1, rtol=1e-5)
  # Attributes add; levels may have other values.
  both = rewards.attribute_log_likelihood(predictions, [[1, 2], [0, 4]])
  parts = [
    rewards.attribute_log_likelihood(predictions[:, i : i + 1], [[a], [b]])
    for i, (a, b) in enumerate([(1, 0), (2, 4)])
  ]
  np.testing.assert_allclose(both, parts[0] + parts[1], **CLOSE)
  np.testing.assert_allclose(
    rewards.attribute_log_likelihood(
      predictions[:, :1] * 10, [[1], [0]], scale=5.0, levels=(0, 10, 20, 30, 40)
    ),
    rewards.attribute_log_likelihood(predictions[:, :1], [[1], [0]]),
    **CLOSE,
  )


def test_attribute_reward():
  ratings = np.eye(5)[None]
  np.testing.assert_allclose(
    rewards.attribute_reward(ratings), [[0.65, 0.8, 0.45, 0.55, -0.4]]
  )
  assert rewards.attribute_reward([1.0, 2.0], weights=(3, 4)) == 11
  with pytest.raises(ValueError, match=r"weights has shape \(5,\)"):
    rewards.attribute_reward([1.0, 2.0])


def test_errors():
  arrays = _group()
  with pytest.raises(ValueError, match="normalize_by_length needs lengths"):
    losses.steerlm2(*arrays)
  with pytest.raises(ValueError, match="strength_bt: variant='log'"):
    losses.strength_bt(*arrays[:3, 0], variant="log")
  with pytest.raises(ValueError, match="attribute_log_likelihood: scale=0"):
    rewards.attribute_log_likelihood(arrays[0], arrays[0], scale=0)


@pytest.mark.parametrize("prediction", [-9876.54, 1234.567, 9876.54])
def test_far_predictions_keep_their_digits(prediction):
  levels = np.arange(5.0)
  energy = -((levels - np.float64(np.float32(prediction))) ** 2) / 0.5
  energy -= energy.max()
  expected = energy - np.log(np.exp(energy).sum())
  for index in range(5):
    found = rewards.attribute_log_likelihood(
      np.full((1, 1), prediction), np.full((1, 1), index), scale=0.5
    )
    np.testing.assert_allclose(found, expected[[index]], rtol=1e-6, atol=1e-6)
