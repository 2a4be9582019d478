# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Listwise losses against loops in float64, ties, masks and limits."""

import itertools
import math

import jax
import numpy as np
import pytest

from prefjax import losses

B, K = 8, 5
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
NAMES = ["plackett_luce", "lipo_lambda", "all_pairs"]


def _lists(seed=0, levels=4):
  """Ragged groups with ties; row 0 full, row 1 empty, row 2 of one."""
  rng = np.random.default_rng(seed)
  logps = -30 * rng.random((B, K)).astype(np.float32)
  ref_logps = -30 * rng.random((B, K)).astype(np.float32)
  lengths = rng.integers(0, 9, (B, K))
  scores = (rng.integers(levels, size=(B, K)) / levels).astype(np.float32)
  mask = (rng.random((B, K)) < 0.7).astype(np.int32)
  mask[0], mask[1], mask[2] = 1, 0, [0, 0, 1, 0, 0]
  return logps, ref_logps, lengths, scores, mask


def _arguments(name, logps, ref_logps, lengths, scores, mask):
  second = lengths if name == "all_pairs" else ref_logps
  return logps, second, scores, mask


def _call(name, lists, **keywords):
  return getattr(losses, name)(*_arguments(name, *lists), **keywords)


def _rows(lists):
  """The existing responses of each group, in float64."""
  mask = lists[-1] == 1
  for row in range(len(mask)):
    yield [np.asarray(x[row][mask[row]], np.float64) for x in lists[:-1]]


def _log1pexp(x):
  return np.logaddexp(0, x)


def _plackett_luce(logps, ref_logps, lengths, scores, beta):
  r, total = beta * (logps - ref_logps), 0.0
  for i in range(len(r)):
    worse = [r[j] for j in range(len(r)) if scores[j] < scores[i]]
    total -= r[i] - np.logaddexp.reduce([r[i], *worse])
  return total


def _lipo_lambda(logps, ref_logps, lengths, scores, beta):
  r, total = beta * (logps - ref_logps), 0.0
  order = np.argsort(-r)
  rank = np.empty(len(r))
  rank[order] = 1 + np.arange(len(r))
  for i, j in itertools.product(range(len(r)), repeat=2):
    if scores[i] > scores[j]:
      gain = abs(2 ** scores[i] - 2 ** scores[j])
      swap = abs(1 / np.log(1 + rank[i]) - 1 / np.log(1 + rank[j]))
      total += gain * swap * _log1pexp(-(r[i] - r[j]))
  return total


def _all_pairs(logps, ref_logps, lengths, scores, delta=0.2, weight=0.5):
  p, total = logps / np.maximum(lengths, 1), 0.0
  for i, j in itertools.product(range(len(p)), repeat=2):
    if scores[i] > scores[j]:
      total += max(0.0, delta - (p[i] - p[j]))
  if len(p):
    total -= weight * p[scores == scores.max()].mean()
  return total


def test_plackett_luce_by_loops():
  lists = _lists()
  expected = [_plackett_luce(*row, beta=0.3) for row in _rows(lists)]
  np.testing.assert_allclose(
    _call("plackett_luce", lists, beta=0.3), expected, **CLOSE
  )


def test_lipo_lambda_by_loops():
  lists = _lists()
  expected = [_lipo_lambda(*row, beta=0.3) for row in _rows(lists)]
  np.testing.assert_allclose(
    _call("lipo_lambda", lists, beta=0.3), expected, **CLOSE
  )


def test_all_pairs_by_loops():
  lists = _lists()
  expected = [_all_pairs(*row) for row in _rows(lists)]
  np.testing.assert_allclose(
    _call("all_pairs", lists, delta=0.2, sft_weight=0.5), expected, **CLOSE
  )


