# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Running statistics: exact means, moving moments, masks."""

import jax
import numpy as np
import pytest

from prefjax import losses


def test_running_mean_is_the_mean_of_everything_seen():
  rng = np.random.default_rng(0)
  values = rng.normal(size=(7, 5)).astype(np.float32)
  mask = rng.integers(0, 2, (7, 5))
  state = {"mean": np.float32(0), "count": np.float32(0)}
  for row, kept in zip(values, mask, strict=True):
    row = np.where(kept, row, np.float32(np.nan))
    state = losses.running_mean_update(**state, values=row, mask=kept)
  np.testing.assert_allclose(state["mean"], values[mask == 1].mean(), rtol=1e-5)
  assert float(state["count"]) == mask.sum()
  assert state["count"].dtype == np.float32


def test_running_mean_of_nothing_changes_nothing():
  state = {"mean": np.float32(0.3), "count": np.float32(4)}
  nothing = np.full(3, np.nan, np.float32)
  after = losses.running_mean_update(**state, values=nothing, mask=np.zeros(3))
  assert float(after["mean"]) == np.float32(0.3) and after["count"] == 4
  start = losses.running_mean_update(
    np.float32(0), np.float32(0), nothing, np.zeros(3)
  )
  assert float(start["mean"]) == 0 and float(start["count"]) == 0


def test_statistics_carry_no_gradient():
  values = np.arange(4, dtype=np.float32)

  def total(values):
    mean = losses.running_mean_update(0.0, 1.0, values, np.ones(4))["mean"]
    moments = losses.ema_moments(0.0, 1.0, values)
    return mean + moments["mean"] + moments["std"]

  np.testing.assert_array_equal(jax.grad(total)(values), 0)


def test_moving_moments():
  values = np.array([1.0, 2.0, 6.0], np.float32)
  moments = losses.ema_moments(10.0, 2.0, values, decay=0.75)
  np.testing.assert_allclose(moments["mean"], 0.75 * 10 + 0.25 * 3)
  np.testing.assert_allclose(
    moments["std"], 0.75 * 2 + 0.25 * values.std(ddof=1), rtol=1e-6
  )
  same = losses.ema_moments(10.0, 2.0, values, decay=1.0)
  assert float(same["mean"]) == 10 and float(same["std"]) == 2


def test_moving_moments_of_few_values():
  one = losses.ema_moments(10.0, 2.0, np.array([4.0]), decay=0.5)
  assert float(one["mean"]) == 7 and float(one["std"]) == 2
  none = losses.ema_moments(
    10.0, 2.0, np.array([np.nan]), decay=0.5, mask=np.zeros(1)
  )
  assert float(none["mean"]) == 10 and float(none["std"]) == 2
  equal = losses.ema_moments(0.0, 1.0, np.full(3, 0.1, np.float32), decay=0.0)
  assert float(equal["std"]) == 0


def test_masked_values_do_not_count():
  values = np.array([1.0, np.nan, 3.0], np.float32)
  masked = losses.ema_moments(0.0, 1.0, values, mask=np.array([1, 0, 1]))
  plain = losses.ema_moments(0.0, 1.0, values[[0, 2]])
  np.testing.assert_allclose(masked["mean"], plain["mean"], rtol=1e-6)
  np.testing.assert_allclose(masked["std"], plain["std"], rtol=1e-6)


def test_errors():
  with pytest.raises(
    ValueError,
    match=r"running_mean_update: mask has shape \(2,\), expected \(3,\)",
  ):
    losses.running_mean_update(0.0, 0.0, np.ones(3), np.ones(2))
  with pytest.raises(ValueError, match="ema_moments: decay=1.5"):
    losses.ema_moments(0.0, 1.0, np.ones(3), decay=1.5)
