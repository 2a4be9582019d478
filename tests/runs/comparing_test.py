# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax compare`: final numbers side by side, and what was different."""

import json

import pytest

from prefjax.cli import main
from prefjax.core import errors
from prefjax.runs import comparing


def _run(folder, beta, losses, evaluation=None, **config):
  folder.mkdir(parents=True)
  rows = [{"step": i + 1, "loss": loss} for i, loss in enumerate(losses)]
  rows.append({"step": len(losses), "eval/loss": losses[-1] + 0.1})
  (folder / "metrics.jsonl").write_text(
    "".join(json.dumps(row) + "\n" for row in rows)
  )
  config = {"method": {"kwargs": {"beta": beta}}, "seed": 0, **config}
  (folder / "config.json").write_text(json.dumps(config))
  if evaluation:
    (folder / "eval.json").write_text(json.dumps(evaluation))
  return folder


@pytest.fixture
def two(tmp_path):
  pairs = {"margin_before": [1.0, -1.0, 0.0], "margin_after": [1.0, 2.0, -1.0]}
  gold = {"before": [0.0, 0.5], "after": [0.5, 1.0]}
  return (
    _run(tmp_path / "x" / "run", 0.1, [0.7, 0.6], {"pairs": pairs}),
    _run(tmp_path / "y" / "run", 0.5, [0.7, 0.5, 0.4], {"gold": gold}, new={}),
  )


def test_numbers_and_differences(two):
  result = comparing.compare(two)
  assert result["runs"] == ["x/run", "y/run"]
  assert result["metrics"] == {
    "updates": [2, 3],
    "loss, last": [0.6, 0.4],
    "held-out loss, last": [pytest.approx(0.7), pytest.approx(0.5)],
    "ranking accuracy before": [0.5, None],
    "ranking accuracy after": [pytest.approx(2 / 3), None],
    "gold reward before": [None, 0.25],
    "gold reward after": [None, 0.75],
  }
  assert result["config"] == {"method.kwargs.beta": [0.1, 0.5]}
  assert result["problems"] == []


def test_one_run_differs_in_nothing(two):
  result = comparing.compare(two[:1])
  assert result["runs"] == ["run"] and result["config"] == {}


def test_the_same_run_twice(two):
  result = comparing.compare([two[0], two[0]])
  assert len(result["runs"]) == 2 and result["config"] == {}


def test_command(two, tmp_path, capsys):
  out = tmp_path / "new" / "compare.json"
  assert main.main(["compare", *map(str, two), f"--out={out}"]) == 0
  text = capsys.readouterr().out
  lines = {line.split("  ")[0]: line.split() for line in text.splitlines()}
  assert lines["loss, last"][-2:] == ["0.600", "0.400"]
  assert lines["method.kwargs.beta"][-2:] == ["0.1", "0.5"]
  assert json.loads(out.read_text())["metrics"]["updates"] == [2, 3]


def test_damaged_files_are_named(two, capsys):
  with (two[0] / "metrics.jsonl").open("a") as file:
    file.write("{half a line\n")
  assert main.main(["compare", *map(str, two)]) == 0
  assert "x/run: metrics.jsonl: 1 unreadable line" in capsys.readouterr().out


def test_no_such_run(tmp_path):
  with pytest.raises(errors.DataError, match="no such work directory"):
    comparing.compare([tmp_path / "none"])
  with pytest.raises(errors.DataError, match="no run wrote here"):
    comparing.compare([tmp_path])
