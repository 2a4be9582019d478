# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs side by side: final numbers, and where their configs differ."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prefjax.analysis import run_files, summary
from prefjax.core import errors

# Numbers of metrics.jsonl that are compared, by their last value.
_LAST = (
  ("loss", "loss, last"),
  ("eval/loss", "held-out loss, last"),
  ("rewards/accuracies", "reward accuracy, last"),
  ("eval/rewards/accuracies", "held-out reward accuracy, last"),
  ("eval/rewards/margins", "held-out reward margin, last"),
)


def _names(folders: Sequence[str]) -> list[str]:
  """The shortest ends of the paths that tell them apart."""
  parts = [pathlib.Path(os.path.abspath(folder)).parts for folder in folders]
  for size in range(1, max(map(len, parts)) + 1):
    names = ["/".join(part[-size:]) for part in parts]
    if len(set(names)) == len(names):
      return names
  return list(folders)


def _last(rows: Sequence[Mapping[str, Any]], name: str) -> float | None:
  for row in reversed(rows):
    value = run_files.number(row.get(name))
    if value is not None:
      return value
  return None


def _right(margins: np.ndarray) -> float:
  return float(np.where(margins == 0, 0.5, margins > 0).mean())


def final(run: run_files.Run) -> dict[str, float]:
  """The numbers that one run ended with, by what they are."""
  out: dict[str, float] = {}
  steps = [run_files.number(row.get("step")) for row in run.metrics]
  if steps := [step for step in steps if step is not None]:
    out["updates"] = int(max(steps))
  for name, text in _LAST:
    value = _last(run.metrics, name)
    if value is not None:
      out[text] = value
  pairs = run_files.section(run.evaluation, "pairs")
  for when in ("before", "after"):
    margins = run_files.numbers(pairs.get(f"margin_{when}"))
    margins = margins[np.isfinite(margins)]
    if margins.size:
      out[f"ranking accuracy {when}"] = _right(margins)
  gold = run_files.section(run.evaluation, "gold")
  for when in ("before", "after"):
    values = run_files.numbers(gold.get(when))
    values = values[np.isfinite(values)]
    if values.size:
      out[f"gold reward {when}"] = float(values.mean())
  return out


def compare(folders: Sequence[str | os.PathLike]) -> dict[str, Any]:
  """Final numbers and config differences of runs.

  Args:
    folders: their work directories.

  Returns:
    {"runs": names, "metrics": {metric: [value or None a run]}, "config":
    {key: [value a run]} of the keys that differ, "problems": lines}.

  Raises:
    DataError: a folder does not exist, or is not that of a run.
  """
  paths = [os.fspath(folder) for folder in folders]
  runs = [run_files.read(path) for path in paths]
  for path, run in zip(paths, runs, strict=True):
    if not run.config and not run.metrics:
      raise errors.DataError(
        f"{path}: no run wrote here (no config.json, no metrics.jsonl)"
      )
  names = _names(paths)
  finals = [final(run) for run in runs]
  metrics = {
    key: [values.get(key) for values in finals]
    for key in dict.fromkeys(key for values in finals for key in values)
  }
  flat = [
    {k: v for k, v in run_files.flatten(run.config).items() if v != {}}
    for run in runs
  ]
  keys = dict.fromkeys(key for config in flat for key in config)
  table = {key: [config.get(key) for config in flat] for key in keys}
  problems = [
    f"{name}: {problem}"
    for name, run in zip(names, runs, strict=True)
    for problem in run.problems
  ]
  return {
    "runs": names,
    "metrics": metrics,
    "config": {
      key: values
      for key, values in table.items()
      if any(value != values[0] for value in values)
    },
    "problems": problems,
  }


def tables(result: Mapping[str, Any]) -> summary.Tables:
  """A result of `compare` as tables for people."""

  def rows(part: str, first: str, shown) -> list[dict[str, Any]]:
    return [
      {
        first: key,
        **{
          name: shown(value)
          for name, value in zip(result["runs"], values, strict=True)
        },
      }
      for key, values in result[part].items()
    ]

  return {
    "Where they ended": rows("metrics", "metric", lambda value: value),
    "Where their configs differ": rows(
      "config", "key", lambda value: "" if value is None else repr(value)
    ),
  }