@pytest.mark.parametrize("name", NAMES)
def test_order_and_padding_do_not_matter(name):
  lists = _lists(1)
  expected = _call(name, lists)
  order = np.random.default_rng(2).permutation(K)
  np.testing.assert_allclose(
    _call(name, [x[:, order] for x in lists]), expected, **CLOSE
  )
  hidden = lists[-1] == 0
  holes = [np.where(hidden, np.nan, x) for x in lists[:-1]]
  wide = [np.pad(x, ((0, 0), (0, 2)), constant_values=np.inf) for x in holes]
  mask = np.pad(lists[-1], ((0, 0), (0, 2)))
  np.testing.assert_allclose(_call(name, [*wide, mask]), expected, **CLOSE)
  gradient = jax.grad(lambda x: _call(name, [x, *wide[1:], mask]).sum())(
    wide[0].astype(np.float32)
  )
  assert np.isfinite(gradient).all()
  np.testing.assert_array_equal(np.asarray(gradient)[mask == 0], 0)


@pytest.mark.parametrize("name", NAMES)
def test_no_ranking_no_loss(name):
  logps, ref_logps, lengths, scores, mask = _lists(3)
  keywords = {"sft_weight": 0.0} if name == "all_pairs" else {}

  def loss(logps):
    level = np.ones_like(scores)
    return _call(name, (logps, ref_logps, lengths, level, mask), **keywords)

  np.testing.assert_allclose(loss(logps), 0, atol=1e-6)
  np.testing.assert_allclose(
    jax.grad(lambda x: loss(x).sum())(logps), 0, atol=1e-6
  )


def test_two_responses():
  rng = np.random.default_rng(4)
  chosen, rejected, ref_chosen, ref_rejected = -9 * rng.random((4, B))
  logps = np.stack([rejected, chosen], 1).astype(np.float32)
  ref_logps = np.stack([ref_rejected, ref_chosen], 1).astype(np.float32)
  scores, mask = np.tile([0.0, 1.0], (B, 1)), np.ones((B, 2))
  dpo = losses.dpo(chosen, rejected, ref_chosen, ref_rejected, beta=0.4)
  np.testing.assert_allclose(
    losses.plackett_luce(logps, ref_logps, scores, mask, beta=0.4), dpo, **CLOSE
  )
  weight = 1 / math.log(2) - 1 / math.log(3)
  np.testing.assert_allclose(
    losses.lipo_lambda(logps, ref_logps, scores, mask, beta=0.4),
    weight * dpo,
    **CLOSE,
  )
  # The gain of a label of 3 is 7, or 3.
  for gain, ratio in (("exponential", 7), ("linear", 3)):
    np.testing.assert_allclose(
      losses.lipo_lambda(
        logps, ref_logps, 3 * scores, mask, beta=0.4, gain=gain
      ),
      ratio * weight * dpo,
      **CLOSE,
    )


def test_an_untrained_policy():
  same = np.zeros((1, 4), np.float32)
  scores, mask = np.array([[0.1, 0.9, 0.5, 0.3]]), np.ones((1, 4))
  np.testing.assert_allclose(
    losses.plackett_luce(same, same, scores, mask), math.log(24), rtol=1e-6
  )
  # Every pair has weight although all rewards are equal, so training starts.
  gradient = jax.grad(
    lambda x: losses.lipo_lambda(x, same, scores, mask).sum()
  )(same)
  assert gradient[0, 1] < 0 < gradient[0, 0] and (gradient != 0).all()


def test_a_right_order_satisfies_the_hinge():
  logps = np.array([[-1.0, -2.0, -3.0]], np.float32)
  ones, scores = np.ones((1, 3)), np.array([[3, 2, 1]])
  assert losses.all_pairs(logps, ones, scores, ones, sft_weight=0.0) == 0
  # Margins of 1, 1 and 2 nats against 1.5.
  assert (
    losses.all_pairs(logps, ones, scores, ones, sft_weight=0.0, delta=1.5) == 1
  )
  one = np.array([[1, 0, 0]])
  np.testing.assert_allclose(
    losses.all_pairs(logps, 4 * ones, scores, one), 0.25
  )


def test_errors():
  lists = _lists()
  with pytest.raises(ValueError, match=r"plackett_luce: scores has shape"):
    losses.plackett_luce(lists[0], lists[1], lists[3][:, :2], lists[4])
  with pytest.raises(ValueError, match="lipo_lambda: gain='log' is not one of"):
    _call("lipo_lambda", lists, gain="log")
  with pytest.raises(ValueError, match="all_pairs: delta=-1"):
    _call("all_pairs", lists, delta=-1)
