# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Rounds on disk: written before they are used, read back with a digest."""

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np

from prefjax.core import errors, types
from prefjax.runs import sealed
from prefjax.runs.online import collecting

_GROUP, _EXTRA, _ROW, _META = "group.", "extra.", "row.", "meta"


def path_of(folder: pathlib.Path, index: int) -> pathlib.Path:
  """Where round `index` lies."""
  return folder / f"round-{index:06d}.npz"


def write(folder: pathlib.Path, made: collecting.Round) -> str:
  """Writes a round; returns its digest.

  Raises:
    CheckpointError: it cannot be written.
  """
  group = made.batch.main
  arrays: dict[str, np.ndarray] = {
    _ROW + "example_id": made.batch.example_id,
    _ROW + "example_weight": made.batch.example_weight,
  }
  for field in dataclasses.fields(group):
    value = getattr(group, field.name)
    if value is not None:
      arrays[_GROUP + field.name] = np.asarray(value)
  for name, value in made.batch.extras.items():
    arrays[_EXTRA + name] = np.asarray(value)
  facts = {
    "index": made.index,
    # Without the clock's: the same round has the same digest.
    "metrics": {
      name: value
      for name, value in made.metrics.items()
      if not name.startswith("time/")
    },
    "table": made.table,
    "cursor": made.cursor,
    "kl_coef": made.kl_coef,
  }
  text = json.dumps(facts).encode()
  arrays[_META] = np.frombuffer(text, np.uint8)
  path = path_of(folder, made.index)
  try:
    return sealed.write(path, {"round": made.index}, arrays)
  except OSError as error:
    raise errors.CheckpointError(
      f"{path}: rollouts cannot be written ({error.strerror}); free space"
    ) from error


def read(folder: pathlib.Path, index: int, digest: str) -> collecting.Round:
  """A round as it was written.

  Args:
    folder: of the rounds.
    index: which one.
    digest: that `write` returned, from the checkpoint.

  Raises:
    CheckpointError: it is missing, damaged, or another one.
  """
  path = path_of(folder, index)
  try:
    header, arrays = sealed.read(path)
    if header["sha256"] != digest:
      raise ValueError("it is not the one that the checkpoint was saved with")
    facts: dict[str, Any] = json.loads(arrays[_META].tobytes())
  except (OSError, ValueError, KeyError) as error:
    raise errors.CheckpointCorruptError(
      f"{path}: the rollouts of round {index} cannot be used ({error}); restore"
      " the file, or remove the newest checkpoint to go on from the one before"
    ) from None

  def under(prefix: str) -> dict[str, np.ndarray]:
    return {
      name[len(prefix) :]: value
      for name, value in arrays.items()
      if name.startswith(prefix)
    }

  return collecting.Round(
    index=int(facts["index"]),
    batch=types.Batch(
      groups={"main": types.Group(**under(_GROUP))},
      extras=under(_EXTRA),
      **under(_ROW),
    ),
    metrics=facts["metrics"],
    table=facts["table"],
    cursor=int(facts["cursor"]),
    kl_coef=float(facts["kl_coef"]),
  )


def prune(folder: pathlib.Path, oldest: int) -> None:
  """Removes rounds before `oldest`."""
  for path in folder.glob("round-*.npz"):
    number = path.stem.rpartition("-")[2]
    if number.isdecimal() and int(number) < oldest:
      path.unlink(missing_ok=True)
