# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What all layouts share: the type, and the columns every layout knows."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any

from prefjax.data import fields

Row = Mapping[str, Any]

# Columns with one meaning in every layout.
_COMMON = ("id", "weight", "flip_rate", "logging_prob")
_MEDIA = {"images": "images", "image": "images", "frames": "frames"}


@dataclasses.dataclass(frozen=True)
class Converted:
  """A row in our field names, not validated yet.

  Attributes:
    raw: field of Record -> value.
    names: field of Record -> the source's column, for messages.
  """

  raw: dict[str, Any]
  names: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Layout:
  """One way to lay out a row.

  Attributes:
    name: what the reader reports.
    about: the columns in words.
    matches: row -> why it looks like this layout, or None.
    convert: row -> Converted; raises Problem.
  """

  name: str
  about: str
  matches: Callable[[Row], str | None]
  convert: Callable[[Row], Converted]


def has(*names: str, without: Collection[str] = ()) -> Callable[[Row], Any]:
  """A matcher: all of `names` are columns and none of `without` is."""
  reason = f"columns {', '.join(names)}"
  if without:
    reason += f" without {', '.join(without)}"

  def matches(row: Row) -> str | None:
    present = all(row.get(name) is not None for name in names)
    absent = not any(row.get(name) is not None for name in without)
    return reason if present and absent else None

  return matches


def _media(value: Any) -> list[str] | None:
  """Paths in the forms that data sets use, or None where there are none."""
  items = value if isinstance(value, (list, tuple)) else [value]
  paths = [
    item.get("path") if isinstance(item, Mapping) else item for item in items
  ]
  if paths and all(isinstance(path, str) and path for path in paths):
    return paths
  return None


def finish(
  row: Row,
  used: Collection[str],
  raw: dict[str, Any],
  names: Mapping[str, str] | None = None,
  extra: Mapping[str, Any] | None = None,
) -> Converted:
  """Adds the common columns; every column not used becomes metadata.

  Args:
    row: the source row.
    used: columns that `raw` already holds.
    raw: fields so far.
    names: see `Converted`.
    extra: more metadata.
  """
  out = dict(raw)
  taken = set(used)
  for name in _COMMON:
    if name in row and name not in out and name not in taken:
      if row[name] is not None:
        out[name] = row[name]
      taken.add(name)
  for column, name in _MEDIA.items():
    if column in row and column not in taken and name not in out:
      paths = _media(row[column])
      if paths is not None:
        out[name] = paths
        taken.add(column)
  rest = {key: value for key, value in row.items() if key not in taken}
  if isinstance(rest.get("metadata"), Mapping):
    rest = {**rest.pop("metadata"), **rest}  # not metadata inside metadata
  if extra:
    rest.update(extra)
  if rest:
    out["metadata"] = rest
  label = dict(names or {})
  # Everything under metadata is a column of its own in the source.
  label.update({f"metadata.{fields.shown(k)}": str(k) for k in rest})
  return Converted(out, label)


def with_system(
  row: Row, prompt: Any, used: list[str], column: str = "system"
) -> Any:
  """Puts a system column in front of a prompt; `used` gets its name."""
  system = row.get(column)
  if not isinstance(system, str) or not system.strip():
    return prompt
  used.append(column)
  if isinstance(prompt, str):
    prompt = [{"role": "user", "content": prompt}]
  if not isinstance(prompt, (list, tuple)):
    return prompt
  return [{"role": "system", "content": system}, *prompt]


def joined(row: Row, names: Collection[str], gap: str = "\n\n") -> Any:
  """Texts of several columns joined, blank ones left out.

  A value that is neither text nor None is returned as it is, so that the
  validation names it.
  """
  parts = []
  for name in names:
    value = row.get(name)
    if value is None:
      continue
    if not isinstance(value, str):
      return value
    if value.strip():
      parts.append(value)
  return gap.join(parts)


def attach_separators(steps: Any, separator: str = "\n") -> Any:
  """Steps such that joining them gives the response.

  Steps that bring no white space at their ends get a line break each.
  """
  if not isinstance(steps, (list, tuple)) or not all(
    isinstance(step, str) for step in steps
  ):
    return steps
  if any(step[-1:].isspace() for step in steps[:-1]) or any(
    step[:1].isspace() for step in steps[1:]
  ):
    return list(steps)
  return [step + separator for step in steps[:-1]] + list(steps[-1:])
