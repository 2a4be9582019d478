# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Verdicts, effects and the page of all experiments."""

import numpy as np
import pytest

from prefjax.experiments import judging, table

_UP = {"mean": 1.0, "low": 0.5, "high": 1.5}
_AROUND = {"mean": 0.1, "low": -0.5, "high": 0.7}
_DOWN = {"mean": -1.0, "low": -1.5, "high": -0.5}


@pytest.mark.parametrize(
  ("checks", "interval", "higher", "expected"),
  [
    ([True, True], _UP, True, "shown"),
    ([True, True], _DOWN, False, "shown"),
    ([True, True], _AROUND, True, "mixed"),
    ([True, True], _DOWN, True, "mixed"),
    ([True, False], _UP, True, "mixed"),
    ([False, True], _UP, True, "mixed"),
    ([False, True], _AROUND, True, "not shown"),
    ([False, False], _DOWN, True, "not shown"),
    ([False, True], _UP, False, "not shown"),
  ],
)
def test_verdicts(checks, interval, higher, expected):
  named = {str(i): holds for i, holds in enumerate(checks)}
  assert judging.verdict(named, interval, higher) == expected


def _seeds(*pairs):
  return [{"a": {"x": a}, "b": {"x": b}} for a, b in pairs]


def test_the_difference_is_paired():
  # Seeds differ far more than arms: only pairing sees it.
  seeds = _seeds(*((100.0 * i + 1, 100.0 * i) for i in range(5)))
  found = judging.difference(seeds, "a", "b", "x")
  assert (found["mean"], found["low"], found["high"]) == (1.0, 1.0, 1.0)
  noisy = _seeds((1, 2), (3, 1), (2, 5), (9, 4))
  gap = judging.difference(noisy, "a", "b", "x")
  assert gap["mean"] == np.mean([-1, 2, -3, 5])
  assert gap["low"] < 0 < gap["high"]
  assert judging.difference(noisy, "b", "a", "x")["mean"] == -gap["mean"]


def test_helpers_over_seeds():
  seeds = _seeds((1, 2), (3, 1))
  assert judging.mean(seeds, "a", "x") == 2.0
  np.testing.assert_array_equal(judging.values(seeds, "b", "x"), [2, 1])
  assert judging.every(seeds, lambda arms: arms["a"]["x"] > 0)
  assert not judging.every(seeds, lambda arms: arms["a"]["x"] > 1)
  assert judging.summary(seeds)["a"]["x"]["mean"] == 2.0


@pytest.mark.parametrize(
  ("gap", "text"),
  [
    (_UP, "x y +1.00 [+0.50, +1.50]"),
    (dict(mean=0.012, low=-0.002, high=0.02), "x y +0.012 [-0.002, +0.020]"),
    (dict(mean=-120.4, low=-130.0, high=-110.0), "x y -120 [-130, -110]"),
  ],
)
def test_effects_in_words(gap, text):
  assert judging.effect("x_y", gap) == text


def _result(**changes):
  return {
    "slug": "toy",
    "paper": "Toy | paper",
    "claim": "a claim",
    "arm": "a",
    "baseline": "b",
    "metric": "x",
    "verdict": "shown",
    "effect": "x +1.00 [+0.50, +1.50]",
    "expected": "the rule",
    "checks": {"first": True, "second": False},
    "note": "A finding.",
    "arms": {"a": {"x": {"mean": 2.0}}, "b": {"x": {"mean": 1.0}}, "c": {}},
    "seeds": [{"seed": 1}, {"seed": 2}],
    "seconds": 12.4,
    **changes,
  }


def test_the_page():
  page = table.markdown([_result(), _result(slug="other", note="")])
  assert (
    "| [toy](toy/experiment.py) | Toy \\| paper | a claim | a - b | **shown** |"
    " x +1.00 [+0.50, +1.50] | 2 | 12 |"
  ) in page
  assert "- yes: first\n- no: second" in page
  assert "Mean x: a 2, b 1." in page and "A finding." in page
  assert "Beside the rule" not in page
  beside = table.markdown([_result(further={"third": False})])
  assert "without a part in the verdict:\n\n- no: third\n" in beside
  assert page.count("### ") == 2 and page.endswith("(other/plot.png)\n")
