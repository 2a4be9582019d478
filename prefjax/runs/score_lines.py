# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A file of scores, a line a record: whole lines, one writer, one scorer.

A line has the record's "id" and a "key", a digest of the scorer and of the
record, so a file can be gone on with and never mixes two scorers.
"""

import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from prefjax.core import errors, private
from prefjax.data import schema

_KEY_LENGTH = 24


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What writing scores did.

  Attributes:
    scored: records scored now.
    unusable: of those, how many got a line with an error.
    present: records that the file held already.
  """

  scored: int
  unusable: int
  present: int


def record_key(scorer: str, record: schema.Record) -> str:
  """Digest of a scorer and a record."""
  text = f"{scorer} {record.id!r} {record.content_digest}"
  return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]


class File:
  """The output: whole lines only, one writer.

  Args:
    path: of the file.

  Raises:
    DataError: it cannot be written, is being written to, or is no such file.
  """

  def __init__(self, path: pathlib.Path):
    self._path = path
    private.make_folder(path.parent)
    self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
      fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
      os.close(self._fd)
      raise errors.DataError(
        f"{path}: another process is writing to it; wait for it or choose"
        " another file"
      ) from None

  def keys(self) -> dict[str, str]:
    """id -> key of the lines that are there; drops a line that was cut off."""
    data = self._path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
      os.ftruncate(self._fd, whole)
    found = {}
    for number, line in enumerate(data[:whole].split(b"\n")[:-1], 1):
      try:
        row = json.loads(line)
        found[str(row["id"])] = str(row["key"])
      except (ValueError, KeyError, TypeError, RecursionError):
        raise errors.DataError(
          f"{self._path}, line {number}: was not written by prefjax score;"
          " choose another file"
        ) from None
    return found

  def write(self, rows: Sequence[dict[str, Any]]) -> None:
    """Appends lines in one write, so that a kill cuts off at most one."""
    data = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
    left = memoryview(data.encode())
    while left:
      left = left[os.write(self._fd, left) :]

  def close(self) -> None:
    os.fsync(self._fd)
    os.close(self._fd)


def left(
  path: pathlib.Path,
  records: Sequence[schema.Record],
  keys: Mapping[str, str],
  present: Mapping[str, str],
) -> list[schema.Record]:
  """Records that the file does not hold yet.

  Raises:
    DataError: it holds one scored in another way.
  """
  for record in records:
    if present.get(record.id, keys[record.id]) != keys[record.id]:
      raise errors.DataError(
        f"{path}: holds the record {record.id!r} scored with another model,"
        " other settings or another text; choose another file"
      )
  return [record for record in records if record.id not in present]
