# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""results.json: what a seed measured, kept as soon as it is measured."""

import hashlib
import importlib.metadata
import json
import math
import os
import pathlib
import platform
from collections.abc import Mapping
from typing import Any

from prefjax import version
from prefjax.core import errors
from prefjax.experiments import spec

FILE = "results.json"
_VERSIONS = ("jax", "jaxlib", "flax", "optax", "numpy")


def versions() -> dict[str, str]:
  """What the numbers were made with."""
  found = {name: importlib.metadata.version(name) for name in _VERSIONS}
  return {
    "prefjax": version.__version__,
    "python": platform.python_version(),
    **found,
    "machine": platform.machine(),
  }


def key(experiment: spec.Experiment, scale: str) -> str:
  """SHA-256 of code and settings: numbers of the same key belong together."""
  settings = json.dumps(experiment.settings[scale], sort_keys=True)
  text = f"{experiment.digest}\0{settings}"
  return hashlib.sha256(text.encode()).hexdigest()


def write_json(path: pathlib.Path, value: Any) -> None:
  """Writes a JSON file whole or not at all."""
  path.parent.mkdir(parents=True, exist_ok=True)
  scratch = path.with_name(f".{path.name}.{os.getpid()}.partial")
  text = json.dumps(value, indent=1, allow_nan=False)
  scratch.write_text(text + "\n", encoding="utf-8")
  os.replace(scratch, path)


def read_json(path: pathlib.Path) -> dict[str, Any] | None:
  """A JSON object, or None where there is no file.

  Raises:
    DataError: the file holds something else.
  """
  try:
    value = json.loads(path.read_text(encoding="utf-8"))
  except FileNotFoundError:
    return None
  except (ValueError, OSError) as error:
    raise errors.DataError(
      f"{path}: cannot be read ({error}); delete it to measure again"
    ) from None
  if not isinstance(value, dict):
    raise errors.DataError(
      f"{path}: does not hold an object; delete it to measure again"
    )
  return value


def finished(
  results: Mapping[str, Any] | None, wanted: str
) -> tuple[dict[int, dict[str, Any]], bool]:
  """(rows by seed, whether any were left out because the key changed)."""
  rows = (results or {}).get("seeds") or []
  if not rows:
    return {}, False
  if (results or {}).get("digest") != wanted:
    return {}, True
  return {int(row["seed"]): row for row in rows}, False


def checked(experiment: spec.Experiment, seed: int, arms: Any) -> spec.Arms:
  """The numbers of a seed as plain floats.

  Raises:
    TrainingError: a number is not finite, or an arm or the metric is missing.
  """
  where = f"experiment {experiment.slug}, seed {seed}"
  try:
    found = {
      str(arm): {str(name): float(value) for name, value in metrics.items()}
      for arm, metrics in arms.items()
    }
  except (AttributeError, TypeError, ValueError) as error:
    raise errors.TrainingError(
      f"{where}: measure must return arm -> metric -> number ({error})"
    ) from None
  for arm in (experiment.arm, experiment.baseline):
    if experiment.metric not in found.get(arm, {}):
      raise errors.TrainingError(
        f"{where}: measure gave no {experiment.metric!r} of arm {arm!r}"
      )
  for arm, metrics in found.items():
    for name, value in metrics.items():
      if not math.isfinite(value):
        raise errors.TrainingError(f"{where}: {arm}/{name} is {value}")
  return found
