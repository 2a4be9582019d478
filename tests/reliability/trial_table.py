# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The sixteen trials of reliability, at full counts, as a table.

  python tests/reliability/trial_table.py [--only=1,4] [--quick] [--seed=0]
    [--json=FILE] [--page=docs/reliability.md]

A row is kept in the JSON file as soon as its trial has ended, so that trials
may be run one at a time; the table shows all rows that are there.
"""

import argparse
import dataclasses
import datetime
import importlib
import json
import logging
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import traceback
from typing import Any

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_BEGIN = "<!-- trials: made by scripts/reliability.sh -->"
_END = "<!-- end of trials -->"
_COMMAND = "bash scripts/reliability.sh --only={}"


@dataclasses.dataclass(frozen=True)
class Row:
  """One of the trials.

  Attributes:
    number: as in the table.
    what: is tried.
    full: count of the full trial.
    quick: count of the quick one.
    function: "module:function" of a trial, or
    tests: pytest's arguments instead; then what counts is passed tests.
  """

  number: int
  what: str
  full: int
  quick: int
  function: str = ""
  tests: tuple[str, ...] = ()


ROWS = (
  Row(1, "SIGKILL at random moments of a run of 300 updates, saved every 5;"
      " the end is bit-equal", 30, 2, "run_trials:kills"),
  Row(2, "SIGTERM at random moments, and inside data, evaluation, save and"
      " step; bit-equal, nothing done is lost", 20, 1, "run_trials:terms"),
  Row(3, "example ids of three epochs over restarts on 1, 2 and 4 hosts", 60,
      3, "run_trials:order"),
  Row(4, "bits flipped, files cut and deleted in a checkpoint; no wrong"
      " restore", 300, 24, "fault_trials:damage"),
  Row(5, "a run handed over between 8, 4, 2, 1, 2, 4 and 8 devices", 7, 3,
      "run_trials:devices"),
  Row(6, "NaN and infinities in the loss, one gradient leaf, one record", 27,
      3, "fault_trials:not_finite"),
  Row(7, "malformed records between good ones; no raw traceback, no good"
      " record lost", 2000, 160, "input_trials:records"),
  Row(8, "wrong settings; status 2, one line, the key, nothing written", 300,
      40, "input_trials:settings"),
  Row(9, "disks full, read-only, gone, slow, failing in the last save", 18, 6,
      "fault_trials:disks"),
  Row(10, "one of two processes killed; the other ends, the joint restart is"
      " equal", 0, 0, tests=("tests/reliability/processes_test.py", "-m",
                             "slow or not slow")),
  Row(11, "a loader that is slow, hangs, raises, dies", 20, 1,
      "fault_trials:stragglers"),
  Row(12, "every method's tiny config, killed and repeated: equal SHA-256", 0,
      0, tests=("tests/registry_train_test.py", "-m", "slow or not slow")),
  Row(13, "batch cut into micro-batches, unequal lengths and weights", 0, 0,
      tests=("tests/property/every_method_test.py",
             "tests/train/gradient_test.py", "-k", "micro_batches or order")),
  Row(14, "kernels in interpret mode and chunks, against float64", 0, 0,
      tests=("tests/kernels/pallas_tpu_test.py",
             "tests/kernels/token_logps_test.py")),
  Row(15, "every loss at margins of 500 and 10,000, and against float64", 0, 0,
      tests=("tests/losses/generic_test.py", "-k",
             "far_out or float64 or masked")),
  Row(16, "a resume with another config, tokenizer, data or reference", 0, 0,
      tests=("tests/runs/resume_test.py", "tests/checkpoint/compatible_test.py",
             "tests/train/fit_test.py", "-k",
             "refused or another or free or allowed or compatible")),
  Row(17, "seconds to the first batch of a resume at update 10,000 and 10", 8,
      2, "run_trials:restart_cost"),
)  # fmt: skip


def run(row: Row, seed: int, quick: bool) -> dict[str, Any]:
  """Runs a trial; returns its row for the JSON file."""
  begin = time.monotonic()
  if row.tests:
    count, losses, facts = _tests(row.tests)
  else:
    count, losses, facts = _trial(row, seed, row.quick if quick else row.full)
  return {
    "number": row.number,
    "what": row.what,
    "count": count,
    "losses": losses,
    "facts": facts,
    "quick": quick,
    "seed": seed,
    "seconds": round(time.monotonic() - begin, 1),
    "when": datetime.date.today().isoformat(),
  }


def _trial(row: Row, seed: int, count: int):
  module, name = row.function.split(":")
  trial = getattr(importlib.import_module(module), name)
  with tempfile.TemporaryDirectory() as folder:
    try:
      out = trial(count, seed, pathlib.Path(folder))
    except Exception as error:
      # A trial that fails itself has shown nothing.
      traceback.print_exc()
      return 0, [f"the trial failed: {error!r}"[:300]], []
  return out.count, [loss[:300] for loss in out.losses], out.facts


def _tests(words: tuple[str, ...]):
  """(passed tests, what failed, facts) of pytest."""
  done = subprocess.run(
    [sys.executable, "-m", "pytest", "-q", "-rf", *words],
    cwd=_ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  summary = re.findall(r"(\d+) (passed|failed|error|skipped)", done.stdout)
  counts = {kind: int(number) for number, kind in summary}
  passed = counts.get("passed", done.stdout.count("."))
  failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.M)
  if done.returncode and not failed:
    failed = [(done.stdout + done.stderr)[-300:]]
  return passed, failed, ["tests that passed"]


def table(rows: list[dict[str, Any]]) -> str:
  """Markdown, one line a trial."""
  lines = [
    "| # | trial | count | losses | seen | seconds | command |",
    "|---|---|---|---|---|---|---|",
  ]
  for row in sorted(rows, key=lambda row: row["number"]):
    command = _COMMAND.format(row["number"]) + " --quick" * row["quick"]
    lines.append(
      f"| {row['number']} | {row['what']} | {row['count']:,} |"
      f" {len(row['losses'])} | {'; '.join(row['facts'])} |"
      f" {row['seconds']:.0f} | `{command} --seed={row['seed']}` |"
    )
  return "\n".join(lines)


def _keep(path: pathlib.Path, row: dict[str, Any]) -> list[dict[str, Any]]:
  """All rows, this one instead of an earlier one of its number."""
  rows = json.loads(path.read_text()) if path.exists() else []
  rows = [r for r in rows if r["number"] != row["number"]] + [row]
  path.parent.mkdir(parents=True, exist_ok=True)
  scratch = path.with_suffix(f".{os.getpid()}.partial")
  scratch.write_text(json.dumps(rows, indent=1) + "\n")
  os.replace(scratch, path)
  return rows


def write_page(path: pathlib.Path, rows: list[dict[str, Any]]) -> None:
  """Puts the table between its marks in a page."""
  from prefjax.experiments import marks

  text = path.read_text()
  path.write_text(marks.replace(text, _BEGIN, _END, table(rows)))


def main() -> int:
  """Runs the trials that were asked for; 0 if nothing was lost."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--only", help="numbers, comma-separated; default all")
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--quick", action="store_true", help="small counts")
  parser.add_argument("--json", default="build/reliability.json")
  parser.add_argument("--page", help="write the table into this page")
  parser.add_argument("--show", action="store_true", help="run nothing")
  given = parser.parse_args()
  numbers = [int(n) for n in (given.only or "").split(",") if n]
  path = pathlib.Path(given.json)
  rows = json.loads(path.read_text()) if path.exists() else []
  for row in ROWS if not given.show else ():
    if numbers and row.number not in numbers:
      continue
    done = run(row, given.seed, given.quick)
    rows = _keep(path, done)
    print(
      f"{row.number}: {done['count']:,} tried, {len(done['losses'])} lost,"
      f" {done['seconds']:.0f} s; {'; '.join(done['facts'])}",
      flush=True,
    )
    for loss in done["losses"][:10]:
      print(f"  {loss}", flush=True)
  print(table(rows))
  if given.page:
    write_page(pathlib.Path(given.page), rows)
  return int(any(row["losses"] for row in rows))


if __name__ == "__main__":
  sys.path.insert(0, str(_ROOT / "tests"))
  import conftest  # noqa: F401 - paths and flags

  # What is damaged here is warned of some hundred times.
  logging.disable(logging.ERROR)
  sys.exit(main())
