# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Themis: which tokens count, and its limits."""

import jax
import numpy as np
import pytest

from prefjax import losses

_RNG = np.random.default_rng(0)
CHOSEN, REJECTED = _RNG.normal(size=(2, 4)).astype(np.float32)
LOGPS = -np.abs(_RNG.normal(size=(4, 7))).astype(np.float32)
OTHER = -np.abs(_RNG.normal(size=(4, 5))).astype(np.float32)
SEGMENTS = _RNG.integers(0, 5, (4, 7))
SEGMENTS_OTHER = _RNG.integers(0, 5, (4, 5))


def _loss(logps=LOGPS, segments=SEGMENTS, **kwargs):
  return losses.themis(
    CHOSEN, REJECTED, logps, segments, OTHER, SEGMENTS_OTHER, **kwargs
  )


def test_against_a_loop():
  weights = dict(
    rm_weight=0.7,
    tool_weight=0.5,
    observation_weight=0.0,
    rationale_weight=2.0,
    answer_weight=1.5,
  )
  table = [0, 0.5, 0.0, 2.0, 1.5]
  for row in range(4):
    total = 0.0
    for logps, segments, last in (
      (LOGPS, SEGMENTS, 1.5),
      (OTHER, SEGMENTS_OTHER, 0.0),
    ):
      w = [[*table[:4], last][s] for s in segments[row]]
      number = max(1, sum(v > 0 for v in w))
      total += sum(-v * x for v, x in zip(w, logps[row], strict=True)) / number
    gap = float(CHOSEN[row]) - float(REJECTED[row])
    want = total / 2 + 0.7 * np.log1p(np.exp(-gap))
    np.testing.assert_allclose(_loss(**weights)[row], want, rtol=1e-5)


def test_without_traces_it_is_bradley_terry():
  zero = dict.fromkeys(
    ("tool_weight", "observation_weight", "rationale_weight", "answer_weight"),
    0.0,
  )
  np.testing.assert_allclose(
    _loss(rm_weight=1.0, **zero),
    losses.bradley_terry(CHOSEN, REJECTED),
    rtol=1e-6,
  )


def test_observations_may_be_left_out():
  changed = np.where(SEGMENTS == 2, np.float32(np.nan), LOGPS)
  np.testing.assert_array_equal(
    _loss(changed, observation_weight=0.0), _loss(observation_weight=0.0)
  )
  grads = jax.grad(lambda x: _loss(x, observation_weight=0.0).sum())(changed)
  assert np.isfinite(grads).all()
  assert not np.asarray(grads)[SEGMENTS == 2].any()


def test_padding_and_order_of_tokens_do_not_matter():
  padded = np.pad(LOGPS, ((0, 0), (3, 2)), constant_values=np.nan)
  segments = np.pad(SEGMENTS, ((0, 0), (3, 2)))
  np.testing.assert_allclose(_loss(padded, segments), _loss(), rtol=1e-6)
  np.testing.assert_allclose(
    _loss(LOGPS[:, ::-1], SEGMENTS[:, ::-1]), _loss(), rtol=1e-6
  )


def test_a_number_that_is_no_segment_counts_nothing():
  odd = np.where(SEGMENTS == 0, 9, SEGMENTS)
  np.testing.assert_array_equal(_loss(segments=odd), _loss())


@pytest.mark.parametrize("name", ["rm_weight", "answer_weight"])
def test_negative_weights_are_refused(name):
  with pytest.raises(ValueError, match=f"themis: {name}=-1"):
    _loss(**{name: -1.0})
