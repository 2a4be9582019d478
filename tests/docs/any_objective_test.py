# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""docs/any-objective.md: what it shows is run as it stands there."""

import json
import pathlib
import re

import numpy as np

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "any-objective.md"


def test_the_page_learns_to_rank(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  source = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.S | re.M)
  names: dict = {}
  for block in source:
    exec(compile(block, str(PAGE), "exec"), names)
  lines = (tmp_path / "runs/ranking/metrics.jsonl").read_text().splitlines()
  rows = [json.loads(line) for line in lines]
  assert [row["step"] for row in rows][-1] >= 199
  assert np.mean([row["auc"] for row in rows[:5]]) < 0.7
  assert np.mean([row["auc"] for row in rows[-20:]]) > 0.95
  assert int(names["state"].step) == 200
