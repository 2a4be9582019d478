# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs experiments seed by seed; what is finished is never done again."""

import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from prefjax.core import errors
from prefjax.experiments import drawing, judging, spec, store

Say = Callable[[str], None]
# Far from the small seeds that a designer tries by hand.
FIRST_SEED = 1000


def run(
  experiment: spec.Experiment,
  out: pathlib.Path,
  *,
  scale: str = "full",
  seeds: int | None = None,
  first_seed: int = FIRST_SEED,
  say: Say = print,
) -> dict[str, Any]:
  """Measures the seeds that are missing and judges all of them.

  Each seed is kept the moment it is measured, so a call that was killed goes
  on where it was. Seeds measured by other code or with other settings are
  measured again, and it says so; further seeds in the file are kept and
  judged with the rest.

  Args:
    experiment: what to run.
    out: folder of its results.json and plots.
    scale: "quick" or "full".
    seeds: how many; None for the experiment's own number (2 when quick).
    first_seed: the seeds are first_seed, first_seed + 1, ...
    say: shows a line to a person.

  Returns:
    The content of results.json.

  Raises:
    ConfigError: unknown scale, or no seed.
    TrainingError: an experiment measured something that is no number.
    DataError: results.json is there but cannot be read.
  """
  if scale not in spec.SCALES:
    raise errors.ConfigError(f"scale={scale!r} is not quick or full")
  number = seeds or (min(2, experiment.seeds) if scale == "quick" else 0)
  number = number or experiment.seeds
  path = out / store.FILE
  before = store.read_json(path)
  key = store.key(experiment, scale)
  rows, changed = store.finished(before, key)
  if changed:
    say(
      f"{experiment.slug}: code or settings changed since {path} was written;"
      " its seeds are measured again"
    )
  wanted = range(first_seed, first_seed + number)
  missing = [seed for seed in wanted if seed not in rows]
  if len(missing) < number:
    say(
      f"{experiment.slug}: {number - len(missing)} of {number} seeds are done"
    )
  settings = experiment.settings[scale]
  for group in _groups(experiment, missing):
    started = time.monotonic()
    if experiment.measure_many is not None:
      measured = list(experiment.measure_many(group, settings))
    else:
      measured = [experiment.measure(group[0], settings)]
    if len(measured) != len(group):
      raise errors.TrainingError(
        f"experiment {experiment.slug}: measure_many gave {len(measured)}"
        f" results for {len(group)} seeds"
      )
    seconds = (time.monotonic() - started) / len(group)
    for seed, arms in zip(group, measured, strict=True):
      rows[seed] = {
        "seed": seed,
        "seconds": round(seconds, 2),
        "arms": store.checked(experiment, seed, arms),
      }
    result = _result(experiment, scale, key, rows, done=False)
    store.write_json(path, result)
    say(f"{experiment.slug}: seed {group[-1]} done in {seconds:.1f} s")
  result = _result(experiment, scale, key, rows, done=True)
  if result != before:
    store.write_json(path, result)
    arms = _arms(rows)
    drawing.arms_plot(result, out / "plot.png")
    if experiment.draw is not None:
      experiment.draw(arms, out)
  return result


def _groups(
  experiment: spec.Experiment, missing: Sequence[int]
) -> list[list[int]]:
  """Seeds that are measured together."""
  if experiment.measure_many is not None and missing:
    return [list(missing)]
  return [[seed] for seed in missing]


def _arms(rows: dict[int, dict[str, Any]]) -> list[spec.Arms]:
  return [rows[seed]["arms"] for seed in sorted(rows)]


def _result(
  experiment: spec.Experiment,
  scale: str,
  key: str,
  rows: dict[int, dict[str, Any]],
  *,
  done: bool,
) -> dict[str, Any]:
  """results.json; a verdict only where all seeds are there."""
  judged: dict[str, Any] = {"verdict": "unfinished"}
  if done:
    judged = judging.judge(experiment, _arms(rows))
  ordered = [rows[seed] for seed in sorted(rows)]
  return {
    "slug": experiment.slug,
    "paper": experiment.paper,
    "methods": list(experiment.methods),
    "claim": experiment.claim,
    "arm": experiment.arm,
    "baseline": experiment.baseline,
    "metric": experiment.metric,
    "higher_is_better": experiment.higher_is_better,
    "expected": experiment.expected,
    "note": experiment.note,
    "scale": scale,
    "settings": dict(experiment.settings[scale]),
    **judged,
    "seeds": ordered,
    "seconds": round(sum(row["seconds"] for row in ordered), 1),
    "versions": store.versions(),
    "digest": key,
  }
