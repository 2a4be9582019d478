# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A judge with a known bias for its own answers, among others without.

On each item the own answer is better by d ~ N(delta, 1). The judge prefers it
with probability s(d + b), each of the gold judges with s(d). The naive score
(own wins less losses) cannot tell delta from b; DBG should.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prefjax import analysis, experiments

PAPER = "Self-preference (DBG), arXiv:2506.02592"
METHODS = ()
CLAIM = (
  "Win rate less gold win rate measures a judge's bias for its own answers,"
  " whatever their quality; the win rate alone does not."
)
ARM, BASELINE = "dbg", "naive"
METRIC = "false_alarm"
HIGHER_IS_BETTER = False
EXPECTED = (
  "without a bias |DBG| stays below 3 points at delta -1, 0 and 1, and it"
  " rises with the bias, on every seed; it has the right sign where the naive"
  " score is wrong; 95 % intervals hold the truth in 90 to 99 % of repetitions."
)
NOTE = (
  "Gold is the share of votes. A majority of six sharpens them, and an"
  " unbiased judge of better answers then looks self-critical"
  " (majority_false_alarm)."
)
SEEDS = 5
SETTINGS = {
  "quick": dict(items=2000, repetitions=20, bootstraps=200),
  "full": dict(items=4000, repetitions=200, bootstraps=400),
}
_VOTES = 6
_DELTAS = (-1.0, 0.0, 1.0)
_BIASES = (0.0, 0.4, 0.8, 1.6)


def _sigmoid(x):
  return 1 / (1 + np.exp(-x))


def _draw(rng, items: int, delta: float, bias: float):
  """(judge's preferences, gold votes +-1) for its own answers."""
  d = delta + rng.normal(size=items)
  own = (rng.random(items) < _sigmoid(d + bias)).astype(np.float64)
  votes = np.where(rng.random((items, _VOTES)) < _sigmoid(d)[:, None], 1, -1)
  return own, votes


def _scores(rng, items, delta, bias) -> dict[str, float]:
  own, votes = _draw(rng, items, delta, bias)
  share = analysis.gold_preference(votes, mode="share")
  found = analysis.dbg_score(own, share)
  majority = analysis.dbg_score(own, analysis.gold_preference(votes))
  return {
    "dbg": float(found["dbg"]),
    "naive": float(found["naive"]),
    "majority": float(majority["dbg"]),
  }


def _truth(delta: float, bias: float) -> float:
  """DBG of infinitely many items."""
  nodes, weights = np.polynomial.hermite_e.hermegauss(60)
  d = delta + nodes
  gap = (_sigmoid(d + bias) - _sigmoid(d)) @ weights / weights.sum()
  return 100 * float(gap)


def _coverage(rng, repetitions: int, bootstraps: int) -> float:
  """How often a 95 % interval of 400 items holds the truth."""
  truth, held = _truth(0.5, 0.6), 0
  for _ in range(repetitions):
    own, votes = _draw(rng, 400, 0.5, 0.6)
    gold = analysis.gold_preference(votes, mode="share")
    low, high = analysis.bootstrap_interval(
      int(rng.integers(1 << 31)),
      np.stack([own, gold], axis=1),
      statistic=lambda x: 100 * float(np.mean(x[:, 0] - x[:, 1])),
      num=bootstraps,
    )
    held += low <= truth <= high
  return held / repetitions


def measure(seed: int, settings: Mapping[str, Any]) -> experiments.Arms:
  rng = np.random.default_rng(seed)
  items = settings["items"]
  unbiased = [_scores(rng, items, delta, 0.0) for delta in _DELTAS]
  biased = [_scores(rng, items, 0.0, bias) for bias in _BIASES]
  hidden = _scores(rng, items, -1.0, 0.8)  # worse answers, biased judge

  def alarm(name):
    return float(np.mean([abs(found[name]) for found in unbiased]))

  return {
    ARM: {
      "false_alarm": alarm("dbg"),
      "largest_false_alarm": max(abs(found["dbg"]) for found in unbiased),
      "majority_false_alarm": alarm("majority"),
      "hidden_bias": hidden["dbg"],
      "coverage": _coverage(
        rng, settings["repetitions"], settings["bootstraps"]
      ),
      **{
        f"at_bias_{bias}": found["dbg"]
        for bias, found in zip(_BIASES, biased, strict=True)
      },
    },
    BASELINE: {
      "false_alarm": alarm("naive"),
      "hidden_bias": hidden["naive"],
    },
  }


def accept(seeds: Sequence[experiments.Arms]) -> dict[str, bool]:
  every = experiments.every

  def rises(arms):
    values = [arms[ARM][f"at_bias_{bias}"] for bias in _BIASES]
    return all(a < b for a, b in zip(values, values[1:], strict=False))

  coverage = experiments.mean(seeds, ARM, "coverage")
  return {
    "without a bias |DBG| below 3 points, every seed": every(
      seeds, lambda a: a[ARM]["largest_false_alarm"] < 3
    ),
    "rises with the bias, every seed": every(seeds, rises),
    "a hidden bias has the right sign, which naive misses, every seed": every(
      seeds,
      lambda a: a[ARM]["hidden_bias"] > 0 and a[BASELINE]["hidden_bias"] < 0,
    ),
    "intervals hold the truth in 90 to 99 % of repetitions": (
      0.9 <= coverage <= 0.99
    ),
  }
