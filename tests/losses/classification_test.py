# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Prefer-to-classify: terms, symmetries, votes and partners."""

import jax
import numpy as np
import pytest

from prefjax import feedback, losses, selection
from prefjax.core import errors

B, C, H = 6, 3, 4
CLOSE = {"rtol": 1e-5, "atol": 1e-6}
PREFERENCE = np.array([1, 0, 2, 1, 0, 2])
LABELS = np.array([0, 1, 2, 0, 1, 2])


def _inputs(seed=0):
  rng = np.random.default_rng(seed)
  logits = rng.normal(size=(2, B, C)).astype(np.float32)
  scores = rng.normal(size=(2, H, B)).astype(np.float32)
  return *logits, *scores


def _softmax(x):
  return np.asarray(jax.nn.softmax(x, axis=-1))


def test_no_weights_no_preferences():
  a, b, scores_a, scores_b = _inputs()
  loss = losses.p2c(
    a,
    b,
    LABELS,
    scores_a,
    scores_b,
    PREFERENCE,
    lambda_pref=0.0,
    lambda_cons=0.0,
    lambda_div=0.0,
  )
  rows = np.arange(B)
  cross = [-np.log(_softmax(x)[rows, LABELS]) for x in (a, b)]
  np.testing.assert_allclose(loss, (cross[0] + cross[1]) / 2, **CLOSE)


def test_the_order_of_a_pair_does_not_matter():
  a, b, scores_a, scores_b = _inputs(1)
  swapped = np.array([0, 1, 2])[PREFERENCE]
  mirrored = np.where(PREFERENCE == 2, 2, 1 - PREFERENCE)
  assert (swapped == PREFERENCE).all()
  np.testing.assert_allclose(
    losses.p2c(b, a, LABELS, scores_b, scores_a, mirrored),
    losses.p2c(a, b, LABELS, scores_a, scores_b, PREFERENCE),
    **CLOSE,
  )


def test_a_tie_is_least_at_equal_scores():
  gap = np.linspace(-2, 2, 5).astype(np.float32)[None]
  loss = losses.p2c_preference(gap, 0 * gap, np.full(5, 2))
  assert np.argmin(loss) == 2
  np.testing.assert_allclose(loss[2], np.log(2), rtol=1e-6)
  first = losses.p2c_preference(gap, 0 * gap, np.ones(5, int))
  np.testing.assert_allclose(first, np.log1p(np.exp(-gap[0])), **CLOSE)
  np.testing.assert_allclose(
    losses.p2c_preference(gap, 0 * gap, np.zeros(5, int)), first[::-1], **CLOSE
  )


def test_consistency():
  a = np.array([[0.7, 0.3], [0.2, 0.8], [0.5, 0.5]], np.float32)
  b = np.array([[0.4, 0.6], [0.6, 0.4], [0.5, 0.5]], np.float32)
  zero = np.zeros(3, int)
  for preference, expected in (
    (1, [0, 0.4, 0]),
    (0, [0.3, 0, 0]),
    (2, [0.3, 0.4, 0]),
  ):
    loss = losses.p2c_consistency(a, b, zero, np.full(3, preference))
    np.testing.assert_allclose(loss, expected, atol=1e-6)
  gradient = jax.grad(
    lambda x: losses.p2c_consistency(x, b, zero, np.full(3, 2)).sum()
  )(a)
  np.testing.assert_array_equal(gradient[2], 0)  # a tie that is met


def test_margin():
  a, b, *_ = _inputs(2)
  p, q = _softmax(a), _softmax(b)
  np.testing.assert_array_equal(losses.p2c_margin(p, q, p, q), 0)
  wide = losses.p2c_margin(p, p, q, p)
  np.testing.assert_allclose(wide, np.abs(q - p).sum(1), **CLOSE)


def test_diversity():
  *_, a, b = _inputs(3)
  same = [np.broadcast_to(x[:1], x.shape) for x in (a, b)]
  p = 1 / (1 + np.exp(-(a - b)))
  entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p))
  np.testing.assert_allclose(losses.p2c_diversity(*same), entropy[0], **CLOSE)
  assert (losses.p2c_diversity(a, b) > entropy.mean(0)).all()
  np.testing.assert_array_equal(losses.p2c_diversity(a[:1], b[:1]), 0)
  gradient = jax.grad(lambda x: losses.p2c_diversity(x, b).sum())(a)
  # P_i is a constant: only log P_j moves.
  others = (p.sum(0) - p) / (H - 1)
  np.testing.assert_allclose(gradient, (p - others) / H, rtol=1e-4, atol=1e-6)


