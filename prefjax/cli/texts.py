# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Words of a command line as values, and values as words of a message.

A converter takes the typed text and raises ValueError("expected ...").
"""

import math
import pathlib
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from prefjax.core import paths, storage

WIDTH = 80


def table(rows: Sequence[tuple[str, str]]) -> str:
  """Two columns, the second wrapped beside the first."""
  column = min(max(len(left) for left, _ in rows) + 4, 30)
  lines = []
  for left, right in rows:
    wrapped = textwrap.wrap(right, WIDTH - column) or [""]
    head = f"  {left}"
    if len(head) + 2 > column:
      lines.append(head)
      head = ""
    lines.append(f"{head:<{column}}{wrapped[0]}".rstrip())
    lines += [" " * column + line for line in wrapped[1:]]
  return "\n".join(lines)


def one_line(text: str, most: int = 200) -> str:
  """The text with every control character escaped, cut if it is long."""
  if len(text) > most:
    text = f"{text[:most]}..."
  return "".join(
    c if c.isprintable() else c.encode("unicode_escape", "replace").decode()
    for c in text
  )


def either(words: Sequence[str]) -> str:
  """'a, b or c'."""
  words = list(words)
  if len(words) < 2:
    return "".join(words)
  return f"{', '.join(words[:-1])} or {words[-1]}"


def _interval(what: str, low, high, low_open: bool = False) -> str:
  parts = []
  if low is not None:
    parts.append(f"above {low}" if low_open else f"of at least {low}")
  if high is not None:
    parts.append(f"at most {high}" if parts else f"of at most {high}")
  return " ".join([what, " and ".join(parts)]).rstrip()


def integer(low: int | None, high: int | None) -> Callable[[str], int]:
  """A converter to whole numbers in [low, high]."""
  expected = f"expected {_interval('a whole number', low, high)}"

  def convert(text: str) -> int:
    # int() refuses very long digit strings with a message of its own.
    try:
      value = int(text, 10)
    except ValueError:
      raise ValueError(expected) from None
    if (low is not None and value < low) or (high is not None and value > high):
      raise ValueError(expected)
    return value

  return convert


def number(
  low: float | None, high: float | None, low_open: bool = False
) -> Callable[[str], float]:
  """A converter to finite numbers in [low, high], or (low, high]."""
  expected = f"expected {_interval('a number', low, high, low_open)}"

  def convert(text: str) -> float:
    try:
      value = float(text)
    except ValueError:
      raise ValueError(expected) from None
    below = low is not None and (value <= low if low_open else value < low)
    if not math.isfinite(value) or below or (high is not None and value > high):
      raise ValueError(expected)
    return value

  return convert


def split(convert: Callable[[str], Any]) -> Callable[[str], tuple]:
  """A converter of comma-separated text, each part by `convert`."""
  return lambda text: tuple(convert(part.strip()) for part in text.split(","))


def path(
  exists: bool, kind: str, wheels: bool, urls: bool = False
) -> Callable[[str], str]:
  """A converter that checks a path, as `Arguments.path` says."""

  def convert(text: str) -> str:
    if not text:
      raise ValueError("expected a path")
    if "\0" in text:
      raise ValueError("a path holds no null character")
    if wheels and paths.is_pip(text):
      return text
    if storage.is_remote(text):
      if not urls:
        raise ValueError("expected a local path, not a URL")
      return text
    path = pathlib.Path(text)
    try:
      found = path.exists()
      wrong = found and (
        (kind == "file" and not path.is_file())
        or (kind == "folder" and not path.is_dir())
      )
    except OSError as e:
      raise ValueError(e.strerror or "cannot be read") from None
    if exists and not found:
      raise ValueError("nothing is there")
    if wrong:
      raise ValueError(f"that is not a {kind}")
    return text

  return convert
