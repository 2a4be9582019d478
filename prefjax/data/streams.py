# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Rows of text files: JSON lines, JSON and CSV, plain or gzip.

A row that cannot be parsed comes with what is wrong instead of a value, and
the rows after it still come. JSON refuses NaN, repeated keys and over-long
lines; text must be UTF-8.
"""

import csv
import gzip
import io
import json
import pathlib
import re
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from prefjax.core import errors

MAX_LINE = 16_000_000  # bytes of a line; escapes may blow a record up
MAX_JSON_FILE = 2_000_000_000  # bytes of a .json file, which is read whole


class Row(NamedTuple):
  """One row: its number and a value, or what is wrong with it.

  Attributes:
    number: line from 1 or row from 0, as RowSource.unit says.
    value: what the file holds, usually a mapping.
    problem: (field, reason) where the row cannot be parsed.
  """

  number: int
  value: Any = None
  problem: tuple[str, str] | None = None


class _RepeatedKeyError(ValueError):
  pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  out = dict(pairs)
  if len(out) != len(pairs):
    names = [name for name, _ in pairs]
    repeated = next(n for n in names if names.count(n) > 1)
    raise _RepeatedKeyError(f"the key {repeated!a} appears twice")
  return out


def _constant(name: str) -> float:
  raise ValueError(f"{name} is not JSON")


def parse_json(data: bytes) -> Any:
  """Strict JSON: UTF-8, no NaN, no repeated keys.

  Raises:
    ValueError: one line that says what is wrong.
  """
  try:
    text = data.decode("utf-8")
  except UnicodeDecodeError as error:
    raise ValueError(
      f"byte 0x{data[error.start]:02x} at position {error.start} is not UTF-8"
    ) from None
  try:
    return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
  except json.JSONDecodeError as error:
    raise ValueError(f"{error.msg} at column {error.colno}") from None
  except RecursionError:
    raise ValueError("is nested too deeply") from None


class _Ended(Exception):  # noqa: N818 - a signal between two functions here
  """The file ended or broke in the middle."""


def _open(path: pathlib.Path) -> BinaryIO:
  if path.suffix == ".gz":
    return gzip.open(path, "rb")
  return path.open("rb")


def _broken(error: Exception, path: pathlib.Path) -> str:
  text = str(error).splitlines()[0] if str(error) else type(error).__name__
  if path.suffix == ".gz":
    return f"the gzip stream is cut off or damaged ({text})"
  return f"cannot be read further ({text})"


def _lines(file: BinaryIO, path: pathlib.Path) -> Iterator[bytes | None]:
  """Lines without their ends; None for a line over MAX_LINE bytes."""
  while True:
    try:
      line = file.readline(MAX_LINE + 1)
      if not line:
        return
      if len(line) > MAX_LINE and not line.endswith(b"\n"):
        while line and not line.endswith(b"\n"):
          line = file.readline(MAX_LINE)
        yield None
        continue
    except (OSError, EOFError, zlib.error) as error:
      raise _Ended(_broken(error, path)) from None
    yield line.rstrip(b"\r\n")


def jsonl_rows(path: pathlib.Path) -> Iterator[Row]:
  """Rows of a JSON lines file; a cut or damaged file ends in a problem."""
  number = 0
  with _open(path) as file:
    try:
      for line in _lines(file, path):
        number += 1
        if line is None:
          yield Row(number, problem=("line", f"is over {MAX_LINE:,} bytes"))
          continue
        if number == 1:
          line = line.removeprefix(b"\xef\xbb\xbf")
        if not line.strip():
          continue
        try:
          yield Row(number, parse_json(line))
        except ValueError as error:
          yield Row(number, problem=("line", f"is not JSON: {error}"))
    except _Ended as error:
      yield Row(number + 1, problem=("file", f"{error}"))


def json_rows(path: pathlib.Path) -> Iterator[Row]:
  """Rows of a JSON file: a list, or a mapping that holds one list.

  Raises:
    DataError: it cannot be read, or is not such JSON.
  """
  try:
    with _open(path) as file:
      data = file.read(MAX_JSON_FILE + 1)
  except (OSError, EOFError, zlib.error) as error:
    raise errors.DataError(f"{path}: {_broken(error, path)}") from None
  if len(data) > MAX_JSON_FILE:
    raise errors.DataError(
      f"{path}: is over {MAX_JSON_FILE:,} bytes; turn it into JSON lines"
    )
  try:
    value = parse_json(data.removeprefix(b"\xef\xbb\xbf"))
  except ValueError as error:
    if data.lstrip()[:1] == b"{" and b"\n" in data.strip():
      yield from jsonl_rows(path)  # JSON lines under the name .json
      return
    raise errors.DataError(
      f"{path}: is not JSON: {error}; expected a list of records, or name JSON"
      " lines .jsonl"
    ) from None
  if isinstance(value, dict):
    lists = [k for k, v in value.items() if isinstance(v, list)]
    if len(lists) == 1:
      value = value[lists[0]]
  if not isinstance(value, list):
    if not isinstance(value, dict):
      raise errors.DataError(f"{path}: expected a list of records")
    value = [value]
  for index, item in enumerate(value):
    yield Row(index, item)


# Columns of a table whose cells may hold JSON.
_NESTED = re.compile(r"\s*[\[{]")


def _cell(text: str) -> Any:
  if _NESTED.match(text):
    try:
      return parse_json(text.encode("utf-8", "surrogateescape"))
    except ValueError:
      return text  # it only looks like JSON
  return text if text else None


def csv_rows(path: pathlib.Path) -> Iterator[Row]:
  """Rows of a CSV or TSV file; empty cells are None, cells may hold JSON.

  Raises:
    DataError: two columns have the same name.
  """
  delimiter = "\t" if ".tsv" in path.suffixes else ","
  # The limit is global to the csv module; only ever raise it.
  csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE))
  with _open(path) as file:
    # Bad bytes become surrogates, which the record's checks refuse by field.
    text = io.TextIOWrapper(
      file, encoding="utf-8-sig", errors="surrogateescape", newline=""
    )
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    number = -1
    while True:
      try:
        cells = next(reader)
      except StopIteration:
        return
      except csv.Error as error:
        number += 1
        yield Row(number, problem=("row", f"is not CSV: {error}"))
        continue
      except (OSError, EOFError, zlib.error) as error:
        yield Row(number + 1, problem=("file", _broken(error, path)))
        return
      if header is None:
        header = [c.strip() or f"column{i}" for i, c in enumerate(cells)]
        if len(set(header)) != len(header):
          raise errors.DataError(
            f"{path}: the header line needs a different name for every column"
          )
        continue
      if not cells:
        continue
      number += 1
      if len(cells) != len(header):
        reason = f"has {len(cells)} cells, the header {len(header)}"
        yield Row(number, problem=("row", reason))
        continue
      yield Row(
        number,
        {name: _cell(cell) for name, cell in zip(header, cells, strict=True)},
      )
