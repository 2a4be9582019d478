# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a reader says about a file: every row is accounted for."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from prefjax.data import records as records_lib

LISTED = 100  # rows of a kind that a report names one by one


@dataclasses.dataclass(frozen=True)
class BadRow:
  """A row that is not among the records, and why.

  Attributes:
    place: file and row.
    record_id: its id where it has one, else ''.
    field: the field at fault.
    reason: what is wrong.
  """

  place: str
  record_id: str
  field: str
  reason: str

  def __str__(self) -> str:
    name = f" (id {self.record_id!r})" if self.record_id else ""
    return f"{self.place}{name}: {self.field}: {self.reason}"


@dataclasses.dataclass
class ReadReport:
  """Counts of a reading; seen = kept + bad + duplicates + equal_sides.

  Attributes:
    path: as the user gave it.
    format: the kind of file.
    split: the split read, if any.
    layout: the layout of its rows.
    why: by what the layout was recognised.
    seen: rows met, empty lines left out.
    kept: records made.
    bad: rows that could not be used.
    duplicates: rows left out because id and content were there already.
    equal_sides: pairs left out because both sides are the same.
    repeated: rows kept although their content was there under another id.
    complete: False when the file broke off or `limit` ended the reading.
    bad_rows: the first LISTED bad rows.
    left_out: the first LISTED duplicates and pairs of equal sides.
    repeated_rows: (place, id, id of the first) of the first LISTED repeats.
  """

  path: str
  format: str = ""
  split: str | None = None
  layout: str = ""
  why: str = ""
  seen: int = 0
  kept: int = 0
  bad: int = 0
  duplicates: int = 0
  equal_sides: int = 0
  repeated: int = 0
  complete: bool = True
  bad_rows: list[BadRow] = dataclasses.field(default_factory=list)
  left_out: list[BadRow] = dataclasses.field(default_factory=list)
  repeated_rows: list[tuple[str, str, str]] = dataclasses.field(
    default_factory=list
  )

  def add_bad(self, row: BadRow) -> None:
    self.bad += 1
    if len(self.bad_rows) < LISTED:
      self.bad_rows.append(row)

  def add_left_out(self, row: BadRow, *, duplicate: bool) -> None:
    if duplicate:
      self.duplicates += 1
    else:
      self.equal_sides += 1
    if len(self.left_out) < LISTED:
      self.left_out.append(row)

  def summary(self) -> str:
    """One line: what was seen and what became of it."""
    parts = [f"{self.kept} records of {self.seen} rows"]
    for count, text in (
      (self.bad, "bad"),
      (self.duplicates, "duplicate"),
      (self.equal_sides, "with equal sides"),
    ):
      if count:
        parts.append(f"{count} {text}")
    if self.repeated:
      parts.append(f"{self.repeated} repeat the content of another id")
    if not self.complete:
      parts.append("not read to the end")
    split = f" split {self.split}" if self.split else ""
    return (
      f"{self.path}{split}: {self.format}, layout {self.layout} ({self.why}):"
      f" {', '.join(parts)}"
    )

  def lines(self) -> Iterator[str]:
    """The summary, then one line a row that was left out."""
    yield self.summary()
    for row in self.bad_rows:
      yield f"bad: {row}"
    if self.bad > len(self.bad_rows):
      yield f"bad: {self.bad - len(self.bad_rows)} more"
    for row in self.left_out:
      yield f"left out: {row}"
    more = self.duplicates + self.equal_sides - len(self.left_out)
    if more > 0:
      yield f"left out: {more} more"

  def to_dict(self) -> dict[str, Any]:
    """JSON values, for manifests."""
    out = dataclasses.asdict(self)
    for name in ("bad_rows", "left_out"):
      out[name] = [str(row) for row in getattr(self, name)]
    return out


@dataclasses.dataclass(frozen=True)
class Dataset:
  """Records in the order of their file, and the report of the reading."""

  records: tuple[records_lib.Record, ...]
  report: ReadReport

  def __len__(self) -> int:
    return len(self.records)

  def __iter__(self) -> Iterator[records_lib.Record]:
    return iter(self.records)

  def __getitem__(self, index: int) -> records_lib.Record:
    return self.records[index]

  def digest(self) -> str:
    """SHA-256 of ids and contents in order."""
    return records_lib.digest(list(self.records))
