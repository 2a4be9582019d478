# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The order of examples: bijections, coverage, windows, no replay."""

import time

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from prefjax.core import errors
from prefjax.data import order, permutation


@pytest.mark.parametrize("n", [1, 2, 3, 5, 16, 17, 100, 1023, 4096, 5000])
def test_permutations_are_bijections(n):
  seen = set()
  for seed in range(5):
    moved = permutation.Permutation(n, permutation.key(7, seed))(np.arange(n))
    assert sorted(moved) == list(range(n))
    seen.add(tuple(moved))
  assert n < 10 or len(seen) == 5


def test_permutations_are_position_by_position():
  whole = permutation.Permutation(777, 5)(np.arange(777))
  one = permutation.Permutation(777, 5)
  assert [int(one(i)) for i in range(50)] == list(whole[:50])
  with pytest.raises(ValueError, match="outside"):
    one(777)


def test_permutations_never_change():
  # Runs resume on these numbers: a change breaks every run in progress.
  moved = permutation.Permutation(10, permutation.key(1, 2))(np.arange(10))
  assert moved.tolist() == [7, 5, 8, 9, 1, 4, 3, 6, 2, 0]
  assert permutation.key(0) == 12035550249420947055


def test_permutations_look_random():
  """Over keys, every position goes everywhere about equally often."""
  n, keys = 12, 6000
  counts = np.zeros((n, n))
  for k in range(keys):
    moved = permutation.Permutation(n, permutation.key(3, k))(np.arange(n))
    counts[np.arange(n), moved] += 1
  expected = keys / n
  chi = float(((counts - expected) ** 2 / expected).sum())
  free = (n - 1) ** 2
  assert abs(chi - free) < 6 * np.sqrt(2 * free)
  # Neighbours part: no trace of the order is left in a large permutation.
  moved = permutation.Permutation(20_000, 9)(np.arange(20_000))
  assert abs(np.corrcoef(moved[:-1], moved[1:])[0, 1]) < 0.03
  assert abs(np.corrcoef(np.arange(20_000), moved)[0, 1]) < 0.03


def make(n, batch, **options):
  levels = options.pop("levels", np.random.default_rng(0).integers(0, 3, n))
  settings = {
    "seed": 0,
    "shuffle": True,
    "epochs": None,
    "remainder": "wrap",
    "window": 4,
  }
  return order.Order(levels, batch, **{**settings, **options})


@hypothesis.settings(max_examples=150, deadline=None, derandomize=True)
@hypothesis.given(
  n=st.integers(1, 60),
  batch=st.integers(1, 20),
  window=st.integers(1, 5),
  remainder=st.sampled_from(order.REMAINDERS),
  shuffle=st.booleans(),
  seed=st.integers(0, 3),
  epochs=st.integers(1, 4),
)
def test_every_epoch_holds_everything_once(
  n, batch, window, remainder, shuffle, seed, epochs
):
  hypothesis.assume(remainder != "drop" or n >= batch)
  options = dict(window=window, remainder=remainder, shuffle=shuffle, seed=seed)
  it = make(n, batch, epochs=epochs, **options)
  rows, real = zip(*(it.rows(s) for s in range(it.num_steps)), strict=True)
  assert all(r.shape == (batch,) and m.shape == (batch,) for r, m in
             zip(rows, real, strict=True))  # fmt: skip
  stream = np.concatenate(rows)[np.concatenate(real)]
  counts = np.bincount(stream, minlength=n)
  if remainder == "drop":
    assert (
      counts.max() <= epochs and len(stream) == epochs * (n // batch) * batch
    )
  else:
    assert (counts == epochs).all()
    for e in range(epochs):  # epoch after epoch, not only in total
      part = stream[e * n : (e + 1) * n]
      assert sorted(part) == list(range(n))
  if not shuffle and window == 1 and remainder != "drop":
    assert list(stream) == list(range(n)) * epochs
  endless = make(n, batch, **options)
  for step in range(max(it.num_steps - 1, 0)):
    assert (endless.rows(step)[0] == rows[step]).all()
  with pytest.raises(ValueError, match="outside"):
    it.rows(it.num_steps)


def test_rows_do_not_depend_on_what_was_asked_before():
  steps = [17, 3, 250, 3, 0, 999_999]
  one = make(57, 8)
  first = {s: one.rows(s)[0].tolist() for s in steps}
  for step in steps:
    assert make(57, 8).rows(step)[0].tolist() == first[step]


def test_windows_sort_by_bucket():
  levels = np.random.default_rng(1).integers(0, 3, 640)

  def mixed(window):
    it = make(640, 8, levels=levels, window=window)
    return np.mean([len(set(levels[it.rows(s)[0]])) > 1 for s in range(80)])

  assert mixed(1) > 0.9
  assert mixed(16) < 0.2


def test_the_order_of_batches_shows_no_bucket_trend():
  levels = np.repeat([0, 1], 320)
  it = make(640, 8, levels=levels, window=8)
  kinds = np.array([levels[it.rows(s)[0]].max() for s in range(80)])
  early = kinds.reshape(10, 8)[:, :4].mean()
  assert 0.3 < early < 0.7


def test_seeds_and_epochs_differ():
  a, b = make(64, 8, seed=1), make(64, 8, seed=2)
  assert a.rows(0)[0].tolist() != b.rows(0)[0].tolist()
  assert a.rows(0)[0].tolist() != a.rows(8)[0].tolist()


def test_late_steps_cost_what_early_steps_cost():
  def cost(step):
    best = 1.0
    for _ in range(5):
      it = make(100_000, 64)
      start = time.perf_counter()
      it.rows(step)
      best = min(best, time.perf_counter() - start)
    return best

  early = cost(1)
  assert cost(10**9) < 20 * early + 0.01


@pytest.mark.parametrize(
  "options,field",
  [
    ({"batch": 0}, "batch_size"),
    ({"window": 0}, "window"),
    ({"epochs": 0}, "epochs"),
    ({"remainder": "keep"}, "remainder"),
    ({"batch": 99, "remainder": "drop"}, "batch_size"),
  ],
)
def test_bad_options_name_the_key(options, field):
  options = {"n": 10, "batch": 4, **options}
  with pytest.raises(errors.ConfigError, match=f"data.{field}"):
    make(**options)
