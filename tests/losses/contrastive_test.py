# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities and errors of contrastive losses on features."""

import jax
import numpy as np
import pytest

from prefjax import losses

B, D, P = 6, 8, 3
CLOSE = {"rtol": 1e-5, "atol": 1e-6}
MASK = np.array([1, 1, 0, 1, 0, 1])


def _features(seed=0, rows=B):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(2, rows, D)).astype(np.float32)


def _prototypes():
  return np.random.default_rng(9).normal(size=(P, D)).astype(np.float32)


def _unit(x):
  return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_simcse_against_its_definition():
  a, p = _features()
  scores = np.exp(_unit(a) @ _unit(p).T / 0.2)
  expected = -np.log(np.diagonal(scores) / scores.sum(1))
  np.testing.assert_allclose(
    losses.simcse(a, p, temperature=0.2), expected, **CLOSE
  )


def test_simcse_ends():
  a, p = _features(rows=1)
  assert losses.simcse(a, p) == 0
  same = np.ones((B, D), np.float32)
  np.testing.assert_allclose(losses.simcse(same, same), np.log(B), rtol=1e-6)
  # A feature of zero has no direction and no NaN.
  value, gradient = jax.value_and_grad(lambda x: losses.simcse(x, same).sum())(
    0 * same
  )
  assert np.isfinite(value) and np.isfinite(gradient).all()


def test_padding_rows_are_as_if_absent():
  views, prototypes = _features(), _prototypes()
  real = MASK == 1
  holes = [np.where(real[:, None], x, np.nan) for x in views]
  small = [x[real] for x in views]
  for loss, rest in ((losses.simcse, ()), (losses.swav, (prototypes,))):
    out = loss(*holes, *rest, mask=MASK)
    np.testing.assert_allclose(out[real], loss(*small, *rest), **CLOSE)
    assert (out[~real] == 0).all()
    gradient = jax.grad(
      lambda x, loss=loss, rest=rest: loss(x, holes[1], *rest, mask=MASK).sum()
    )(holes[0])
    assert np.isfinite(gradient).all() and (gradient[~real] == 0).all()


def test_codes_share_prototypes_evenly():
  scores = np.random.default_rng(1).normal(size=(12, 4)).astype(np.float32)
  codes = losses.sinkhorn_codes(scores, epsilon=0.5)
  np.testing.assert_allclose(codes.sum(1), 1, rtol=1e-6)
  many = losses.sinkhorn_codes(scores, epsilon=0.5, iterations=200)
  np.testing.assert_allclose(many.sum(0), 3, rtol=1e-3)
  # Row and column scalings do not change a doubly normalised matrix.
  shifted = scores + np.arange(12)[:, None] - np.arange(4)
  np.testing.assert_allclose(
    losses.sinkhorn_codes(shifted, epsilon=0.5, iterations=200),
    many,
    rtol=1e-2,
    atol=1e-4,
  )


def test_codes_by_plain_normalisation():
  scores = np.random.default_rng(2).normal(size=(5, 3))
  q = np.exp(scores / 0.7)
  for _ in range(2):
    q /= q.sum(0, keepdims=True) * 3
    q /= q.sum(1, keepdims=True) * 5
  np.testing.assert_allclose(
    losses.sinkhorn_codes(scores, epsilon=0.7, iterations=2), q * 5, rtol=1e-4
  )


def test_codes_of_nothing_and_of_far_scores():
  scores = 1e4 * np.random.default_rng(3).normal(size=(5, 3))
  assert np.isfinite(losses.sinkhorn_codes(scores)).all()
  none = losses.sinkhorn_codes(scores, mask=np.zeros(5))
  np.testing.assert_array_equal(none, 0)
  gradient = jax.grad(
    lambda s: (losses.sinkhorn_codes(s) * np.arange(3)[None]).sum()
  )(scores.astype(np.float32))
  np.testing.assert_array_equal(gradient, 0)


def test_swav_swaps_the_codes():
  a, b = _features()
  prototypes = _prototypes()
  scores = [_unit(x) @ _unit(prototypes).T for x in (a, b)]
  codes = [np.asarray(losses.sinkhorn_codes(s, epsilon=0.3)) for s in scores]
  logps = [np.asarray(jax.nn.log_softmax(s / 0.2)) for s in scores]
  expected = -(codes[1] * logps[0] + codes[0] * logps[1]).sum(-1)
  loss = losses.swav(a, b, prototypes, temperature=0.2, epsilon=0.3)
  np.testing.assert_allclose(loss, expected, rtol=1e-4)
  np.testing.assert_allclose(
    losses.swav(b, a, prototypes, temperature=0.2, epsilon=0.3), loss, **CLOSE
  )
  one = losses.swav(a, b, prototypes[:1])
  np.testing.assert_allclose(one, 0, atol=1e-6)


def test_errors():
  a, b = _features()
  with pytest.raises(ValueError, match="simcse: temperature=0"):
    losses.simcse(a, b, temperature=0)
  with pytest.raises(ValueError, match=r"swav: prototypes has shape \(3, 2\)"):
    losses.swav(a, b, _prototypes()[:, :2])
  with pytest.raises(ValueError, match=r"simcse: mask has shape \(2,\)"):
    losses.simcse(a, b, mask=MASK[:2])
  with pytest.raises(ValueError, match="sinkhorn_codes: iterations=0"):
    losses.sinkhorn_codes(a, iterations=0)
