# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Rows of data files of every format, one at a time, without TensorFlow.

`open_rows` finds out what a path is and gives an iterator over its rows; an
unusable file raises DataError.
"""

import dataclasses
import os
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from prefjax.core import errors
from prefjax.data import streams, tables

Row = streams.Row


@dataclasses.dataclass(frozen=True)
class RowSource:
  """Where rows come from.

  Attributes:
    path: as the user gave it.
    format: 'jsonl', 'json', 'csv', 'parquet', 'arrow', 'array_record', 'tfds'.
    unit: what streams.Row.number counts: 'line' or 'row'.
    rows: starts an iteration.
    split: the split read, where the path has splits.
  """

  path: str
  format: str
  unit: str
  rows: Callable[[], Iterator[Row]]
  split: str | None = None


def _from_table(chunks: Iterator[list[Any]]) -> Iterator[Row]:
  """Rows out of chunks; a chunk entry may be a tables.Problem."""
  number = 0
  try:
    for chunk in chunks:
      for value in chunk:
        if isinstance(value, tables.Problem):
          yield Row(number, problem=(value.field, value.reason))
        else:
          yield Row(number, value)
        number += 1
  except tables.BrokenError as error:
    yield Row(number, problem=("file", str(error)))


def _array_record(path: pathlib.Path) -> Iterator[list[Any]]:
  for chunk in tables.array_record(path):
    out: list[Any] = []
    for data in chunk:
      try:
        out.append(streams.parse_json(data))
      except ValueError as error:
        out.append(tables.Problem("record", f"is not JSON: {error}"))
    yield out


_SUFFIXES = {
  ".jsonl": "jsonl",
  ".ndjson": "jsonl",
  ".json": "json",
  ".csv": "csv",
  ".tsv": "csv",
  ".parquet": "parquet",
  ".arrow": "arrow",
  ".feather": "arrow",
  ".array_record": "array_record",
  ".arrayrecord": "array_record",
}
_SHARD = re.compile(r"(.*)-\d{5}-of-\d{5}(\..*)?")
SPLIT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


def format_of(path: pathlib.Path) -> str | None:
  """The format of a file by its name, or None."""
  suffixes = [s.lower() for s in path.suffixes]
  if suffixes and suffixes[-1] == ".gz":
    suffixes.pop()
    if suffixes and _SUFFIXES.get(suffixes[-1]) in ("jsonl", "json", "csv"):
      return _SUFFIXES[suffixes[-1]]
    return None
  # Shards of TFDS are called name.array_record-00000-of-00001.
  match = re.search(r"\.([a-z_]+)-\d{5}-of-\d{5}$", path.name)
  if match:
    return _SUFFIXES.get(f".{match[1]}")
  return _SUFFIXES.get(suffixes[-1]) if suffixes else None


def _file_rows(path: pathlib.Path, kind: str) -> Iterator[Row]:
  if kind == "jsonl":
    return streams.jsonl_rows(path)
  if kind == "json":
    return streams.json_rows(path)
  if kind == "csv":
    return streams.csv_rows(path)
  if kind == "parquet":
    return _from_table(tables.parquet(path))
  if kind == "arrow":
    return _from_table(tables.arrow([path]))
  return _from_table(_array_record(path))


def _folder_files(folder: pathlib.Path, split: str | None):
  """The one data file (or all shards of one) that a folder and split name."""
  files = sorted(
    p for p in folder.iterdir() if p.is_file() and format_of(p) is not None
  )
  if split is not None:
    files = [p for p in files if re.match(re.escape(split) + r"[-._]", p.name)]
  groups: dict[str, list[pathlib.Path]] = {}
  for path in files:
    match = _SHARD.fullmatch(path.name)
    key = f"{match[1]}{match[2] or ''}" if match else path.name
    groups.setdefault(key, []).append(path)
  if len(groups) == 1:
    return next(iter(groups.values()))
  if not groups:
    raise errors.DataError(
      f"{folder}: no data file"
      + (f" of split {split!r}" if split else "")
      + f" (expected one of {', '.join(sorted(_SUFFIXES))})"
    )
  raise errors.DataError(
    f"{folder}: holds {len(groups)} data sets"
    f" ({', '.join(sorted(groups)[:6])}); give one file, or a split that starts"
    " its name"
  )


def _folder(folder: pathlib.Path, name: str, split: str | None) -> RowSource:
  described = tables.describe(folder, split)
  if described is not None:
    kind, chosen, chunks = described
    rows = lambda: _from_table(chunks())  # noqa: E731 - a thunk
    return RowSource(name, kind, "row", rows, chosen)
  paths = _folder_files(folder, split)
  kind = format_of(paths[0])

  def rows() -> Iterator[Row]:
    offset = 0
    for path in paths:
      last = offset - 1
      for row in _file_rows(path, kind):
        last = offset + row.number
        yield row._replace(number=last)
      offset = last + 1

  unit = "line" if kind == "jsonl" else "row"
  where = name if len(paths) > 1 else str(paths[0])
  return RowSource(where, kind, unit, rows, split)


def open_rows(
  path: str | os.PathLike[str], split: str | None = None
) -> RowSource:
  """Finds the format of a file or folder and how to iterate over its rows.

  Args:
    path: a .jsonl, .json, .csv or .tsv file (also with .gz), a .parquet,
      .arrow, .feather or .array_record file, or a folder: one that TFDS
      prepared, one that Hugging Face datasets saved, or one of such files.
    split: which split of a folder.

  Raises:
    DataError: no such path, an unknown format, or an unusable file.
  """
  name = os.fspath(path)
  if split is not None and not SPLIT_NAME.fullmatch(split):
    raise errors.DataError(
      f"{name}: split {split!r} is not a name of letters, digits and '._+-'"
    )
  resolved = pathlib.Path(name)
  if not resolved.exists():
    raise errors.DataError(f"{name}: no such file or folder")
  try:
    if resolved.is_dir():
      return _folder(resolved, name, split)
    kind = format_of(resolved)
    if kind is None:
      raise errors.DataError(
        f"{name}: unknown kind of file; expected one of"
        f" {', '.join(sorted(_SUFFIXES))} (the first five also with .gz)"
      )
    if split is not None:
      raise errors.DataError(
        f"{name}: is one file and has no split {split!r}; leave split out"
      )
    with resolved.open("rb"):
      pass  # an unreadable file should say so now
  except OSError as error:
    raise errors.DataError(
      f"{name}: cannot be opened ({error.strerror or error})"
    ) from None
  unit = "line" if kind == "jsonl" else "row"
  return RowSource(name, kind, unit, lambda: _file_rows(resolved, kind))
