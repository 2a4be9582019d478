# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Seeds are measured once, kept at once, and judged by the stored numbers."""

import json
import types

import pytest

from prefjax import experiments
from prefjax.core import errors
from prefjax.experiments import harness, spec, store

_SOURCE = '''"""A toy."""
PAPER = "Toy, arXiv:0000.00000"
CLAIM = "mine is better"
ARM, BASELINE, METRIC = "mine", "theirs", "gold"
HIGHER_IS_BETTER = True
EXPECTED = "gold higher on every seed"
SETTINGS = {"quick": {"gain": 1.0}, "full": {"gain": 2.0}}
SEEDS = 3

def measure(seed, settings):
  """Numbers."""
  return {
    "mine": {"gold": seed + settings["gain"], "only_mine": 1},
    "theirs": {"gold": seed + 0.0},
  }

def accept(seeds):
  return {"higher": all(a["mine"]["gold"] > a["theirs"]["gold"] for a in seeds)}
'''


def _experiment(folder, source=_SOURCE, **changes):
  folder.mkdir(parents=True, exist_ok=True)
  path = folder / spec.MODULE
  path.write_text(source)
  module = types.ModuleType("toy")
  module.__file__ = str(path)
  namespace = {
    "PAPER": "Toy, arXiv:0000.00000",
    "CLAIM": "mine is better",
    "ARM": "mine",
    "BASELINE": "theirs",
    "METRIC": "gold",
    "HIGHER_IS_BETTER": True,
    "EXPECTED": "gold higher on every seed",
    "SETTINGS": {"quick": {"gain": 1.0}, "full": {"gain": 2.0}},
    "SEEDS": 3,
    "measure": _measure,
    "accept": lambda seeds: {
      "higher": experiments.every(
        seeds, lambda a: a["mine"]["gold"] > a["theirs"]["gold"]
      )
    },
    **changes,
  }
  for name, value in namespace.items():
    setattr(module, name, value)
  return experiments.from_module("toy", module)


def _measure(seed, settings):
  return {
    "mine": {"gold": seed + settings["gain"], "only_mine": 1},
    "theirs": {"gold": seed + 0.0},
  }