def test_votes():
  a = np.array([[3, 1], [1, 1], [0, 0], [2, 2], [1, 2]])
  b = np.array([[1, 1], [4, 4], [1, 3], [0, 0], [10, 20]])
  prefer = feedback.preference_from_votes
  np.testing.assert_array_equal(prefer(a, b, np.zeros(5, int)), [1, 2, 0, 1, 2])
  np.testing.assert_array_equal(
    prefer(a, b, np.zeros(5, int), min_gap=0.3), [2, 2, 2, 1, 2]
  )
  np.testing.assert_array_equal(prefer(a, a, np.ones(5, int)), 2)


def test_a_judge_is_asked_in_both_orders():
  longer = lambda a, b, label: int(len(a) > len(b))  # noqa: E731
  first = lambda a, b, label: 1  # noqa: E731
  never = lambda a, b, label: 2  # noqa: E731
  texts = ["aaa", "b"], ["c", "dd"]
  judged = feedback.judge_preferences
  np.testing.assert_array_equal(judged(longer, *texts, "long"), [1, 0])
  np.testing.assert_array_equal(judged(first, *texts, "long"), [2, 2])
  np.testing.assert_array_equal(judged(never, *texts, "long"), [2, 2])
  with pytest.raises(errors.DataError, match="the judge said 'a'"):
    judged(lambda a, b, label: "a", *texts, "long")
  with pytest.raises(errors.DataError, match="1 texts_b for 2 texts_a"):
    judged(longer, texts[0], ["x"], "long")


def test_disagreement_by_loops():
  scores = np.random.default_rng(4).integers(3, size=(4, 7)) / 2
  expected = np.zeros((7, 7), int)
  for n in range(7):
    for m in range(7):
      signs = np.sign(scores[:, n] - scores[:, m])
      expected[n, m] = sum(
        signs[i] != signs[j] for i in range(4) for j in range(i + 1, 4)
      )
  np.testing.assert_array_equal(selection.p2c_disagreement(scores), expected)


@pytest.mark.parametrize("mode", ["random", "disagreement", "inconsistency"])
def test_partners_share_the_class(mode):
  rng = np.random.default_rng(5)
  labels = np.array([0, 0, 0, 0, 1, 1, 2])
  scores = rng.normal(size=(4, 7))
  soft, probs = _softmax(rng.normal(size=(2, 7, 3)))
  drawn = np.array(
    [
      selection.p2c_partners(
        key, labels, scores, mode=mode, soft=soft, probs=probs
      )
      for key in range(60)
    ]
  )
  assert (labels[drawn] == labels).all()
  assert (drawn[:, :6] != np.arange(6)).all() and (drawn[:, 6] == 6).all()
  seen = set(drawn[:, 0].tolist())
  table = selection.p2c_disagreement(scores)[0, 1:4]
  if mode == "random":
    assert seen == {1, 2, 3}
  elif mode == "disagreement":
    assert seen == set(1 + np.flatnonzero(table == table.max()))
  else:
    # The most consistent partner has weight 0.
    loss = np.asarray(
      losses.p2c_margin(
        np.repeat(probs[:1], 3, 0),
        probs[1:4],
        np.repeat(soft[:1], 3, 0),
        soft[1:4],
      )
    )
    assert 1 + loss.argmin() not in seen and 1 + loss.argmax() in seen


def test_errors():
  a, b, scores_a, scores_b = _inputs()
  with pytest.raises(ValueError, match="mode='disagreement' needs scores"):
    selection.p2c_partners(0, LABELS, mode="disagreement")
  with pytest.raises(ValueError, match="soft has shape"):
    selection.p2c_partners(0, LABELS, mode="inconsistency", soft=a[:2], probs=a)
  with pytest.raises(ValueError, match="p2c: lambda_div=-1"):
    losses.p2c(a, b, LABELS, scores_a, scores_b, PREFERENCE, lambda_div=-1)
  with pytest.raises(ValueError, match="scores_a has no head"):
    losses.p2c_diversity(scores_a[:0], scores_b[:0])
