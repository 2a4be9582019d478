# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The trials of `scripts/reliability.sh` at small counts."""

import pathlib

import pytest
import trial_support
import trial_table

# Those that start processes, compile much or wait; the rest is quick.
_SLOW = {1, 2, 6, 9, 11, 17}
_TRIALS = [row for row in trial_table.ROWS if row.function]


@pytest.mark.parametrize(
  "row",
  [
    pytest.param(
      row,
      marks=pytest.mark.slow if row.number in _SLOW else (),
      id=row.function.partition(":")[2],
    )
    for row in _TRIALS
  ],
)
def test_nothing_is_lost(row):
  done = trial_table.run(row, seed=3, quick=True)
  assert done["losses"] == [] and done["count"] >= min(row.quick, 2), done


def test_a_loss_is_counted_and_shown(tmp_path):
  out = trial_support.Outcome()
  out.expect(True, "fine")
  out.expect(False, "a byte was lost")
  assert out.count == 2 and out.losses == ["a byte was lost"]
  row = {
    "number": 3, "what": "w", "count": 2, "losses": out.losses, "facts": ["f"],
    "quick": True, "seed": 1, "seconds": 2.0, "when": "2026-01-01",
  }  # fmt: skip
  page = tmp_path / "page.md"
  page.write_text(f"a\n{trial_table._BEGIN}\nold\n{trial_table._END}\nb\n")
  rows = trial_table._keep(tmp_path / "rows.json", row)
  rows = trial_table._keep(tmp_path / "rows.json", {**row, "count": 4})
  trial_table.write_page(page, rows)
  text = page.read_text()
  assert "| 3 | w | 4 | 1 | f | 2 |" in text and "old" not in text
  assert text.startswith("a\n") and text.endswith("b\n")


def test_each_trial_names_what_exists():
  assert [row.number for row in trial_table.ROWS] == list(range(1, 18))
  root = pathlib.Path(trial_table.__file__).parents[2]
  for row in trial_table.ROWS:
    assert bool(row.function) != bool(row.tests)
    for word in row.tests:
      if word.endswith(".py"):
        assert (root / word).is_file(), word
