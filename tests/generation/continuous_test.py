# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Continuous batching gives what batches give, in fewer steps."""

import jax
import model_support
import numpy as np
import pytest

from prefjax import generation, models
from prefjax.core import errors
from prefjax.generation import continuous, sampling
from prefjax.models import config as config_lib


def _model(**changes):
  model = models.Model(model_support.config(**changes))
  return model, model.init(jax.random.key(1))


def _prompts(number, vocab=32, seed=0):
  rng = np.random.default_rng(seed)
  lengths = rng.integers(1, 9, number)
  return [rng.integers(0, vocab, n).tolist() for n in lengths]


def _same(model, params, prompts, **options):
  """Asserts that three rows at a time give what all at once give."""
  options = dict(max_new_tokens=12, seed=4, **options)
  whole = generation.generate(model, params, prompts, **options)
  rows = generation.generate(model, params, prompts, rows=3, **options)
  np.testing.assert_array_equal(rows.tokens, whole.tokens)
  np.testing.assert_array_equal(rows.lengths, whole.lengths)
  np.testing.assert_array_equal(rows.finish, whole.finish)
  for name in ("logps", "policy_logps"):
    np.testing.assert_allclose(
      getattr(rows, name), getattr(whole, name), atol=2e-5
    )
  return whole


def test_draws_are_those_of_a_batch():
  """Endings differ, rows change hands, and the cache goes round."""
  model, params = _model()
  made = _same(
    model,
    params,
    _prompts(7),
    num_samples=3,
    eos_ids=(3, 5, 8, 13),
    stop=((1, 2), (4,)),
    temperature=1.3,
    top_p=0.95,
    repetition_penalty=1.2,
  )
  assert len(np.unique(made.lengths)) > 4
  assert set(np.unique(made.finish)) == {0, 1, 2}


def test_windows_look_back_the_same_way_round_the_ring():
  slot = config_lib.Slot(window=4, rope=config_lib.Rope())
  model, params = _model(pattern=(slot,), num_layers=1)
  _same(model, params, _prompts(5), eos_ids=(3, 5, 8), greedy=True)


def test_long_responses_do_not_hold_up_short_ones():
  """One prompt never ends; the other seven end at once."""
  model, params = _model()
  prompts = _prompts(8)
  first = generation.generate(
    model, params, prompts, max_new_tokens=1, greedy=True
  ).tokens[:, 0, 0]
  ends = sorted(set(first[1:].tolist()) - {int(first[0])})
  number = int(np.isin(first, ends).sum())
  assert number >= 4
  settings = continuous.Settings(
    np.int32(12), sampling.padded(ends), np.zeros((0, 0), np.int32), ()
  )
  output, steps = continuous.decode(
    model,
    params,
    None,
    settings,
    sampling.align(prompts, 16, 8),
    jax.random.split(jax.random.key(0), 8),
    samples=1,
    slots=16,
    rows=2,
    greedy=True,
  )
  lengths = output.lengths[:, 0]
  # Batches of two would wait for the longer one of each.
  waits = lengths.reshape(4, 2).max(axis=1).sum()
  assert steps < waits
  assert lengths[np.isin(first, ends)].max() == 1


def test_more_rows_than_responses():
  model, params = _model()
  prompts = _prompts(2)
  options = dict(max_new_tokens=4, seed=1, eos_ids=())
  whole = generation.generate(model, params, prompts, **options)
  rows = generation.generate(model, params, prompts, rows=16, **options)
  np.testing.assert_array_equal(rows.tokens, whole.tokens)


@pytest.mark.parametrize("name,value", [("batch_size", 2), ("place", id)])
def test_what_does_not_go_together(name, value):
  model, params = _model()
  with pytest.raises(errors.ConfigError, match=f"rows: .*{name}"):
    generation.generate(
      model, params, [[1]], max_new_tokens=2, rows=2, **{name: value}
    )
  with pytest.raises(errors.ConfigError, match="rows=0"):
    generation.generate(model, params, [[1]], max_new_tokens=2, rows=0)
