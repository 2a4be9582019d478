# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Self-preference of judges."""

import jax
import numpy as np
import pytest

from prefjax import analysis

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def test_a_judge_of_the_order_alone_has_no_preference():
  one, zero = np.ones(4), np.zeros(4)
  np.testing.assert_allclose(
    analysis.debias_position(one, zero, one, zero), 0.5
  )
  # Both orders name A.
  np.testing.assert_allclose(analysis.debias_position(one, zero, zero, one), 1)
  # No probability on either option is no opinion.
  np.testing.assert_allclose(
    analysis.debias_position(zero, zero, zero, one), 0.75
  )


def test_hard_preferences():
  probs = np.array([0.5, 0.5 + 1e-7, 0.6, 0.4, 0.45])
  np.testing.assert_array_equal(
    analysis.to_preference(probs), [0.5, 1, 1, 0, 0]
  )
  np.testing.assert_array_equal(
    analysis.to_preference(probs, tie_band=0.06), [0.5, 0.5, 1, 0, 0.5]
  )


def test_gold():
  votes = np.array([[1, 1, -1], [1, -1, 0], [-1, -1, -1], [1, 1, 1], [1, 0, 0]])
  mask = np.ones((5, 3), int)
  mask[0, :2] = 0
  mask[3] = 0
  np.testing.assert_array_equal(
    analysis.gold_preference(votes, mask), [0, 0.5, 0, 0.5, 1]
  )
  np.testing.assert_allclose(
    analysis.gold_preference(votes, mask, mode="share"),
    [0, 0.5, 0, 0.5, 2 / 3],
    **CLOSE,
  )
  unanimous = np.sign(np.random.default_rng(0).normal(size=(6, 1)))
  votes = np.repeat(unanimous, 4, axis=1)
  np.testing.assert_array_equal(
    analysis.gold_preference(votes),
    analysis.gold_preference(votes, mode="share"),
  )


def test_scores_and_their_mirror():
  rng = np.random.default_rng(1)
  judge, gold = rng.choice([0, 0.5, 1], size=(2, 50))
  out = analysis.dbg_score(judge, gold)
  assert out["judge_win_rate"] == pytest.approx(100 * judge.mean())
  assert out["dbg"] == pytest.approx(100 * (judge - gold).mean())
  assert out["naive"] == pytest.approx(100 * (2 * judge - 1).mean())
  mirror = analysis.dbg_score(1 - judge, 1 - gold)
  assert mirror["dbg"] == pytest.approx(-out["dbg"])
  assert analysis.dbg_score(gold, gold)["dbg"] == 0
  half = np.arange(50) < 25
  assert analysis.dbg_score(judge, gold, half) == pytest.approx(
    analysis.dbg_score(judge[:25], gold[:25])
  )
  assert set(analysis.dbg_score(judge, gold, 0 * half).values()) == {0.0}


def test_two_models_that_judge_each_other():
  rng = np.random.default_rng(2)
  a, b, gold = rng.choice([0, 0.5, 1], size=(3, 40))
  out = analysis.dbg_pair(a, b, gold)
  assert out["dbg_a"] == pytest.approx(100 * (a - gold).mean())
  assert out["dbg_b"] == pytest.approx(100 * (gold - b).mean())
  assert out["mean"] == pytest.approx((out["dbg_a"] + out["dbg_b"]) / 2)


def test_bias_in_logits():
  rates = np.array([0.0, 0.3, 1.0])
  np.testing.assert_allclose(analysis.bias_logit(rates, rates), 0)
  shifted = 1 / (1 + np.exp(-(np.log(0.3 / 0.7) + 0.8)))
  np.testing.assert_allclose(
    analysis.bias_logit([shifted], [0.3]), [0.8], rtol=1e-5
  )
  bounded = analysis.bias_logit([1.0], [0.5], eps=0.01)
  np.testing.assert_allclose(bounded, np.log(99), rtol=1e-5)


def test_the_naive_score_confounds_quality_with_bias():
  rng = np.random.default_rng(3)

  def run(quality, bias):
    gap = quality + rng.normal(size=4000)
    p = 1 / (1 + np.exp(-(gap + bias)))
    judge = (rng.random(4000) < p).astype(float)
    fair = 1 / (1 + np.exp(-gap))
    votes = np.where(rng.random((4000, 6)) < fair[:, None], 1, -1)
    gold = analysis.gold_preference(votes, mode="share")
    return analysis.dbg_score(judge, gold)

  for quality in (-1, 0, 1):
    assert abs(run(quality, 0)["dbg"]) < 3
  assert run(1, 0)["naive"] > 30  # a false alarm
  found = [run(-1, bias)["dbg"] for bias in (0, 0.4, 0.8, 1.6)]
  assert np.all(np.diff(found) > 0)
  assert run(-1, 0.8)["naive"] < 0 < run(-1, 0.8)["dbg"]


def test_an_interval_of_the_score():
  rng = np.random.default_rng(4)
  judge, gold = rng.choice([0.0, 1.0], size=(2, 300))
  low, high = analysis.bootstrap_interval(
    jax.random.key(0),
    {"judge": judge, "gold": gold},
    statistic=lambda v: analysis.dbg_score(v["judge"], v["gold"])["dbg"],
    num=200,
  )
  assert low < analysis.dbg_score(judge, gold)["dbg"] < high


def test_attention():
  attention = np.array([[[0.1, 0.3, 0.2, 0.4], [0, 0, 0, 1.0]]])
  out = analysis.attention_share(attention, [0, 1, 0, 0], [1, 0, 1, 0])
  np.testing.assert_allclose(out, [[0.5, 0.5]])
  out = analysis.attention_share(attention, [1, 1, 0, 0], [0, 0, 1, 1])
  np.testing.assert_allclose(out, [[0.4, 0.0]], **CLOSE)
  with pytest.raises(ValueError, match=r"own_mask has shape \(3,\)"):
    analysis.attention_share(attention, [1, 1, 0], [0, 0, 1, 1])


def test_errors():
  with pytest.raises(ValueError, match="to_preference: tie_band=0.6"):
    analysis.to_preference([0.5], tie_band=0.6)
  with pytest.raises(ValueError, match="mode='mean' is not one of"):
    analysis.gold_preference([[1]], mode="mean")
  with pytest.raises(ValueError, match="gold_preferences has shape"):
    analysis.dbg_score([1, 0], [1])
