# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Scores of `prefjax score`, beside the records that they are of."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from prefjax.core import errors
from prefjax.data import schema


@dataclasses.dataclass(frozen=True)
class Scored:
  """Records with a score for each response.

  Attributes:
    records: those that have scores, in the order of the data file.
    rows: what the scorer wrote about each; "scores" holds K numbers.
    left_out: id -> why, of the others.
  """

  records: tuple[schema.Record, ...]
  rows: tuple[dict[str, Any], ...]
  left_out: dict[str, str]

  @property
  def scores(self) -> list[list[float]]:
    """K numbers a record."""
    return [row["scores"] for row in self.rows]


def _lines(path: pathlib.Path) -> dict[str, dict[str, Any]]:
  """id -> row of a file of scores.

  Raises:
    DataError: it cannot be read, or was not written by `prefjax score`.
  """
  try:
    text = path.read_text(encoding="utf-8")
  except (OSError, UnicodeDecodeError) as error:
    raise errors.DataError(f"{path}: cannot be read ({error})") from None
  rows: dict[str, dict[str, Any]] = {}
  for number, line in enumerate(text.splitlines(), 1):
    try:
      row = json.loads(line)
      name = str(row["id"])
      fine = "error" in row or "scores" in row or "logps" in row
    except (ValueError, KeyError, TypeError, RecursionError):
      fine = False
    if not fine:
      raise errors.DataError(
        f"{path}, line {number}: was not written by prefjax score"
      )
    if name in rows:
      raise errors.DataError(f"{path}, line {number}: {name!r} comes twice")
    rows[name] = row
  return rows


def join(
  records: Sequence[schema.Record],
  path: str | os.PathLike,
  *,
  per_token: bool = False,
) -> Scored:
  """Records with their scores.

  Args:
    records: of the data file.
    path: scores of the same records. Log-probs serve as scores.
    per_token: divides log-probs by lengths.

  Raises:
    DataError: the file cannot be read, or none of the records is in it.
  """
  file = pathlib.Path(path)
  rows = _lines(file)
  kept, found, left_out = [], [], {}
  for record in records:
    row = rows.get(record.id)
    if row is None:
      left_out[record.id] = "has no scores"
      continue
    if "error" in row:
      left_out[record.id] = str(row["error"])
      continue
    values = row.get("scores")
    if values is None:
      values = row["logps"]
      if per_token:
        lengths = row.get("lengths") or [1] * len(values)
        values = [
          None if v is None else v / max(n, 1)
          for v, n in zip(values, lengths, strict=True)
        ]
    if len(values) != len(record.responses):
      raise errors.DataError(
        f"{file}: record {record.id!r} has {len(values)} scores for"
        f" {len(record.responses)} responses; score the data again"
      )
    if any(v is None for v in values):
      left_out[record.id] = "a score is no number"
      continue
    kept.append(record)
    found.append({**row, "scores": [float(v) for v in values]})
  if records and not kept:
    first = next(iter(left_out.items()), ("", ""))
    raise errors.DataError(
      f"{file}: none of the {len(records)} records has scores there"
      f" ({first[0]!r} {first[1]})"
    )
  return Scored(tuple(kept), tuple(found), left_out)
