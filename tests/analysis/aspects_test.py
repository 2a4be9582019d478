# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Effects of the switches of a grid."""

import math

import pytest

from prefjax import analysis
from prefjax.core import errors


def _runs():
  return [
    {"data": d, "method": m, "seed": s, "value": 10 * d + (m == "ppo") * s}
    for d in (1, 2)
    for m in ("dpo", "ppo")
    for s in (1, 2, 3)
  ]


def test_effects_are_paired():
  data, method = analysis.aspect_grid(_runs())
  assert data == {
    "aspect": "data",
    "level": 2,
    "baseline": 1,
    "effect": 10,
    "se": 0,
    "pairs": 6,
  }
  assert (method["level"], method["baseline"]) == ("ppo", "dpo")
  assert method["effect"] == 2 and method["pairs"] == 6
  # Differences 1, 2, 3, 1, 2, 3.
  assert method["se"] == pytest.approx(math.sqrt(4 / 5 / 6))


def test_runs_without_a_partner_are_left_out():
  runs = [r for r in _runs() if not (r["data"] == 1 and r["method"] == "ppo")]
  (data,) = analysis.aspect_grid(runs, aspects=["data"])
  assert data["pairs"] == 3
  alone = [runs[0], {**runs[-1], "method": "grpo"}]
  rows = analysis.aspect_grid(alone)
  assert all(r["pairs"] == 0 and math.isnan(r["effect"]) for r in rows)
  one = analysis.aspect_grid([runs[0], {**runs[0], "data": 2}])
  assert one[0]["pairs"] == 1 and math.isnan(one[0]["se"])
  assert analysis.aspect_grid([]) == []


def test_own_metric():
  runs = [{"data": d, "loss": -d} for d in (1, 2)]
  (row,) = analysis.aspect_grid(runs, metric="loss")
  assert row["effect"] == -1


def test_errors():
  runs = _runs()
  with pytest.raises(errors.DataError, match="run 1 comes twice"):
    analysis.aspect_grid([runs[0], runs[0]])
  with pytest.raises(errors.DataError, match="differ in their keys: .'seed'"):
    analysis.aspect_grid([runs[0], {"data": 1, "method": "x", "value": 0}])
  with pytest.raises(errors.DataError, match="did you mean 'data'"):
    analysis.aspect_grid(runs, aspects=["dat"])
