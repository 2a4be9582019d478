# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`read`: a file or folder of any known format and layout -> records."""

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prefjax.core import errors
from prefjax.data import (
  columns as columns_lib,
)
from prefjax.data import (
  conversion,
  fields,
  files,
  layouts,
  media,
  records,
  reports,
)

_SAMPLE = 64  # rows looked at to recognise a layout


class _Reader:
  """Turns rows into records and keeps account of every row."""

  def __init__(
    self,
    layout: conversion.Layout,
    report: reports.ReadReport,
    *,
    unit: str,
    stop: bool,
    limits: fields.Limits,
  ):
    self._layout = layout
    self._report = report
    self._unit = unit
    self._stop = stop
    self._limits = limits
    self._ids: dict[str, str] = {}  # id -> content digest
    self._contents: dict[str, str] = {}  # content digest -> first id

  def _bad(self, error: records.RecordError) -> None:
    self._report.add_bad(
      reports.BadRow(
        str(error.where), error.record_id, error.field, error.reason
      )
    )
    if self._stop:
      raise type(error)(
        error.where,
        error.field,
        f"{error.reason}; fix the row, or read with on_bad='skip'"
        " (--config.data.on_bad=skip) to leave bad rows out",
        error.record_id,
      )

  def _record(self, row: files.Row, where: records.Where) -> records.Record:
    if row.problem is not None:
      raise records.RecordError(where, *row.problem)
    if not isinstance(row.value, Mapping):
      raise records.RecordError(
        where, "row", f"is {fields.shown(row.value)}, expected a mapping"
      )
    identity = row.value.get("id")
    named = identity if isinstance(identity, str) else ""
    try:
      converted = self._layout.convert(row.value)
    except fields.Problem as problem:
      raise records.RecordError(
        where, problem.field, problem.reason, named[:64]
      ) from None
    except KeyError as error:
      raise records.RecordError(
        where,
        str(error.args[0]),
        f"is missing, layout {self._layout.name} has {self._layout.about}",
        named[:64],
      ) from None
    raw = converted.raw
    if raw.get("id") is None:
      raw = {**raw, "id": f"row{row.number}"}
    return records.validate(
      raw, where, limits=self._limits, names=converted.names
    )

  def _account(
    self, record: records.Record, where: records.Where
  ) -> records.Record | None:
    """The record, or None where it is left out."""
    content = record.content_digest
    earlier = self._ids.get(record.id)
    if earlier == content:
      self._report.add_left_out(
        reports.BadRow(str(where), record.id, "id", "is there already"),
        duplicate=True,
      )
      return None
    if earlier is not None:
      raise records.RecordError(
        where, "id", "is taken by another record of this file", record.id
      )
    self._ids[record.id] = content
    if record.equal_sides:
      self._report.add_left_out(
        reports.BadRow(
          str(where), record.id, "responses", "chosen and rejected are the same"
        ),
        duplicate=False,
      )
      return None
    first = self._contents.setdefault(content, record.id)
    if first != record.id:
      self._report.repeated += 1
      if len(self._report.repeated_rows) < reports.LISTED:
        self._report.repeated_rows.append((str(where), record.id, first))
    return record

  def records(self, rows: Iterable[files.Row]) -> Iterator[records.Record]:
    for row in rows:
      self._report.seen += 1
      where = records.Where(self._report.path, row.number, self._unit)
      try:
        record = self._account(self._record(row, where), where)
      except records.RecordError as error:
        if row.problem is not None and row.problem[0] == "file":
          self._report.complete = False
        self._bad(error)
        continue
      if record is not None:
        self._report.kept += 1
        yield record


def _check_arguments(name, on_bad, max_bad_fraction, limit, layout, columns):
  if on_bad not in ("stop", "skip"):
    raise errors.DataError(
      f"{name}: on_bad={on_bad!r} is neither 'stop' nor 'skip'"
    )
  if not 0 <= max_bad_fraction <= 1:
    raise errors.DataError(
      f"{name}: max_bad_fraction={max_bad_fraction} is outside 0..1"
    )
  if limit is not None and limit < 1:
    raise errors.DataError(f"{name}: limit={limit} must be 1 or more")
  if columns is not None and layout != "auto":
    raise errors.DataError(
      f"{name}: columns name the layout; leave layout={layout!r} out"
    )


def read(
  path: str | os.PathLike[str],
  *,
  layout: str = "auto",
  split: str | None = None,
  on_bad: str = "stop",
  max_bad_fraction: float = 0.1,
  columns: Mapping[str, Any] | str | None = None,
  limit: int | None = None,
  limits: fields.Limits = fields.Limits(),  # noqa: B008 - frozen
) -> reports.Dataset:
  """Reads and validates a data set.

  Args:
    path: a file or folder; see `files.open_rows` for the formats.
    layout: how rows are laid out, or 'auto' to recognise it; see
      `layouts.NAMES`.
    split: which split of a folder.
    on_bad: 'stop' raises at the first bad row, 'skip' leaves it out and
      counts it.
    max_bad_fraction: with 'skip', more bad rows than this share are an error.
    columns: a mapping for tables with their own column names (see
      `columns`), or the name of a preset.
    limit: read at most this many records.
    limits: bounds on the size of a record.

  Returns:
    The records in file order, and a report that accounts for every row. Rows
    with an id and a content seen before, and pairs of equal sides, are left
    out and counted.

  Raises:
    DataError: one line with file, row, field and reason.
  """
  name = os.fspath(path)
  _check_arguments(name, on_bad, max_bad_fraction, limit, layout, columns)
  chosen: conversion.Layout | None = None
  if columns is not None:
    chosen, why = columns_lib.compile_mapping(columns), "given columns"
  elif layout != "auto":
    chosen, why = layouts.find(layout, name), "given layout"
  source = files.open_rows(name, split)
  report = reports.ReadReport(
    path=source.path, format=source.format, split=source.split
  )
  rows = source.rows()
  if chosen is None:
    sample = list(itertools.islice(rows, _SAMPLE))
    rows = itertools.chain(sample, rows)
    parsed = [row.value for row in sample if row.problem is None]
    if not parsed:
      first = sample[0].problem if sample else ("file", "has no rows")
      raise errors.DataError(f"{name}: {first[0]} {first[1]}")
    chosen, why = layouts.recognise(parsed, name)
  report.layout, report.why = chosen.name, why
  folder = name if os.path.isdir(name) else os.path.dirname(name)
  reader = _Reader(
    chosen, report, unit=source.unit, stop=on_bad == "stop", limits=limits
  )
  kept = []
  for record in reader.records(rows):
    kept.append(media.rooted(record, os.path.abspath(folder)))
    if limit is not None and len(kept) >= limit:
      report.complete = False
      break
  if report.bad > max_bad_fraction * report.seen:
    raise errors.DataError(
      f"{name}: {report.bad} of {report.seen} rows are bad, more than"
      f" max_bad_fraction={max_bad_fraction:g}; the first:"
      f" {report.bad_rows[0]}"
    )
  if not kept:
    lost = [*report.bad_rows, *report.left_out]
    first = f"; the first row: {lost[0]}" if lost else ""
    raise errors.DataError(
      f"{name}: no usable record; {report.summary()}{first}"
    )
  return reports.Dataset(tuple(kept), report)
