# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""RewardBench's rules, best of n by a proxy, and their plots."""

import itertools
import math

import numpy as np
import pytest

from prefjax.analysis import (
  best_of_n,
  over_optimisation,
  reward_bench,
  reward_plots,
)

# --- credits ------------------------------------------------------------------


@pytest.mark.parametrize(
  "scores, right, credit",
  [
    ([2, 1], [0], 1),
    ([1, 2], [0], 0),
    ([1, 1], [0], 0.5),
    ([3, 1, 2, 0], [0], 1),
    ([3, 3, 2, 0], [0], 0.5),
    ([3, 3, 3, 3], [1], 0.25),
    ([2, 3, 3, 0], [0], 0),
    ([5, 4, 1], [0, 1], 1),
    ([5, 1, 4], [0, 1], 0),
    ([5, 4, 4], [0, 1], 0.5),
  ],
)
def test_credits(scores, right, credit):
  assert reward_bench.credit(scores, right) == credit


def test_what_earns_nothing_clear_is_refused():
  for wrong in ([], [0, 1]):
    with pytest.raises(ValueError, match="must be right and wrong"):
      reward_bench.credit([1, 2], wrong)
  with pytest.raises(ValueError, match="NaN"):
    reward_bench.credit([1, math.nan], [0])


@pytest.mark.parametrize("number, right", [(2, 1), (4, 1), (5, 2), (4, 3)])
def test_chance_is_what_random_orders_earn(number, right):
  earned = [
    reward_bench.credit(order, range(right))
    for order in itertools.permutations(range(number))
  ]
  assert reward_bench.chance(number, right) == pytest.approx(np.mean(earned))


def test_sections_halves_and_intervals():
  rng = np.random.default_rng(0)
  names = ["mt-bench-hard"] * 40 + ["llmbar-natural"] * 20
  names += ["math-prm"] * 50 + ["hep-cpp"] * 30 + ["hep-go"] * 10
  names += ["mine"] * 25
  values = (rng.random(len(names)) < 0.7).astype(float)
  found = reward_bench.by_subset(values, names)

  def of(*subsets):
    return values[[n in subsets for n in names]]

  assert set(found["sections"]) == {"chat hard", "reasoning", "mine"}
  hard = found["sections"]["chat hard"]
  assert hard["mean"] == pytest.approx(
    of("mt-bench-hard", "llmbar-natural").mean()
  )
  assert hard["count"] == 60 and hard["low"] < hard["mean"] < hard["high"]
  # Mathematics weighs as much as all of the code.
  code = of("hep-cpp", "hep-go").mean()
  assert found["sections"]["reasoning"]["mean"] == pytest.approx(
    (of("math-prm").mean() + code) / 2
  )
  means = [s["mean"] for s in found["sections"].values()]
  assert found["score"]["mean"] == pytest.approx(np.mean(means))
  assert found["all"]["mean"] == pytest.approx(values.mean())
  own = reward_bench.by_subset(values, names, sections={}, halves={})
  assert set(own["sections"]) == set(names)
  assert reward_bench.by_subset(values, names) == found
  with pytest.raises(ValueError, match="3 credits for 2"):
    reward_bench.by_subset([1, 0, 1], ["a", "b"])


# --- over-optimisation --------------------------------------------------------


def test_the_best_of_n_by_a_proxy_is_a_mean_over_subsets():
  rng = np.random.default_rng(0)
  gold = rng.normal(size=(3, 6))
  distinct = rng.normal(size=(3, 6))
  for n in (2, 4):
    want = [
      np.mean(
        [
          gold[row, max(chosen, key=lambda i, row=row: distinct[row, i])]
          for chosen in itertools.combinations(range(6), n)
        ]
      )
      for row in range(3)
    ]
    np.testing.assert_allclose(
      over_optimisation.best_of_n_by(distinct, gold, n=n), want, atol=1e-9
    )
  np.testing.assert_allclose(
    over_optimisation.best_of_n_by(gold, gold, n=3),
    best_of_n.best_of_n_expected(gold, n=3),
    rtol=1e-5,
  )


def test_equal_scores_choose_nothing():
  gold = np.random.default_rng(1).normal(size=(2, 5))
  flat = np.zeros((2, 5))
  for n in (1, 3, 5):
    np.testing.assert_allclose(
      over_optimisation.best_of_n_by(flat, gold, n=n), gold.mean(1)
    )


def test_a_proxy_that_is_optimised_too_hard_shows():
  rng = np.random.default_rng(2)
  quality = rng.normal(size=(400, 64))
  trick = rng.exponential(1.0, (400, 64))  # a heavy tail that only fools
  proxy, gold = quality + trick, quality - 0.9 * trick
  rows = over_optimisation.best_of_n_curve(proxy, gold)
  assert [row["n"] for row in rows] == [1, 2, 4, 8, 16, 32, 64]
  assert all(b["proxy"] > a["proxy"] for a, b in itertools.pairwise(rows))
  assert rows[-1]["gold"] < rows[0]["gold"]
  for row in rows:
    assert row["gold_low"] <= row["gold"] <= row["gold_high"]
    assert row["gold"] <= row["ceiling"] + 1e-9
    assert row["kl"] == pytest.approx(
      math.log(row["n"]) - (row["n"] - 1) / row["n"], abs=1e-6
    )
  honest = over_optimisation.best_of_n_curve(quality, quality, sizes=[1, 8])
  assert honest[1]["gold"] == pytest.approx(honest[1]["ceiling"])


def test_the_fit_finds_its_own_form():
  d = np.linspace(0, 2, 9)
  found = over_optimisation.fit(d, d * (1.5 - 0.5 * d))
  assert found["alpha"] == pytest.approx(1.5)
  assert found["beta"] == pytest.approx(0.5)
  assert found["peak"] == pytest.approx(1.5)
  assert over_optimisation.fit(d, d)["peak"] > 1e3
  with pytest.raises(ValueError, match="fewer than two"):
    over_optimisation.fit([0, 1], [0, 1])


def test_plots(tmp_path):
  gold = np.random.default_rng(0).normal(size=(20, 8))
  rows = over_optimisation.best_of_n_curve(gold, gold)
  path = reward_plots.over_optimisation_plot(tmp_path / "o.png", rows)
  assert path.stat().st_size > 5000
  assert reward_plots.over_optimisation_plot(tmp_path / "x", rows[:1]) is None
  found = reward_bench.by_subset([1, 0, 1, 1], ["a", "a", "b", "b"])
  path = reward_plots.category_plot(tmp_path / "c.png", found["sections"])
  assert path.stat().st_size > 5000
  assert reward_plots.category_plot(tmp_path / "x", {}) is None
