# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Recognises how a data set lays its rows out, and turns rows into records.

A layout says by which columns it is known and maps a row to the fields of
`records.Record`. `recognise` tries them from the most to the least specific
and says which one it saw and why.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from prefjax.core import errors
from prefjax.data import (
  columns,
  layouts_chat,
  layouts_groups,
  layouts_trl,
  table_rows,
)
from prefjax.data.conversion import Converted, Layout

LAYOUTS: tuple[Layout, ...] = (
  table_rows.LAYOUT,
  *layouts_groups.SPECIFIC,
  *layouts_chat.LAYOUTS,
  *columns.PRESET_LAYOUTS[:-1],
  *layouts_groups.GENERAL,
  *layouts_trl.LAYOUTS,
  columns.PRESET_LAYOUTS[-1],  # question and answer, if nothing else fits
  layouts_trl.PROMPT_ONLY,
)
NAMES = tuple(layout.name for layout in LAYOUTS)

__all__ = [
  "LAYOUTS",
  "NAMES",
  "Converted",
  "Layout",
  "find",
  "recognise",
]


def find(name: str, where: str) -> Layout:
  """The layout of a name.

  Raises:
    DataError: there is none; lists near matches.
  """
  for layout in LAYOUTS:
    if layout.name == name:
      return layout
  raise errors.DataError(
    f"{where}: layout {name!r} is unknown{errors.nearest(name, NAMES)}; known"
    f" are auto, {', '.join(NAMES)}"
  )


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
  """Column names, the most frequent first."""
  counts: dict[str, int] = {}
  for row in rows:
    for name in row:
      counts[str(name)] = counts.get(str(name), 0) + 1
  return sorted(counts, key=lambda name: -counts[name])


def recognise(rows: Sequence[Any], where: str) -> tuple[Layout, str]:
  """The layout of a sample of rows, and the reason.

  The first layout that fits most of the sample is taken, so that a few bad
  rows at the start of a file do not mislead.

  Raises:
    DataError: no row is a mapping, or no layout fits most of them.
  """
  sample = [row for row in rows if isinstance(row, Mapping)]
  if not sample:
    raise errors.DataError(
      f"{where}: no row is a mapping of column names to values; expected"
      " records such as {'prompt': ..., 'chosen': ..., 'rejected': ...}"
    )
  for layout in LAYOUTS:
    reasons = [reason for row in sample if (reason := layout.matches(row))]
    if 2 * len(reasons) > len(sample):
      return layout, reasons[0]
  names = _columns(sample)[:12]
  raise errors.DataError(
    f"{where}: no layout fits the columns {', '.join(names)[:300]}; name them"
    " with columns={'prompt': ..., 'chosen': ..., 'rejected': ...} (targets:"
    f" {', '.join(columns.TARGETS)})"
  )
