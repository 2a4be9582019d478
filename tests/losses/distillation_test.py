# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities, gradients and errors of distillation from an aligned teacher."""

import jax
import numpy as np
import pytest

from prefjax import losses, rl

B, T, V = 3, 4, 6
CLOSE = {"rtol": 1e-5, "atol": 1e-6}
MASK = np.array([[1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]])


def _logits(seed, number=3):
  rng = np.random.default_rng(seed)
  return 2 * rng.normal(size=(number, B, T, V)).astype(np.float32)


def _mean_kl(first, second, mask=MASK):
  """Mean over tokens of KL(first || second), in float64."""
  with jax.enable_x64(True):
    p, q = (
      np.asarray(jax.nn.log_softmax(np.asarray(x, np.float64)))
      for x in (first, second)
    )
  token = (np.exp(p) * (p - q)).sum(-1)
  return (token * mask).sum(-1) / np.maximum(mask.sum(-1), 1)


def test_both_directions_of_the_divergence():
  student, teacher, _ = _logits(0)
  np.testing.assert_allclose(
    losses.token_kl(student, teacher, MASK), _mean_kl(teacher, student), **CLOSE
  )
  np.testing.assert_allclose(
    losses.token_kl(student, teacher, MASK, direction="reverse"),
    _mean_kl(student, teacher),
    **CLOSE,
  )
  for direction in ("forward", "reverse"):
    same = losses.token_kl(student + 3, student, MASK, direction=direction)
    np.testing.assert_allclose(same, 0, atol=1e-6)


def test_dckd_with_one_side_is_distillation_on_it():
  student, teacher, other = _logits(0)
  arrays = (student, other, teacher, student, MASK, MASK)
  for weights, expected in (
    ((1, 0), losses.token_kl(student, teacher, MASK)),
    ((0, 2), 2 * losses.token_kl(other, student, MASK)),
  ):
    loss = losses.dckd(
      *arrays, chosen_weight=weights[0], rejected_weight=weights[1]
    )
    np.testing.assert_allclose(loss, expected, **CLOSE)


def test_mean_advantage_under_teacher_and_reference():
  _, teacher, reference = _logits(1)
  loss = losses.adpa(teacher, teacher, reference, MASK, beta=0.5)
  np.testing.assert_allclose(loss, -0.5 * _mean_kl(teacher, reference), **CLOSE)
  loss = losses.adpa(reference, teacher, reference, MASK, beta=0.5)
  np.testing.assert_allclose(loss, 0.5 * _mean_kl(reference, teacher), **CLOSE)
  np.testing.assert_array_equal(
    losses.adpa(reference, teacher, teacher, MASK), 0
  )


def test_adpa_ignores_constants():
  arrays = _logits(2)
  shift = np.random.default_rng(3).normal(size=(3, B, T, 1))
  np.testing.assert_allclose(
    losses.adpa(*(arrays + shift.astype(np.float32)), MASK),
    losses.adpa(*arrays, MASK),
    rtol=1e-4,
    atol=1e-5,
  )


def test_adpa_gradient_is_the_centred_advantage():
  student, teacher, reference = _logits(2)
  gradients = jax.grad(
    lambda *arrays: losses.adpa(*arrays, MASK).sum(), argnums=(0, 1, 2)
  )(student, teacher, reference)
  p = np.asarray(jax.nn.softmax(student))
  advantage = np.asarray(rl.teacher_advantages(teacher, reference))
  centred = advantage - (p * advantage).sum(-1, keepdims=True)
  number = np.maximum(MASK.sum(-1), 1)[:, None, None]
  np.testing.assert_allclose(
    gradients[0], -p * centred / number * MASK[..., None], rtol=1e-4, atol=1e-6
  )
  for gradient in gradients[1:]:
    np.testing.assert_array_equal(gradient, 0)


def test_all_tokens_stored_is_the_full_sum():
  student, teacher, reference = _logits(4)
  stored = rl.sparse_advantages(teacher, reference, top_k=V, beta=0.3)
  np.testing.assert_allclose(
    losses.adpa_sparse(student, stored["indices"], stored["values"], MASK),
    losses.adpa(student, teacher, reference, MASK, beta=0.3),
    **CLOSE,
  )


