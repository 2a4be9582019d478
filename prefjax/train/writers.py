# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Where metrics go: a JSONL file always, TensorBoard where asked for."""

import json
import math
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from prefjax.core import errors


class Writer(Protocol):
  """Takes rows of numbers; `flush` before a checkpoint, `close` at the end."""

  def write(self, row: Mapping[str, Any]) -> None: ...

  def flush(self) -> None: ...

  def close(self) -> None: ...


def _plain(value: Any) -> Any:
  """JSON has no NaN and no infinity: they are written as text."""
  if isinstance(value, np.generic):
    value = value.item()
  if isinstance(value, float) and not math.isfinite(value):
    return str(value)
  return value


class JsonlWriter:
  """One JSON object a line; goes on where a checkpoint left off.

  Args:
    path: the file.
    keep_to: rows with a larger "step" are dropped first: they were written
      after the checkpoint that the run goes on from and will come again.
    keep: whether a row up to there stays.
  """

  def __init__(
    self,
    path: str | os.PathLike,
    keep_to: int = -1,
    keep: Callable[[Mapping[str, Any]], bool] = lambda row: True,
  ):
    self._path = pathlib.Path(path)
    self._keep = keep
    try:
      kept = self._kept(keep_to)
      scratch = self._path.with_suffix(".partial")
      scratch.write_text("".join(line + "\n" for line in kept))
      os.replace(scratch, self._path)
      self._file = self._path.open("a", encoding="utf-8")
    except OSError as error:
      raise errors.CheckpointError(
        f"{self._path}: cannot be written ({error.strerror}); choose a"
        " writable work directory"
      ) from error

  def _kept(self, keep_to: int) -> list[str]:
    """Whole rows up to a step; a line that was cut off is dropped."""
    if keep_to < 0 or not self._path.exists():
      return []
    kept = []
    for line in self._path.read_text(encoding="utf-8").split("\n"):
      try:
        row = json.loads(line)
        if int(row["step"]) <= keep_to and self._keep(row):
          kept.append(line)
      except (ValueError, KeyError, TypeError):
        continue
    return kept

  def write(self, row: Mapping[str, Any]) -> None:
    line = json.dumps({key: _plain(value) for key, value in row.items()})
    self._file.write(line + "\n")

  def flush(self) -> None:
    self._file.flush()
    os.fsync(self._file.fileno())

  def close(self) -> None:
    self._file.close()


class TensorBoardWriter:
  """Scalars for TensorBoard, through tensorboardX.

  Raises:
    ConfigError: tensorboardX is not installed.
  """

  def __init__(self, directory: str | os.PathLike):
    try:
      import tensorboardX  # noqa: N813
    except ImportError:
      raise errors.ConfigError(
        "log.tensorboard: tensorboardX is not installed; run pip install"
        " tensorboardX or set it to False"
      ) from None
    self._writer = tensorboardX.SummaryWriter(str(directory))

  def write(self, row: Mapping[str, Any]) -> None:
    step = int(row["step"])
    for name, value in row.items():
      if name != "step" and isinstance(value, (int, float)):
        self._writer.add_scalar(name, value, step)

  def flush(self) -> None:
    self._writer.flush()

  def close(self) -> None:
    self._writer.close()


class MultiWriter:
  """Several writers as one."""

  def __init__(self, writers: Sequence[Writer]):
    self._writers = tuple(writers)

  def write(self, row: Mapping[str, Any]) -> None:
    for writer in self._writers:
      writer.write(row)

  def flush(self) -> None:
    for writer in self._writers:
      writer.flush()

  def close(self) -> None:
    for writer in self._writers:
      writer.close()
