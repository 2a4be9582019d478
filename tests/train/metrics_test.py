# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""From sums to numbers: means, correlations, alarms."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from prefjax.core import types
from prefjax.methods import diagnostics
from prefjax.train import metrics as metrics_lib


def _sum(total, weight=1.0):
  return types.WeightedSum(total=jnp.float32(total), weight=jnp.float32(weight))


def test_sums_are_divided_once():
  left = {"a": _sum(3.0, 2.0), "b": _sum(1.0)}
  right = {"a": _sum(5.0, 2.0), "c": _sum(7.0)}
  both = metrics_lib.add(left, right)
  assert metrics_lib.finish(both) == {"a": 2.0, "b": 1.0, "c": 7.0}
  assert left.keys() == {"a", "b"}  # nothing is changed in place


def test_what_nothing_was_counted_for_is_left_out():
  found = metrics_lib.finish({"a": _sum(0.0, 0.0), "b": _sum(math.nan)})
  assert found.keys() == {"b"} and math.isnan(found["b"])
  assert isinstance(found["b"], float)


class _Batch:
  def __init__(self, weight):
    self.example_weight = jnp.asarray(weight, jnp.float32)


def _moments(margins, differences, weight):
  """What pairwise methods report of these margins and lengths."""
  zero = jnp.zeros(len(margins), jnp.float32)
  arrays = {
    "chosen_logps": jnp.asarray(margins, jnp.float32),
    "rejected_logps": zero,
    "chosen_lengths": 20 + jnp.asarray(differences, jnp.float32),
    "rejected_lengths": zero + 20,
    "pair_valid": zero == 0,
  }
  scale = diagnostics.RewardScale()
  return diagnostics.pair_metrics(arrays, _Batch(weight), scale)


def test_moments_become_the_correlation():
  rng = np.random.default_rng(0)
  margins, lengths = rng.normal(3, 2, 64), rng.integers(-9, 9, 64)
  margins = margins + 0.2 * lengths
  weight = rng.integers(0, 4, 64)
  halves = [
    _moments(margins[part], lengths[part], weight[part])
    for part in (slice(0, 20), slice(20, 64))
  ]
  found = metrics_lib.finish(metrics_lib.add(*halves))
  repeated = np.repeat(np.stack([margins, lengths]), weight, axis=1)
  want = np.corrcoef(repeated)[0, 1]
  assert 0.2 < want < 0.9
  np.testing.assert_allclose(found["length_bias/correlation"], want, rtol=1e-4)
  assert not any(name.startswith("moments/") for name in found)
  # The other length diagnostics, by hand.
  kept, longer = weight > 0, lengths > 0
  chosen = (margins > 0)[kept & longer]
  np.testing.assert_allclose(
    found["length_bias/accuracy_chosen_longer"],
    np.average(chosen, weights=weight[kept & longer]),
    rtol=1e-5,
  )
  np.testing.assert_allclose(
    found["rewards/margins"], np.average(margins, weights=weight), rtol=1e-5
  )


def test_a_perfect_correlation_is_one():
  lengths = np.arange(8)
  found = metrics_lib.finish(_moments(2.0 * lengths + 1, lengths, np.ones(8)))
  np.testing.assert_allclose(found["length_bias/correlation"], 1, rtol=1e-5)


@pytest.mark.parametrize(
  "margins, lengths",
  [(np.full(6, 1.3), np.arange(6)), (np.arange(6), np.full(6, 3))],
)
def test_no_correlation_without_a_spread(margins, lengths):
  found = metrics_lib.finish(_moments(margins, lengths, np.ones(6)))
  assert "length_bias/correlation" not in found


def test_the_alarm_speaks_once_a_stretch():
  alarm = metrics_lib.StuckAlarm(patience=3)
  stuck = math.log(2) + 5e-5
  said = [alarm.see(x) for x in [stuck] * 5 + [0.6] + [stuck] * 3]
  assert said == [False, False, True, False, False, False, False, False, True]
  assert not any(alarm.see(math.nan) for _ in range(9))


def test_effective_batch():
  assert metrics_lib.effective_batch([1, 1, 0, 1]) == 3
  assert metrics_lib.effective_batch([3, 1]) == pytest.approx(1.6)
  assert metrics_lib.effective_batch([0, 0]) == 0
