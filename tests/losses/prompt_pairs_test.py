# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities and errors of losses that compare prompts."""

import jax
import loss_inputs
import numpy as np
import pytest

from prefjax import losses

CLOSE = {"rtol": 1e-6, "atol": 1e-6}
ONES = np.ones(6, np.int32)


def _rewards(seed=0):
  rng = np.random.default_rng(seed)
  return [rng.normal(size=6).astype(np.float32) for _ in range(4)]


def test_intra_is_bradley_terry_between_prompts():
  better, worse, *_ = _rewards()
  np.testing.assert_allclose(
    losses.mapl_intra_rm(better, worse),
    np.log1p(np.exp(worse - better)),
    rtol=1e-5,
  )
  pair = loss_inputs.pair()
  np.testing.assert_array_equal(
    losses.mapl_intra_dpo(*pair, beta=0.2), losses.dpo(*pair, beta=0.2)
  )


def test_inter_with_a_level_original_pair_is_the_augmented_pair():
  chosen, rejected, level, _ = _rewards()
  np.testing.assert_allclose(
    losses.mapl_inter_rm(chosen, rejected, level, level, ONES),
    losses.mapl_intra_rm(chosen, rejected),
    **CLOSE,
  )
  pair, level = loss_inputs.pair(), loss_inputs.pair(seed=1)[0]
  np.testing.assert_allclose(
    losses.mapl_inter_dpo(*pair, level, level, level, level, ONES),
    losses.dpo(*pair),
    **CLOSE,
  )


def test_inter_dpo_is_inter_rm_of_implicit_rewards():
  augmented, pair = loss_inputs.pair(), loss_inputs.pair(seed=1)
  direction = np.array([1, -1, 0, 1, -1, 0])
  rewards = [
    0.1 * (arrays[i] - arrays[i + 2])
    for arrays in (augmented, pair)
    for i in range(2)
  ]
  np.testing.assert_allclose(
    losses.mapl_inter_dpo(*augmented, *pair, direction),
    losses.mapl_inter_rm(*rewards, direction),
    rtol=1e-4,
    atol=1e-6,
  )


def test_direction_flips_the_sign_of_the_change():
  chosen, rejected, before, after = _rewards()
  up = losses.mapl_inter_rm(chosen, rejected, before, after, ONES)
  down = losses.mapl_inter_rm(chosen, rejected, before, after, -ONES)
  change = (chosen - rejected) - (before - after)
  np.testing.assert_allclose(down - up, change, rtol=1e-4, atol=1e-6)


def test_no_direction_no_loss_no_gradient():
  rewards = _rewards()
  rewards[0][0] = np.nan  # a pair that was never built
  direction = np.array([0, 1, -1, 0, 1, 1])

  def loss(*rewards):
    return losses.mapl_inter_rm(*rewards, direction)

  values = loss(*rewards)
  assert values[0] == 0 and values[3] == 0 and np.isfinite(values).all()
  for gradient in jax.grad(lambda *r: loss(*r).sum(), argnums=(0, 1, 2, 3))(
    *rewards
  ):
    assert gradient[0] == 0 and gradient[3] == 0
    assert np.isfinite(gradient).all() and (gradient[1:3] != 0).all()


def test_the_original_margin_may_be_a_constant():
  rewards = _rewards()

  def loss(chosen, stop):
    return losses.mapl_inter_rm(
      *rewards[:2], chosen, rewards[3], ONES, stop_gradient_original=stop
    ).sum()

  assert loss(rewards[2], True) == loss(rewards[2], False)
  assert (jax.grad(loss)(rewards[2], True) == 0).all()
  assert (jax.grad(loss)(rewards[2], False) > 0).all()


def test_errors():
  rewards = _rewards()
  with pytest.raises(
    ValueError, match=r"mapl_inter_rm: direction has shape \(2,\)"
  ):
    losses.mapl_inter_rm(*rewards, ONES[:2])
  with pytest.raises(ValueError, match="mapl_intra_dpo: beta=0"):
    losses.mapl_intra_dpo(*rewards, beta=0)
