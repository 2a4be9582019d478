# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Bootstrap intervals: seeds, coverage, pairing."""

import jax
import numpy as np
import pytest
from scipy import stats

from prefjax import analysis


def test_seeded():
  values = np.random.default_rng(0).normal(size=50)

  def interval(key):
    return analysis.bootstrap_interval(key, values, statistic=np.mean, num=200)

  assert interval(jax.random.key(3)) == interval(jax.random.key(3))
  assert interval(jax.random.key(3)) != interval(jax.random.key(4))
  assert interval(3) == interval(3) != interval(4)
  # Old-style raw keys work as well.
  assert interval(jax.random.PRNGKey(3)) == interval(jax.random.key(3))


def test_interval_of_a_mean_is_close_to_theory():
  values = np.random.default_rng(1).normal(2, 3, 400)
  low, high = analysis.bootstrap_interval(
    0, values, statistic=np.mean, num=2000
  )
  half = stats.norm.ppf(0.975) * values.std() / 20
  assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
  assert high == pytest.approx(values.mean() + half, abs=0.1 * half)
  fast = analysis.mean_interval(0, values, num=2000)
  assert fast["mean"] == pytest.approx(values.mean())
  assert fast["low"] == pytest.approx(low, abs=0.1 * half)
  narrow = analysis.mean_interval(0, values, num=2000, level=0.5)
  assert fast["low"] < narrow["low"] < narrow["high"] < fast["high"]


def test_coverage():
  rng = np.random.default_rng(2)
  hits = 0
  for trial in range(300):
    sample = rng.normal(0, 1, 40)
    interval = analysis.mean_interval(trial, sample, num=400)
    hits += interval["low"] <= 0 <= interval["high"]
  # 95 % nominal; percentile intervals of 40 items cover a little less.
  assert 0.89 <= hits / 300 <= 0.99


def test_items_stay_together():
  rng = np.random.default_rng(3)
  a = rng.normal(0, 10, 200)
  values = {"a": a, "b": a + 1}
  low, high = analysis.bootstrap_interval(
    0, values, statistic=lambda v: np.mean(v["b"] - v["a"])
  )
  assert low == pytest.approx(1) and high == pytest.approx(1)
  with pytest.raises(ValueError, match="leading axes differ"):
    analysis.bootstrap_interval(
      0, {"a": a, "b": a[:5]}, statistic=lambda v: 0.0
    )


def test_paired_difference_beats_unpaired_intervals():
  rng = np.random.default_rng(4)
  before = rng.normal(0, 5, 100)
  after = before + 0.3 + rng.normal(0, 0.5, 100)
  value = analysis.paired_difference(0, before, after)
  assert value["low"] > 0 and value["p_value"] <= 0.002
  assert value["mean"] == pytest.approx(np.mean(after - before))
  assert value["high"] - value["low"] < 0.3
  same = analysis.paired_difference(0, before, before)
  assert same == {"mean": 0, "low": 0, "high": 0, "p_value": 1}
  noise = analysis.paired_difference(
    0, np.zeros(100), rng.permutation(np.repeat([-1.0, 1.0], 50))
  )
  assert noise["p_value"] > 0.5


def test_win_rate_by_hand():
  value = analysis.win_rate(
    0, [0.0, 0.0, 0.5, 1.0], [1.0, 0.0, 0.6, 0.0], tie_band=0.2
  )
  assert (value["wins"], value["ties"], value["losses"]) == (0.25, 0.5, 0.25)
  assert value["win_rate"] == 0.5 and value["count"] == 4
  assert value["low"] <= 0.5 <= value["high"]
  strict = analysis.win_rate(0, [0.5, 0.0], [0.6, 0.0])
  assert strict["win_rate"] == 0.75
  wide = analysis.win_rate(1, np.zeros(500), np.arange(500) % 3 - 1)
  assert wide["win_rate"] == pytest.approx(0.5, abs=0.01)
  assert 0.05 < wide["high"] - wide["low"] < 0.1


def test_large_inputs_are_chunked_without_changing_the_answer(monkeypatch):
  from prefjax.analysis import bootstrap

  values = np.random.default_rng(5).normal(size=300)
  whole = analysis.mean_interval(0, values, num=500)
  monkeypatch.setattr(bootstrap, "_CHUNK", 3000)
  parts = analysis.mean_interval(0, values, num=500)
  assert parts == whole


@pytest.mark.parametrize(
  "keywords", [{"num": 0}, {"level": 1.0}, {"level": 0.0}]
)
def test_bad_options_are_refused(keywords):
  with pytest.raises(ValueError, match=next(iter(keywords))):
    analysis.mean_interval(0, [1.0], **keywords)
  with pytest.raises(ValueError, match="at least one item"):
    analysis.mean_interval(0, [])
  with pytest.raises(ValueError, match="1 scores before but 2"):
    analysis.win_rate(0, [1.0], [1.0, 2.0])
  with pytest.raises(ValueError, match="tie_band"):
    analysis.win_rate(0, [1.0], [1.0], tie_band=-1)
  with pytest.raises(ValueError, match="1 items before"):
    analysis.paired_difference(0, [1.0], [1.0, 2.0])


def test_a_list_of_numbers_is_an_array():
  numbers = [1.0, 2.0, 3.0, 5.0]
  assert analysis.bootstrap_interval(
    0, numbers, statistic=np.mean
  ) == analysis.bootstrap_interval(0, np.asarray(numbers), statistic=np.mean)
