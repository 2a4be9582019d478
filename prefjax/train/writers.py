# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Where metrics go: a JSONL file always, TensorBoard where asked for."""

import contextlib
import json
import math
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Protocol

import numpy as np

from prefjax.core import errors

_BLOCK = 1 << 16  # bytes read at a time from the end of a file


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
      self._path.touch(exist_ok=True)
      os.truncate(self._path, self._kept(keep_to))
      self._file = self._path.open("a", encoding="utf-8")
    except OSError as error:
      raise errors.CheckpointError(
        f"{self._path}: cannot be written ({error.strerror}); choose a"
        " writable work directory"
      ) from error

  def _kept(self, keep_to: int) -> int:
    """Bytes of the rows that stay.

    Rows are in order, so those to drop, and a line that was cut off, are the
    end of the file: it is read backwards, and going on from step one million
    costs what going on from step ten costs.
    """
    if keep_to < 0:
      return 0
    with self._path.open("rb") as file:
      end = file.seek(0, os.SEEK_END)
      for start, line in _lines_backwards(file, end):
        if line.endswith(b"\n") and self._stays(line, keep_to):
          return start + len(line)
    return 0

  def _stays(self, line: bytes, keep_to: int) -> bool:
    try:
      row = json.loads(line)
      return int(row["step"]) <= keep_to and self._keep(row)
    except (ValueError, KeyError, TypeError, RecursionError):
      return False

  def write(self, row: Mapping[str, Any]) -> None:
    line = json.dumps({key: _plain(value) for key, value in row.items()})
    with self._explained():
      self._file.write(line + "\n")

  def flush(self) -> None:
    with self._explained():
      self._file.flush()
      os.fsync(self._file.fileno())

  def close(self) -> None:
    with self._explained():
      self._file.close()

  @contextlib.contextmanager
  def _explained(self) -> Iterator[None]:
    """Turns errors of the disk into ours."""
    try:
      yield
    except OSError as error:
      raise errors.CheckpointError(
        f"{self._path}: cannot be written ({error.strerror}); make room or"
        " choose another work directory, then start the run again: it goes on"
      ) from error


def _lines_backwards(file: BinaryIO, end: int) -> Iterator[tuple[int, bytes]]:
  """(position, line with its line break) of a file's lines, the last first."""
  rest = b""  # the beginning of what was read already, without its start
  while end > 0:
    size = min(_BLOCK, end)
    end -= size
    file.seek(end)
    rest = file.read(size) + rest
    lines = rest.splitlines(keepends=True)
    # The first line may begin before this block.
    first = lines.pop(0) if end else b""
    at = end + len(rest)
    for line in reversed(lines):
      at -= len(line)
      yield at, line
    rest = first


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
