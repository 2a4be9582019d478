# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Processors against plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefjax.core import errors
from prefjax.generation import processing


def _apply(logits, *processors):
  history = processing.History(
    prompt=jnp.zeros((1, 1), jnp.int32),
    prompt_mask=jnp.ones((1, 1), bool),
    tokens=jnp.zeros((1, 1, 4), jnp.int32),
    step=jnp.int32(0),
  )
  run = jax.jit(lambda p, l: processing.apply(p, l, history))
  return np.asarray(run(processors, jnp.asarray(logits, jnp.float32)))


def _logits(seed, vocab=17):
  rng = np.random.default_rng(seed)
  return rng.normal(scale=3.0, size=(2, 3, vocab)).astype(np.float32)


@pytest.mark.parametrize("k", [1, 2, 5, 17, 40])
def test_top_k(k):
  logits = _logits(k)
  out = _apply(logits, processing.TopK(k))
  rank = (-logits).argsort(axis=-1).argsort(axis=-1)
  np.testing.assert_array_equal(out, np.where(rank < k, logits, -np.inf))


@pytest.mark.parametrize("p", [1e-9, 0.1, 0.5, 0.9, 0.999])
def test_top_p(p):
  logits = _logits(3)
  out = _apply(logits, processing.TopP(p))
  for row, got in zip(logits.reshape(-1, 17), out.reshape(-1, 17), strict=True):
    probs = np.exp(row.astype(np.float64) - row.max())
    probs /= probs.sum()
    kept, total = set(), 0.0
    for i in np.argsort(-row):
      if kept and total >= p:
        break
      kept.add(int(i))
      total += probs[i]
    assert set(np.flatnonzero(np.isfinite(got))) == kept
    np.testing.assert_array_equal(got[sorted(kept)], row[sorted(kept)])


def test_ties_stay_in_whatever_their_order():
  logits = np.array([[[1.0, 3.0, 1.0, 2.0, 1.0]]])
  for processor in (processing.TopK(3), processing.TopP(0.9)):
    out = _apply(logits, processor)
    np.testing.assert_array_equal(np.isfinite(out), [[[1, 1, 1, 1, 1]]])
  out = _apply(logits, processing.TopK(2))
  np.testing.assert_array_equal(np.isfinite(out), [[[0, 1, 0, 1, 0]]])


def test_tokens_ruled_out_stay_out():
  logits = np.array([[[1.0, -np.inf, 0.5, -np.inf]]])
  for processor in (
    processing.TopK(3),
    processing.TopP(0.9999),
    processing.Temperature(0.5),
  ):
    out = _apply(logits, processor)
    np.testing.assert_array_equal(np.isfinite(out), [[[1, 0, 1, 0]]])


def test_they_are_applied_in_order():
  logits = _logits(0)
  first = _apply(logits, processing.Temperature(0.3), processing.TopP(0.8))
  second = _apply(logits, processing.TopP(0.8), processing.Temperature(0.3))
  hot = _apply(
    _apply(logits, processing.Temperature(0.3)), processing.TopP(0.8)
  )
  np.testing.assert_allclose(first, hot, rtol=1e-6)
  assert np.isfinite(first).sum() < np.isfinite(second).sum()


def test_no_two_processors_have_one_structure():
  """Or JAX would run the program of one for the other, now and then."""
  one = np.float32(0.5)
  made = [
    processing.Temperature(one),
    processing.TopK(1),
    processing.TopK(2),
    processing.TopP(one),
    processing.MinP(one),
    processing.RepetitionPenalty(one),
    processing.Allowed(one),
    processing.Grammar(one),
  ]
  trees = [jax.tree.structure(processor) for processor in made]
  for i, tree in enumerate(trees):
    assert [other == tree for other in trees].index(True) == i
    assert jax.tree.unflatten(tree, jax.tree.leaves(made[i])) == made[i]
  # Another number is no other program.
  other = jax.tree.structure(processing.TopP(np.float32(0.9)))
  assert other == jax.tree.structure(processing.TopP(one))


def test_standard_leaves_out_what_changes_nothing():
  assert processing.standard(1.0, None, None) == ()
  assert processing.standard(1.0, None, 1.0) == ()
  made = processing.standard(0.7, 40, 0.9)
  assert made == (
    processing.Temperature(0.7),
    processing.TopK(40),
    processing.TopP(0.9),
  )
  # Numbers are leaves, so that another value compiles nothing.
  assert jax.tree.leaves(made) == [0.7, 0.9]


@pytest.mark.parametrize(
  "arguments, message",
  [
    ((0.0, None, None), "greedy"),
    ((float("nan"), None, None), "temperature=nan"),
    ((1.0, True, None), "top_k=True"),
    ((1.0, None, 0.0), "top_p=0.0"),
  ],
)
def test_values_out_of_range(arguments, message):
  with pytest.raises(errors.ConfigError, match=message):
    processing.standard(*arguments)


def test_min_p():
  logits = np.log(np.asarray([0.5, 0.26, 0.24, 1e-9], np.float32))
  for p, want in (
    (0.5, [True, True, False, False]),
    (1.0, [True] + [False] * 3),
  ):
    kept = np.asarray(_apply(logits, processing.MinP(p))).ravel()
    np.testing.assert_array_equal(np.isfinite(kept), want)


def test_repetition_penalty_looks_at_prompt_and_response():
  logits = jnp.asarray([[[2.0, -2.0, 4.0, 1.0, -1.0]]])
  history = processing.History(
    prompt=jnp.asarray([[4, 0]]),  # 4 is a pad
    prompt_mask=jnp.asarray([[False, True]]),
    tokens=jnp.asarray([[[1, 3]]]),  # 3 is not drawn yet
    step=jnp.int32(1),
  )
  found = processing.RepetitionPenalty(2.0)(logits, history)
  np.testing.assert_allclose(found[0, 0], [1.0, -4.0, 4.0, 1.0, -1.0])
