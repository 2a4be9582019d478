# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""General preference model, GPO and SPPO."""

import jax
import jax.numpy as jnp
import loss_inputs
import numpy as np
import pytest

from prefjax import losses, models, rewards

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def _embeddings(shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_scores_are_skew_symmetric():
  a, b = _embeddings((2, 5, 6))
  gates = np.abs(_embeddings((5, 3), 1))
  for g in (None, gates):
    there, back = (
      models.preference_score(a, b, g),
      models.preference_score(b, a, g),
    )
    np.testing.assert_array_equal(there, -back)
    np.testing.assert_array_equal(models.preference_score(a, a, g), 0)
  expected = sum(
    gates[:, l]
    * (a[:, 2 * l] * b[:, 2 * l + 1] - a[:, 2 * l + 1] * b[:, 2 * l])
    for l in range(3)
  )
  np.testing.assert_allclose(
    models.preference_score(a, b, gates), expected, rtol=1e-4, atol=1e-5
  )


def test_the_matrix_holds_all_pairs():
  v, gates = _embeddings((2, 4, 6)), np.abs(_embeddings((2, 3), 1))
  matrix = np.asarray(models.preference_matrix(v, gates))
  np.testing.assert_array_equal(matrix, -np.swapaxes(matrix, 1, 2))
  for i in range(4):
    for j in range(4):
      np.testing.assert_allclose(
        matrix[:, i, j],
        models.preference_score(v[:, i], v[:, j], gates),
        rtol=1e-4,
        atol=1e-5,
      )


def test_one_plane_holds_bradley_terry():
  chosen, rejected = _embeddings((2, 6))
  ones = np.ones(6, np.float32)
  stack = lambda r: np.stack([r, ones], -1)  # noqa: E731
  margin = 0.3 * _embeddings((6,), 2)
  np.testing.assert_allclose(
    losses.gpm(stack(chosen), stack(rejected), None, margin, tau=0.4),
    losses.bradley_terry(chosen, rejected, margin, temperature=0.4),
    **CLOSE,
  )


def test_cycles_fit_where_a_scalar_cannot():
  # A > B > C > A.
  v = 0.5 * _embeddings((3, 2))

  def loss(v):
    return losses.gpm(v, jnp.roll(v, -1, axis=0), tau=0.1).sum()

  step = jax.jit(lambda v: v - 0.05 * jax.grad(loss)(v))
  for _ in range(200):
    v = step(v)
  scores = models.preference_score(v, jnp.roll(v, -1, axis=0))
  assert (scores > 0).all()


def test_any_skew_symmetric_matrix_fits():
  # Half as many planes as responses are enough.
  target = _embeddings((4, 4))
  target = target - target.T

  def loss(v):
    return jnp.sum((models.preference_matrix(v[None])[0] - target) ** 2)

  step = jax.jit(lambda v: v - 0.02 * jax.grad(loss)(v))
  v = _embeddings((4, 4), 1)
  for _ in range(1500):
    v = step(v)
  assert loss(v) < 1e-3


def test_gates_and_unit_length():
  logits = _embeddings((3, 4))
  gates = models.preference_gates(logits)
  np.testing.assert_allclose(gates.sum(-1), 1, rtol=1e-6)
  np.testing.assert_allclose(
    models.preference_gates(logits, rescale=True), 4 * gates, rtol=1e-6
  )
  v = _embeddings((3, 4))
  v[1] = 0
  unit = models.normalize_embeddings(v)
  np.testing.assert_allclose(
    np.linalg.norm(unit, axis=-1), [1, 0, 1], rtol=1e-6
  )
  gradient = jax.grad(lambda x: models.normalize_embeddings(x).sum())(v)
  assert np.isfinite(gradient).all()


def test_preference_over_the_other_samples():
  matrix = np.asarray(models.preference_matrix(_embeddings((3, 4, 2))))
  mask = np.array([[1, 1, 1, 1], [1, 1, 0, 1], [0, 0, 1, 0]])
  holes = np.where(mask[:, :, None] * mask[:, None, :], matrix, np.nan)
  for include_self in (True, False):
    for transform in ("score", "probability"):
      out = rewards.preference_vs_policy(
        holes, mask, include_self=include_self, transform=transform
      )
      for row in range(3):
        kept = np.flatnonzero(mask[row])
        for i in range(4):
          others = [j for j in kept if include_self or j != i]
          values = matrix[row, i, others]
          if transform == "probability":
            values = 1 / (1 + np.exp(-values))
          expected = values.mean() if i in kept and others else 0
          np.testing.assert_allclose(out[row, i], expected, **CLOSE)
  whole = rewards.preference_vs_policy(matrix)
  np.testing.assert_allclose(whole.sum(1), 0, atol=1e-5)


@pytest.mark.parametrize("log_z", ["zero", "mean", "exact"])
def test_gpo_is_zero_at_its_targets(log_z):
  scores, ref = _embeddings((2, 3, 4))
  mask = np.array([[1, 1, 1, 1], [1, 0, 1, 1], [0, 0, 0, 0]])
  if log_z == "mean":
    shift = (scores * mask).sum(1) / np.maximum(mask.sum(1), 1)
  elif log_z == "exact":
    total = (np.exp(scores / 0.5) * mask).sum(1) / np.maximum(mask.sum(1), 1)
    shift = 0.5 * np.log(np.where(total > 0, total, 1))
  else:
    shift = np.zeros(3)
  target = ref + (scores - shift[:, None]) / 0.5
  holes = [np.where(mask, x, np.nan) for x in (target, ref, scores)]
  np.testing.assert_allclose(
    losses.gpo(*holes, mask, beta=0.5, log_z=log_z), 0, atol=1e-9
  )
  moved = losses.gpo(holes[0] + 3, *holes[1:], mask, beta=0.5, log_z=log_z)
  np.testing.assert_allclose(moved, [9, 9, 0], rtol=1e-4)
  gradient = jax.grad(
    lambda s: losses.gpo(holes[0], holes[1], s, mask, log_z=log_z).sum()
  )(holes[2])
  np.testing.assert_array_equal(gradient, 0)


def test_sppo_with_certain_wins_is_half_of_sppo_hard():
  pair, ones = loss_inputs.pair(), np.ones(6, np.float32)
  np.testing.assert_allclose(
    losses.sppo(*pair, ones, 0 * ones, beta=0.01),
    losses.sppo_hard(*pair, beta=0.01) / 2,
    rtol=1e-5,
  )


def test_errors():
  a = _embeddings((3, 5))
  with pytest.raises(ValueError, match="expected an even last axis"):
    models.preference_score(a, a)
  with pytest.raises(ValueError, match=r"second has shape \(2, 4\)"):
    models.preference_score(a[:, :4], a[:2, :4])
  with pytest.raises(ValueError, match=r"gates has shape \(3, 3\)"):
    losses.gpm(a[:, :4], a[:, :4], a[:, :3])
  with pytest.raises(ValueError, match="expected \\[B, K, 2k\\]"):
    models.preference_matrix(a[:, :4])
  with pytest.raises(ValueError, match="gpo: beta=0"):
    losses.gpo(a, a, a, beta=0)
  with pytest.raises(ValueError, match=r"matrix has shape \(3, 5\)"):
    rewards.preference_vs_policy(a)