def test_the_likeliest_tokens_are_stored_in_order():
  teacher = np.array([[[0.0, 3.0, 1.0, 3.0, -1.0]]], np.float32)
  stored = rl.sparse_advantages(teacher, np.zeros_like(teacher), top_k=3)
  np.testing.assert_array_equal(stored["indices"], [[[1, 3, 2]]])
  everything = rl.teacher_advantages(teacher, np.zeros_like(teacher))
  np.testing.assert_array_equal(
    stored["values"][0, 0], everything[0, 0, np.array([1, 3, 2])]
  )
  with pytest.raises(ValueError, match="sparse_advantages: top_k=6"):
    rl.sparse_advantages(teacher, teacher, top_k=6)


def test_stored_tokens_of_padding_may_be_anything():
  student, teacher, reference = _logits(4)
  stored = rl.sparse_advantages(teacher, reference, top_k=2)
  hidden = MASK[..., None] == 0
  np.testing.assert_array_equal(
    losses.adpa_sparse(
      student,
      np.where(hidden, -7, stored["indices"]),
      np.where(hidden, np.nan, stored["values"]),
      MASK,
    ),
    losses.adpa_sparse(student, stored["indices"], stored["values"], MASK),
  )


def test_objective_is_likelihood_and_advantage():
  arrays = _logits(5)
  logps = -np.abs(np.random.default_rng(6).normal(size=(B, T)))
  logps = logps.astype(np.float32)
  nll = -(logps * MASK).sum(-1) / np.maximum(MASK.sum(-1), 1)
  one = losses.adpa_objective(logps, MASK, *arrays, MASK, gamma=0.0)
  np.testing.assert_allclose(one, nll, **CLOSE)
  other = losses.adpa_objective(
    logps, MASK, *arrays, MASK, sft_weight=0.0, gamma=2.0, beta=0.3
  )
  np.testing.assert_allclose(
    other, 2 * losses.adpa(*arrays, MASK, beta=0.3), **CLOSE
  )


def test_advantages_can_be_bounded():
  _, teacher, reference = _logits(7)
  bounded = rl.teacher_advantages(teacher, reference, clip_advantage=0.5)
  free = rl.teacher_advantages(teacher, reference)
  np.testing.assert_allclose(bounded, np.clip(free, -0.5, 0.5))
  assert (np.abs(free) > 0.5).any()


def test_forbidden_tokens_weigh_nothing():
  student, teacher, reference = _logits(8)
  wall = np.full((B, T, 1), -np.inf, np.float32)
  walled = [
    np.concatenate([x, wall], -1) for x in (student, teacher, reference)
  ]
  np.testing.assert_allclose(
    losses.adpa(*walled, MASK), losses.adpa(student, teacher, reference, MASK)
  )
  np.testing.assert_allclose(
    losses.token_kl(*walled[:2], MASK), losses.token_kl(student, teacher, MASK)
  )
  for function in (
    lambda x: losses.adpa(x, *walled[1:], MASK).sum(),
    lambda x: losses.token_kl(x, walled[1], MASK).sum(),
    lambda x: losses.token_kl(x, walled[1], MASK, direction="reverse").sum(),
  ):
    assert np.isfinite(jax.grad(function)(walled[0])).all()


def test_errors():
  arrays = _logits(0)
  with pytest.raises(ValueError, match="direction='up' is not one of"):
    losses.token_kl(*arrays[:2], MASK, direction="up")
  with pytest.raises(ValueError, match="adpa: beta=0"):
    losses.adpa(*arrays, MASK, beta=0)
  with pytest.raises(ValueError, match="teacher_advantages: clip_advantage=0"):
    rl.teacher_advantages(*arrays[:2], clip_advantage=0)
  with pytest.raises(
    ValueError, match=r"dckd: rejected_mask has shape \(3, 2\)"
  ):
    losses.dckd(*arrays[:2], *arrays[:2], MASK, MASK[:, :2])
