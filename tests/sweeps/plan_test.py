# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Names, groups and words of the runs of a sweep."""

import pytest

from prefjax.core import errors
from prefjax.sweeps import plan


def _runs(*overrides):
  return [plan.Planned(plan.name_of(o), o, "") for o in overrides]


def test_runs_that_differ_in_seeds_are_one_group():
  runs = _runs(
    {"a.b": 1, "seed": 0},
    {"a.b": 2, "seed": 0},
    {"a.b": 1, "seed": 1},
    {"a.b": 2, "seed": 1, "data.language.seed": 5},
  )
  groups = plan.grouped(runs)
  assert [[r.overrides["seed"] for r in g] for g in groups] == [[0, 1], [0, 1]]
  assert groups[1][1].group == {"a.b": 2}
  assert not plan.is_seed("data.seeds") and plan.is_seed("data.language.seed")


def test_names_tell_runs_apart_and_are_safe():
  names = [
    plan.name_of(o)
    for o in (
      {},
      {"data.train": "/a/b c.jsonl"},
      {"data.train": "/a/b_c.jsonl"},
      {"opt.learning_rate": 1e-3, "seed": 1},
      {"x": "y" * 500},
    )
  ]
  assert len(set(names)) == len(names)
  assert all("/" not in n and " " not in n and len(n) < 100 for n in names)
  assert names[3].startswith("learning_rate=0.001+seed=1-")


def test_words_of_a_command_line():
  words = plan.words({"a": 0.1, "b": True, "c": "x y", "d": (1, 2)})
  assert words == [
    "--config.a=0.1",
    "--config.b=true",
    "--config.c=x y",
    "--config.d=(1, 2)",
  ]


@pytest.mark.parametrize(
  ("listed", "said"),
  [
    ("abc", "must return a list"),
    ([], "no run"),
    ([1], "run 0 is no dict"),
    ([{"a": 1}, {"b": 1}, {"a": 1}], "runs 0 and 2 have the same"),
    ([{"a": object()}], "no plain value"),
  ],
)
def test_a_list_that_is_none_is_refused(listed, said):
  with pytest.raises(errors.ConfigError, match=said):
    plan.check(listed, "sweep.py")
