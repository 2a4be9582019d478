# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Tools that a reward model may call: text in, text out, all of them local.

A tool never raises: what goes wrong is an observation. Nothing here reaches
the network; code runs only in the isolated process of `sandbox`.
"""

import datetime
import json
import os
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import Protocol

from prefjax.core import errors
from prefjax.rewards import arithmetic, dates, sandbox, search_index

FAILED = "an error occurred"
_MAX_ARGUMENT = 20_000
_MAX_TABLE = 64 << 20  # bytes of a table on disk
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}")
_NUMBER = re.compile(r"[-+]?\d+")


class Tool(Protocol):
  """A tool that a model may call by its name."""

  name: str

  def __call__(self, argument: str) -> str:
    """What the tool says about the argument."""


class _Named:
  """A tool made of a function that may raise ValueError."""

  def __init__(self, name: str, function: Callable[[str], str]):
    self.name = name
    self._function = function

  def __call__(self, argument: str) -> str:
    if len(argument) > _MAX_ARGUMENT:
      return FAILED
    try:
      return self._function(argument)
    except (ValueError, OverflowError):
      return FAILED


def _number(value: float) -> str:
  """A float as people write it: 14, 3.5, 1.23e+20."""
  if value == int(value) and abs(value) < 1e15:
    return str(int(value))
  return f"{value:.10g}"


def calculator_tool(argument: str) -> str:
  """The value of an expression."""
  text = argument.replace("^", "**").replace("×", "*").replace("÷", "/")
  text = text.rstrip(" =?").replace(",", "")
  return _number(arithmetic.calculator(expression=text))


def _spoken_date(text: str) -> str:
  """An ISO date from "May 3, 2004", "3 May 2004" or an ISO date."""
  text = text.strip().strip(".,?!\"'")
  if _ISO.fullmatch(text):
    return text
  for form in ("%B %d, %Y", "%b %d, %Y", "%d %B %Y", "%d %b %Y", "%B %d %Y"):
    try:
      return datetime.datetime.strptime(text, form).date().isoformat()
    except ValueError:
      continue
  raise ValueError(f"{text[:40]!r} is no date")


def calendar_tool(argument: str) -> str:
  """Days of the week, and sums and differences of dates.

  "2004-05-03" gives its day of the week; "2004-05-03 + 10" (or "- 10") a
  date; "2004-05-03, 2004-02-28" the days between two.
  """
  found = _ISO.findall(argument)
  rest = _ISO.sub(" ", argument)
  numbers = _NUMBER.findall(rest)
  if len(found) == 2:
    return str(dates.day_difference(first=found[0], second=found[1]))
  if len(found) == 1 and numbers:
    sign = -1 if re.search(r"before|ago|earlier|-\s*\d", rest) else 1
    days = sign * abs(int(numbers[0]))
    return dates.target_day(date=found[0], days=days)
  if len(found) == 1:
    return dates.week_day(date=found[0])
  return dates.week_day(date=_spoken_date(argument))


def code_tool(argument: str) -> str:
  """What a Python program prints, run in the isolated process."""
  limits = sandbox.Limits(seconds=3.0, output=4096)
  try:
    printed = sandbox.run_program(argument, "", limits=limits)
  except errors.ConfigError:
    return FAILED
  return FAILED if printed is None else printed.strip()


TOOLS: dict[str, Tool] = {
  tool.name: tool
  for tool in (
    _Named("Calculator", calculator_tool),
    _Named("Calendar", calendar_tool),
    _Named("Code", code_tool),
  )
}


def lookup_tool(table: Mapping[str, str], *, name: str = "Lookup") -> Tool:
  """A tool that looks its argument up in a table, without case.

  It stands for anything that is a table: weather of places, an encyclopedia's
  first sentences.
  """
  folded = {_folded(key): str(value) for key, value in table.items()}

  def look_up(argument: str) -> str:
    found = folded.get(_folded(argument))
    if found is None:
      raise ValueError("not in the table")
    return found

  return _Named(name, look_up)


def _folded(text: str) -> str:
  return " ".join(text.strip().strip("\"'.?!").casefold().split())


def translator_tool(
  dictionary: Mapping[str, str], *, name: str = "Translator"
) -> Tool:
  """Translates phrase by phrase with a dictionary, the longest match first.

  Words that it does not hold stay as they are; a text without any known word
  is an error.
  """
  phrases = {tuple(_folded(k).split()): str(v) for k, v in dictionary.items()}
  longest = max(map(len, phrases), default=0)

  def translate(argument: str) -> str:
    parts = re.findall(r"\w+(?:['’]\w+)*|[^\w\s]", argument)
    out, known, at = [], 0, 0
    while at < len(parts):
      for size in range(min(longest, len(parts) - at), 0, -1):
        key = tuple(part.casefold() for part in parts[at : at + size])
        if key in phrases:
          out.append(phrases[key])
          known += 1
          at += size
          break
      else:
        out.append(parts[at])
        at += 1
    if not known:
      raise ValueError("no known word")
    return re.sub(r"\s+([.,;:!?])", r"\1", " ".join(out))

  return _Named(name, translate)


def search_tool(
  index: search_index.SearchIndex, *, name: str = "Search", limit: int = 3
) -> Tool:
  """The best passages of a local index."""

  def search(argument: str) -> str:
    found = index.search(argument, limit=limit)
    if not found:
      raise ValueError("nothing found")
    return "\n".join(f"{title}: {body}" for title, body in found)

  return _Named(name, search)


def read_table(path: str | os.PathLike) -> dict[str, str]:
  """A table for `lookup_tool` or `translator_tool` from a JSON object.

  Raises:
    DataError: the file is no object of texts, or too large.
  """
  file = pathlib.Path(path)
  try:
    if file.stat().st_size > _MAX_TABLE:
      raise errors.DataError(f"{file}: is over 64 MiB")
    value = json.loads(file.read_text(encoding="utf-8"))
  except (OSError, ValueError, RecursionError) as error:
    if isinstance(error, errors.DataError):
      raise
    raise errors.DataError(f"{file}: cannot be read ({error})") from None
  if not isinstance(value, dict) or not all(
    isinstance(item, str) for item in value.values()
  ):
    raise errors.DataError(f"{file}: is no JSON object of texts")
  return value