def test_a_run_is_judged_and_stored(tmp_path):
  said = []
  found = experiments.run(
    _experiment(tmp_path / "toy"), tmp_path / "out", say=said.append
  )
  stored = json.loads((tmp_path / "out" / store.FILE).read_text())
  assert stored == found
  assert found["verdict"] == "shown" and found["checks"] == {"higher": True}
  assert found["difference"]["mean"] == 2.0
  assert found["effect"] == "gold +2.00 [+2.00, +2.00]"
  assert [row["seed"] for row in found["seeds"]] == [1000, 1001, 1002]
  assert found["arms"]["mine"]["gold"]["mean"] == 1003.0
  assert found["settings"] == {"gain": 2.0} and found["scale"] == "full"
  assert {"prefjax", "jax", "python"} <= set(found["versions"])
  assert (tmp_path / "out" / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_quick_seeds_and_first_seed(tmp_path):
  found = experiments.run(
    _experiment(tmp_path / "toy"),
    tmp_path / "out",
    scale="quick",
    first_seed=7,
    say=lambda line: None,
  )
  assert [row["seed"] for row in found["seeds"]] == [7, 8]
  assert found["difference"]["mean"] == 1.0
  more = experiments.run(
    _experiment(tmp_path / "toy"),
    tmp_path / "out",
    scale="quick",
    seeds=3,
    first_seed=7,
    say=lambda line: None,
  )
  assert [row["seed"] for row in more["seeds"]] == [7, 8, 9]


def test_a_killed_run_goes_on_with_what_is_missing(tmp_path):
  measured = []

  def measure(seed, settings):
    if len(measured) == 2:
      raise KeyboardInterrupt
    measured.append(seed)
    return _measure(seed, settings)

  folder, out = tmp_path / "toy", tmp_path / "out"
  with pytest.raises(KeyboardInterrupt):
    experiments.run(
      _experiment(folder, measure=measure), out, say=lambda line: None
    )
  left = json.loads((out / store.FILE).read_text())
  assert left["verdict"] == "unfinished" and len(left["seeds"]) == 2
  again = []

  def rest(seed, settings):
    again.append(seed)
    return _measure(seed, settings)

  said = []
  found = experiments.run(
    _experiment(folder, measure=rest), out, say=said.append
  )
  assert (measured, again) == ([1000, 1001], [1002])
  assert found["verdict"] == "shown"
  assert "2 of 3 seeds are done" in said[0]


def test_changed_settings_or_code_measure_again_and_say_so(tmp_path):
  folder, out, said = tmp_path / "toy", tmp_path / "out", []
  experiments.run(_experiment(folder), out, say=said.append)
  settings = {"quick": {"gain": 1.0}, "full": {"gain": 3.0}}
  found = experiments.run(
    _experiment(folder, SETTINGS=settings), out, say=said.append
  )
  assert any("changed since" in line for line in said)
  assert found["difference"]["mean"] == 3.0
  said.clear()
  source = _SOURCE.replace("seed + 0.0", "seed + 0.5")
  experiments.run(
    _experiment(folder, source, SETTINGS=settings), out, say=said.append
  )
  assert any("changed since" in line for line in said)


def test_words_and_the_rule_measure_nothing(tmp_path):
  """CLAIM, docstrings, comments and accept are applied to what is stored."""
  digests = set()
  for change in (
    lambda s: s,
    lambda s: s.replace('"mine is better"', '"mine is much better"'),
    lambda s: s.replace('"""A toy."""', '"""Another toy."""'),
    lambda s: s.replace('  """Numbers."""\n', "  # nothing\n"),
    lambda s: s.replace(" > a[", " >= a["),
    lambda s: s.replace("SEEDS = 3", "SEEDS = 4"),
  ):
    folder = tmp_path / f"toy{len(list(tmp_path.iterdir()))}"
    digests.add(_experiment(folder, change(_SOURCE)).digest)
  assert len(digests) == 1
  other = _SOURCE.replace('"only_mine": 1', '"only_mine": 2')
  assert _experiment(tmp_path / "other", other).digest not in digests


def test_settings_count_for_their_own_scale(tmp_path):
  change = '"quick": {"gain": 1.0}', '"quick": {"gain": 1.5}'
  before = _experiment(tmp_path / "before")
  after = _experiment(
    tmp_path / "after",
    _SOURCE.replace(*change),
    SETTINGS={"quick": {"gain": 1.5}, "full": {"gain": 2.0}},
  )
  assert store.key(before, "full") == store.key(after, "full")
  assert store.key(before, "quick") != store.key(after, "quick")


def test_what_is_beside_the_rule_has_no_part_in_the_verdict(tmp_path):
  def further(seeds):
    return {"ten higher": seeds[0]["mine"]["gold"] > 2000}

  found = experiments.run(
    _experiment(tmp_path / "toy", further=further),
    tmp_path / "out",
    say=lambda line: None,
  )
  assert found["verdict"] == "shown"
  assert found["further"] == {"ten higher": False}
  without = experiments.run(
    _experiment(tmp_path / "toy"), tmp_path / "out", say=lambda line: None
  )
  assert without["further"] == {}


def test_the_rule_is_applied_again_without_measuring(tmp_path):
  folder, out = tmp_path / "toy", tmp_path / "out"
  experiments.run(_experiment(folder), out, say=lambda line: None)

  def never(seed, settings):
    raise AssertionError("measured")

  found = experiments.run(
    _experiment(folder, measure=never, accept=lambda seeds: {"no": False}),
    out,
    say=lambda line: None,
  )
  assert found["verdict"] == "mixed"
  assert json.loads((out / store.FILE).read_text())["verdict"] == "mixed"


def test_seeds_measured_together(tmp_path):
  calls = []

  def many(seeds, settings):
    calls.append(list(seeds))
    return [_measure(seed, settings) for seed in seeds]

  experiment = _experiment(tmp_path / "toy", measure_many=many)
  found = experiments.run(experiment, tmp_path / "out", say=lambda line: None)
  assert calls == [[1000, 1001, 1002]]
  assert found["difference"]["mean"] == 2.0
  with pytest.raises(errors.TrainingError, match="1 results for 3 seeds"):
    experiments.run(
      _experiment(
        tmp_path / "toy",
        measure_many=lambda seeds, settings: [_measure(0, settings)],
      ),
      tmp_path / "other",
      say=lambda line: None,
    )


@pytest.mark.parametrize(
  ("arms", "said"),
  [
    ({"mine": {"gold": float("nan")}, "theirs": {"gold": 1.0}}, "mine/gold is"),
    ({"mine": {"gold": 1.0}}, "no 'gold' of arm 'theirs'"),
    ({"mine": {"silver": 1.0}, "theirs": {"gold": 1.0}}, "of arm 'mine'"),
    ([1.0], "must return arm"),
  ],
)
def test_what_is_no_result_stops_the_run(tmp_path, arms, said):
  experiment = _experiment(
    tmp_path / "toy", measure=lambda seed, settings: arms
  )
  with pytest.raises(errors.TrainingError, match=said):
    experiments.run(experiment, tmp_path / "out", say=lambda line: None)


@pytest.mark.parametrize(
  ("changes", "said"),
  [
    (dict(CLAIM=""), "CLAIM must be some text"),
    (dict(measure=None), "measure must be a function"),
    (dict(HIGHER_IS_BETTER="yes"), "HIGHER_IS_BETTER must be True or False"),
    (dict(SETTINGS={"full": {}}), "SETTINGS must be"),
    (dict(SEEDS=0), "SEEDS must be a whole number"),
    (dict(draw=3), "draw must be a function"),
  ],
)
def test_what_a_module_lacks_is_named(tmp_path, changes, said):
  with pytest.raises(errors.ConfigError, match=f"experiment toy: {said}"):
    _experiment(tmp_path / "toy", **changes)


def test_a_damaged_file_is_named(tmp_path):
  out = tmp_path / "out"
  out.mkdir()
  (out / store.FILE).write_text("{")
  with pytest.raises(errors.DataError, match="delete it to measure again"):
    experiments.run(_experiment(tmp_path / "toy"), out)


def test_an_unknown_scale(tmp_path):
  with pytest.raises(errors.ConfigError, match="not quick or full"):
    harness.run(_experiment(tmp_path / "toy"), tmp_path, scale="medium")
