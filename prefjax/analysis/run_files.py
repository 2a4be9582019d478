# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads what a run left in its work directory, whatever is missing.

Formats (all optional):

  metrics.jsonl  one object a line: {"step": 10, "loss": 0.6, ...}; lines of
                 held-out evaluations have "eval/..." keys
  config.json    the configuration, nested objects
  eval.json      {"before": {metric: value}, "after": {metric: value},
                  "beta": 0.1,
                  "pairs": {"margin_before": [N], "margin_after": [N],
                            "length_difference": [N]},
                  "gold": {"before": [M], "after": [M]}}
                 margins are log pi(chosen) - log pi(rejected) in nats on
                 held-out pairs, length differences chosen - rejected in
                 tokens, gold rewards those of samples for the same prompts
  samples.jsonl  {"prompt", "before", "after", "gold_before", "gold_after"}

A damaged file or line is left out and named in `problems`.
"""

import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from prefjax.core import errors


@dataclasses.dataclass(frozen=True)
class Run:
  """The readable content of a work directory.

  Attributes:
    metrics: rows of metrics.jsonl.
    config: content of config.json.
    evaluation: content of eval.json.
    samples: rows of samples.jsonl.
    problems: what could not be read, one line each.
  """

  metrics: list[dict[str, Any]]
  config: dict[str, Any]
  evaluation: dict[str, Any]
  samples: list[dict[str, Any]]
  problems: list[str]


def _text(path: pathlib.Path, problems: list[str]) -> str | None:
  try:
    return path.read_text(encoding="utf-8", errors="replace")
  except FileNotFoundError:
    return None
  except OSError as error:
    problems.append(f"{path.name} cannot be read ({error.strerror})")
    return None


def _object(path: pathlib.Path, problems: list[str]) -> dict[str, Any]:
  text = _text(path, problems)
  if text is None:
    return {}
  try:
    value = json.loads(text)
  except (ValueError, RecursionError):
    problems.append(f"{path.name} is not valid JSON")
    return {}
  if not isinstance(value, dict):
    problems.append(f"{path.name} does not hold an object")
    return {}
  return value


def _lines(path: pathlib.Path, problems: list[str]) -> list[dict[str, Any]]:
  text = _text(path, problems)
  rows, bad = [], []
  # Not splitlines: JSON strings may hold other Unicode line breaks.
  for number, line in enumerate((text or "").split("\n"), 1):
    if not line.strip():
      continue
    try:
      row = json.loads(line)
    except (ValueError, RecursionError):
      row = None
    if isinstance(row, dict):
      rows.append(row)
    else:
      bad.append(number)
  if bad:
    problems.append(
      f"{path.name}: {len(bad)} unreadable line(s), the first is line {bad[0]}"
    )
  return rows


def read(workdir: str | os.PathLike[str]) -> Run:
  """Reads a work directory.

  Args:
    workdir: the directory of a run.

  Returns:
    Its content; missing files give empty parts.

  Raises:
    DataError: the directory does not exist.
  """
  folder = pathlib.Path(workdir)
  if not folder.is_dir():
    raise errors.DataError(
      f"{folder}: no such work directory; give the workdir of a run"
    )
  problems: list[str] = []
  return Run(
    metrics=_lines(folder / "metrics.jsonl", problems),
    config=_object(folder / "config.json", problems),
    evaluation=_object(folder / "eval.json", problems),
    samples=_lines(folder / "samples.jsonl", problems),
    problems=problems,
  )


def number(value: Any) -> float | None:
  """A finite number, or None for anything else (booleans too)."""
  if isinstance(value, bool) or not isinstance(
    value, (int, float, np.integer, np.floating)
  ):
    return None
  try:
    value = float(value)
  except OverflowError:
    return None
  return value if math.isfinite(value) else None


def numbers(value: Any) -> np.ndarray:
  """A list of numbers as float64 [N] with NaN for what is none; else empty."""
  if not isinstance(value, (list, tuple, np.ndarray)):
    return np.zeros(0)
  found = [number(item) for item in list(value)]
  return np.array([math.nan if v is None else v for v in found], np.float64)


def section(value: Any, name: str) -> dict[str, Any]:
  """value[name] if it is an object, else {}."""
  inner = value.get(name) if isinstance(value, Mapping) else None
  return inner if isinstance(inner, dict) else {}


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """Nested objects as {'a.b': value}, in order."""
  out: dict[str, Any] = {}
  for key, value in config.items():
    name = f"{prefix}{key}"
    if isinstance(value, Mapping) and value:
      out.update(flatten(value, f"{name}."))
    else:
      out[name] = value
  return out
