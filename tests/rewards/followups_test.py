# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Follow-up likelihood."""

import numpy as np
import pytest

from prefjax import rewards

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def _sides(seed=0):
  rng = np.random.default_rng(seed)
  return -np.abs(rng.normal(size=(3, 4))), -np.abs(rng.normal(size=(3, 5)))


def test_log_probability_of_the_utterance_alone():
  logps = np.array([[-1.0, -3.0, np.nan], [np.nan] * 3, [-2.0, -2.0, -2.0]])
  mask = np.array([[1, 1, 0], [0, 0, 0], [1, 1, 1]])
  np.testing.assert_allclose(rewards.followup_logprob(logps, mask), [-2, 0, -2])
  np.testing.assert_allclose(
    rewards.followup_logprob(logps, mask, normalize=False), [-4, 0, -6]
  )


@pytest.mark.parametrize("aggregate", ["mean", "logmeanexp"])
def test_symmetries(aggregate):
  positive, negative = _sides()
  reward = rewards.flr(positive, negative, aggregate=aggregate)
  np.testing.assert_allclose(
    rewards.flr(negative, positive, aggregate=aggregate), -reward, **CLOSE
  )
  np.testing.assert_allclose(
    rewards.flr(positive - 2, negative - 2, aggregate=aggregate),
    reward,
    **CLOSE,
  )
  np.testing.assert_array_equal(
    rewards.flr(positive, positive, aggregate=aggregate), 0
  )
  wide = np.pad(positive, ((0, 0), (0, 2)), constant_values=np.nan)
  mask = np.pad(np.ones((3, 4)), ((0, 0), (0, 2)))
  np.testing.assert_allclose(
    rewards.flr(wide, negative, mask, aggregate=aggregate), reward, **CLOSE
  )
  one = rewards.flr(positive[:, :1], negative[:, :1], aggregate=aggregate)
  np.testing.assert_allclose(one, positive[:, 0] - negative[:, 0], **CLOSE)


def test_aggregates_and_empty_sides():
  positive, negative = _sides(1)
  np.testing.assert_allclose(
    rewards.flr(positive, negative, aggregate="logmeanexp"),
    np.log(np.exp(positive).mean(1) / np.exp(negative).mean(1)),
    **CLOSE,
  )
  none = np.zeros((3, 4))
  none[0] = 1
  for aggregate in ("mean", "logmeanexp"):
    out = rewards.flr(
      positive, negative, none, np.zeros((3, 5)), aggregate=aggregate
    )
    assert (out[1:] == 0).all() and out[0] < 0
  far = rewards.flr(positive - 1e5, negative - 1e5, aggregate="logmeanexp")
  assert np.isfinite(far).all()


def test_categories():
  rng = np.random.default_rng(2)
  positive, negative = rng.normal(size=(2, 3, 4, 5))
  out = rewards.flr_categories(positive, negative)
  each = positive.mean(-1) - negative.mean(-1)
  np.testing.assert_allclose(out["categories"], each, **CLOSE)
  np.testing.assert_allclose(out["reward"], each.mean(1), **CLOSE)
  one = rewards.flr_categories(positive, negative, weights=(0, 3, 0, 0))
  np.testing.assert_allclose(one["reward"], each[:, 1], **CLOSE)
  with pytest.raises(ValueError, match="expected 4 numbers"):
    rewards.flr_categories(positive, negative, weights=(1, 1))


def test_remarks_come_in_matching_lists():
  assert len(rewards.FOLLOWUPS) == 6
  for sides in rewards.FOLLOWUPS.values():
    assert len(sides["positive"]) == len(sides["negative"]) >= 5
    assert not set(sides["positive"]) & set(sides["negative"])


def test_errors():
  positive, negative = _sides()
  with pytest.raises(ValueError, match="aggregate='max' is not one of"):
    rewards.flr(positive, negative, aggregate="max")
  with pytest.raises(ValueError, match=r"negative_mask has shape \(3, 4\)"):
    rewards.flr(positive, negative, None, np.ones((3, 4)))
  with pytest.raises(ValueError, match=r"negative_logps has shape \(2,\)"):
    rewards.flr(positive, negative[:2])
