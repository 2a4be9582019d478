# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What each switch of a grid of runs is worth (host)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from prefjax.core import errors


def aspect_grid(
  runs: Sequence[Mapping[str, Any]],
  *,
  metric: str = "value",
  aspects: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
  """Mean effect of each switch, from runs that differ in it alone.

  The first level of an aspect that appears is its baseline. Each run of
  another level is compared with the run that agrees in everything else (seed
  included).

  Args:
    runs: one mapping a run: settings (data, algorithm, seed, ...) and the
      metric.
    metric: key of the measured number.
    aspects: keys to compare; None takes all settings but "seed".

  Returns:
    One row a level that is no baseline: aspect, level, baseline, effect
    (mean difference), se (its standard error, NaN for one pair) and pairs.
    A level without any partner has 0 pairs and NaN.

  Raises:
    DataError: a run lacks a key that others have, or comes twice.
  """
  if not runs:
    return []
  keys = [key for key in runs[0] if key != metric]
  table: dict[tuple[Any, ...], float] = {}
  for index, run in enumerate(runs):
    if set(run) != {*keys, metric}:
      odd = sorted(set(run) ^ {*keys, metric})
      raise errors.DataError(
        f"aspect_grid: run {index} and run 0 differ in their keys: {odd}"
      )
    setting = tuple(run[key] for key in keys)
    if setting in table:
      raise errors.DataError(f"aspect_grid: run {index} comes twice")
    table[setting] = float(run[metric])
  chosen = [key for key in keys if key != "seed"]
  if aspects is not None:
    for name in aspects:
      if name not in keys:
        raise errors.DataError(
          f"aspect_grid: no run has {name!r}{errors.nearest(name, keys)}"
        )
    chosen = list(aspects)
  rows = []
  for aspect in chosen:
    at = keys.index(aspect)
    levels = list(dict.fromkeys(setting[at] for setting in table))
    for level in levels[1:]:
      gaps = [
        value - table[partner]
        for setting, value in table.items()
        if setting[at] == level
        and (partner := (*setting[:at], levels[0], *setting[at + 1 :])) in table
      ]
      rows.append(
        {
          "aspect": aspect,
          "level": level,
          "baseline": levels[0],
          **_mean_and_error(gaps),
        }
      )
  return rows


def _mean_and_error(values: Sequence[float]) -> dict[str, Any]:
  number = len(values)
  if not number:
    return {"effect": math.nan, "se": math.nan, "pairs": 0}
  mean = sum(values) / number
  error = math.nan
  if number > 1:
    square = sum((value - mean) ** 2 for value in values)
    error = math.sqrt(square / (number - 1) / number)
  return {"effect": mean, "se": error, "pairs": number}
