# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The numbers of runs, their means over seeds, and the three files."""

import json

import numpy as np
import pytest

from prefjax.core import errors
from prefjax.sweeps import numbers, page, plan


def _run(folder, *, shift=0.0):
  """What a run leaves behind; reward changes are 1, -1, 2, 3 + shift."""
  folder.mkdir(parents=True)
  rows = [
    {"step": 1, "loss": 0.7},
    {"step": 2, "loss": 0.6, "eval/loss": 0.65},
    {"step": 2, "eval/drift/chosen_logps": -1.5},
  ]
  (folder / "metrics.jsonl").write_text(
    "".join(json.dumps(row) + "\n" for row in rows)
  )
  change = np.asarray([1.0, -1.0, 2.0, 3.0 + shift])
  before = np.asarray([0.5, 0.5, -0.5, 0.0])
  evaluation = {
    "before": {"logps/chosen": -10.0, "logps/rejected": -12.0},
    "after": {"logps/chosen": -11.0, "logps/rejected": -15.0},
    "pairs": {
      "margin_before": before.tolist(),
      "margin_after": (before + change).tolist(),
      "length_difference": [1.0, -2.0, 3.0, -4.0],
    },
  }
  (folder / "eval.json").write_text(json.dumps(evaluation))


def test_numbers_of_a_run(tmp_path):
  _run(tmp_path / "run")
  found = numbers.of_run(tmp_path / "run")
  assert found["reward accuracy"] == 0.75
  assert found["reward margin (nats)"] == 1.25
  assert found["reward accuracy, chosen longer"] == 1.0
  assert found["reward accuracy, chosen shorter"] == 0.5
  assert found["drift of chosen (nats)"] == -1.0
  assert found["drift of rejected (nats)"] == -3.0
  assert found["eval/loss"] == 0.65 and found["loss, last"] == 0.6
  # Ranks of the changes (2, 1, 3, 4) and of the lengths (3, 2, 4, 1).
  assert found["length bias (Spearman)"] == pytest.approx(-0.2)


def test_means_over_seeds_by_setting(tmp_path):
  planned, found = [], {}
  for rate in (0.1, 0.2):
    for seed in (0, 1):
      overrides = {"opt.learning_rate": rate, "seed": seed}
      run = plan.Planned(plan.name_of(overrides), overrides, "")
      planned.append(run)
      if (rate, seed) != (0.2, 1):
        _run(tmp_path / run.name, shift=seed)
        found[run.name] = numbers.of_run(tmp_path / run.name)
  rows = numbers.table(planned, found)
  assert [row["done"] for row in rows] == [2, 1]
  margin = rows[0]["metrics"]["reward margin (nats)"]
  assert margin["mean"] == pytest.approx((1.25 + 1.5) / 2)
  assert margin["low"] == 1.25 and margin["high"] == 1.5
  assert margin["count"] == 2

  metric = page.main_metric(rows, None)
  assert metric == "reward accuracy"
  path = page.write(tmp_path, rows, found, metric)
  text = path.read_text()
  assert "| `opt.learning_rate` | runs | reward accuracy |" in text
  assert "| 0.2 | 1 of 2 | 0.75 |" in text
  assert "1.375 [1.25, 1.5]" in text
  stored = json.loads((tmp_path / "table.json").read_text())
  assert stored["settings"][0]["overrides"] == {"opt.learning_rate": 0.1}
  assert set(stored["runs"]) == set(found)
  assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_metric_nobody_has():
  rows = [{"overrides": {}, "runs": ["a"], "done": 1, "metrics": {"loss": {}}}]
  with pytest.raises(errors.ConfigError, match="did you mean 'loss'"):
    page.main_metric(rows, "los")
  assert page.main_metric(rows, "loss") == "loss"
