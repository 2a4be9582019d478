# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a run of a sweep ended with, and means over its seeds."""

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from prefjax.analysis import bootstrap, length_bias, run_files
from prefjax.runs import comparing
from prefjax.sweeps import plan

_KEY = 0  # a table made again is the same
Numbers = dict[str, float]


def of_run(workdir: str | os.PathLike) -> Numbers:
  """The numbers of one work directory, by what they are.

  Rewards are the changes of log-probs since the run began, so that methods
  with and without a reference can be compared.
  """
  run = run_files.read(workdir)
  out = dict(comparing.final(run))
  out.update(_of_pairs(run))
  before = run_files.section(run.evaluation, "before")
  after = run_files.section(run.evaluation, "after")
  for side in ("chosen", "rejected"):
    first = run_files.number(before.get(f"logps/{side}"))
    last = run_files.number(after.get(f"logps/{side}"))
    if first is not None and last is not None:
      out[f"drift of {side} (nats)"] = last - first
  for row in reversed(run.metrics):
    for name, value in row.items():
      number = run_files.number(value)
      if name.startswith("eval/") and number is not None:
        out.setdefault(name, number)
  return {name: float(value) for name, value in out.items()}


def _of_pairs(run: run_files.Run) -> Numbers:
  """Reward accuracy and length bias on held-out pairs."""
  pairs = run_files.section(run.evaluation, "pairs")
  before, after, longer = (
    run_files.numbers(pairs.get(name))
    for name in ("margin_before", "margin_after", "length_difference")
  )
  if not before.size or not before.size == after.size == longer.size:
    return {}
  kept = np.isfinite(before) & np.isfinite(after) & np.isfinite(longer)
  change, longer = (after - before)[kept], longer[kept]
  if not change.size:
    return {}
  right = np.where(change == 0, 0.5, change > 0)
  out = {
    "reward accuracy": float(right.mean()),
    "reward margin (nats)": float(change.mean()),
  }
  for name, where in (
    ("reward accuracy, chosen longer", longer > 0),
    ("reward accuracy, chosen shorter", longer < 0),
  ):
    if where.any():
      out[name] = float(right[where].mean())
  found = length_bias.margin_length_correlation(change, longer)
  correlation = float(found["spearman"])
  if math.isfinite(correlation):
    out["length bias (Spearman)"] = correlation
  return out


def over_seeds(rows: Sequence[Numbers]) -> dict[str, dict[str, float]]:
  """Metric -> mean, low, high, count over the runs that have it."""
  out = {}
  for name in dict.fromkeys(name for row in rows for name in row):
    values = [
      row[name] for row in rows if name in row and math.isfinite(row[name])
    ]
    if values:
      out[name] = {
        **bootstrap.mean_interval(_KEY, values, num=4000),
        "count": len(values),
      }
  return out


def table(
  runs: Sequence[plan.Planned], numbers: dict[str, Numbers]
) -> list[dict[str, Any]]:
  """One row a setting: its overrides, its runs, its metrics over seeds.

  Args:
    runs: all of the sweep.
    numbers: name of a run that is done -> its numbers.
  """
  rows = []
  for group in plan.grouped(runs):
    done = [run for run in group if run.name in numbers]
    rows.append(
      {
        "overrides": group[0].group,
        "runs": [run.name for run in group],
        "done": len(done),
        "metrics": over_seeds([numbers[run.name] for run in done]),
      }
    )
  return rows
