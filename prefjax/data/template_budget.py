# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a chat template may spend: steps, seconds, characters, nesting.

Jinja's sandbox keeps a template away from attributes it has no business
with, but not from doubling a string forty times or counting to 10^15. Every
operation that can grow a value or repeat work reports here first.
"""

import contextvars
import re
import string
import time
from collections.abc import Iterable, Iterator
from typing import Any

import jinja2
from jinja2 import utils

MAX_VALUE = 1 << 22  # characters of one string, entries of one container
_MAX_MADE = 1 << 27  # characters and entries made in one rendering
_MAX_STEPS = 500_000
_MAX_DEPTH = 64
_MAX_BITS = 512  # of an integer
_MAX_FIELDS = 16  # of one format string
_MAX_INT_ARGUMENT = 1_000_000

_WIDE_SPEC = re.compile(r"\d{4}")
_WIDE_PERCENT = re.compile(r"%[^A-Za-z%]*(\d{4}|\*)")


class LimitError(jinja2.TemplateError):
  """A template wanted more than a conversation needs."""


class Budget:
  """What one rendering has left."""

  def __init__(self, seconds: float):
    self.deadline = time.monotonic() + seconds
    self.seconds = seconds
    self.steps = 0
    self.made = 0

  def step(self) -> None:
    """One iteration, call or operation."""
    self.steps += 1
    if self.steps > _MAX_STEPS:
      raise LimitError(f"more than {_MAX_STEPS} steps")
    if not self.steps & 63 and time.monotonic() > self.deadline:
      raise LimitError(f"more than {self.seconds} seconds")

  def make(self, size: int) -> None:
    """Room for a value of this size; asked for before it is made."""
    self.step()
    if size > MAX_VALUE:
      raise LimitError(f"a value of {size} characters or entries")
    self.made += size
    if self.made > _MAX_MADE:
      raise LimitError(f"more than {_MAX_MADE} characters or entries in all")


_current: contextvars.ContextVar[Budget] = contextvars.ContextVar("budget")


def start(seconds: float) -> contextvars.Token:
  """Begins a rendering; hand the token to `stop`."""
  return _current.set(Budget(seconds))


def stop(token: contextvars.Token) -> None:
  """Ends a rendering."""
  _current.reset(token)


def current() -> Budget:
  """The budget of the rendering that is under way."""
  return _current.get()


def size(value: Any) -> int:
  """Characters and entries in a value, counting shared parts each time.

  Shared parts count as often as they would be written out, yet each is
  looked at once, so that a list that holds itself twice, thirty levels deep,
  is found out at once.

  Raises:
    LimitError: too deep, or it holds a namespace, whose content may change
      after it was counted.
  """
  return _size(value, {}, 0)


def _size(value: Any, seen: dict[int, int], depth: int) -> int:
  if isinstance(value, str):
    return len(value)
  if isinstance(value, utils.Namespace):
    raise LimitError("a namespace inside another value")
  if not isinstance(value, dict | list | tuple):
    return 1
  if depth > _MAX_DEPTH:
    raise LimitError(f"values nested more than {_MAX_DEPTH} deep")
  if id(value) not in seen:
    parts: Iterable[Any] = value
    if isinstance(value, dict):
      parts = [part for item in value.items() for part in item]
    seen[id(value)] = 1 + sum(_size(p, seen, depth + 1) for p in parts)
  return seen[id(value)]


def made(value: Any) -> Any:
  """The value, after its size was counted as newly made."""
  if not isinstance(value, utils.Namespace):
    current().make(size(value))
  return value


def checked(value: Any) -> Any:
  """The value, if it is small enough to compare or to write out."""
  if isinstance(value, dict | list | tuple) and size(value) > MAX_VALUE:
    raise LimitError("a value that would be too long when written out")
  return value


def text(value: Any) -> str:
  """The value written out; markup stays markup."""
  if isinstance(value, str):
    return value
  if isinstance(value, utils.Namespace):
    raise LimitError("a namespace written out")
  return str(checked(value))


class _Counted:
  """An iterable of known length that counts its steps."""

  def __init__(self, values: Any):
    self.values = values

  def __len__(self) -> int:
    return len(self.values)

  def __iter__(self) -> Iterator[Any]:
    return _steps(self.values)


def each(values: Iterable[Any]) -> Iterable[Any]:
  """Iterates at a step an item; keeps the length that `loop` asks for."""
  if isinstance(values, str | list | tuple | dict | range):
    return _Counted(values)
  return _steps(values)


def _steps(values: Iterable[Any]) -> Iterator[Any]:
  budget = current()
  for value in values:
    budget.step()
    yield value


def add(left: Any, right: Any) -> Any:
  """left + right."""
  if isinstance(left, str | list | tuple) and isinstance(right, type(left)):
    current().make(size(left) + size(right))
  return _integer(left + right)


def multiply(left: Any, right: Any) -> Any:
  """left * right."""
  for repeated, times in ((left, right), (right, left)):
    if isinstance(repeated, str | list | tuple) and isinstance(times, int):
      current().make(size(repeated) * max(times, 0))
  return _integer(left * right)


def power(left: Any, right: Any) -> Any:
  """left ** right."""
  if isinstance(left, int) and isinstance(right, int):
    if abs(right) * left.bit_length() > _MAX_BITS:
      raise LimitError("an integer of too many digits")
  return left**right


def modulo(left: Any, right: Any) -> Any:
  """left % right, for numbers and for printf-like strings."""
  if isinstance(left, str):
    if left.count("%") > _MAX_FIELDS or _WIDE_PERCENT.search(left):
      raise LimitError("a format string with many or wide fields")
    checked(right)
    return made(left % right)
  return left % right


def _integer(value: Any) -> Any:
  if isinstance(value, int) and value.bit_length() > _MAX_BITS:
    raise LimitError("an integer of too many digits")
  return value


def replace(value: Any, old: Any, new: Any, count: Any = None) -> str:
  """value.replace(old, new), sized first."""
  value, old, new = text(value), text(old), text(new)
  times = value.count(old)
  if count is not None and count >= 0:
    times = min(times, count)
  current().make(len(value) + times * max(0, len(new) - len(old)))
  return value.replace(old, new, -1 if count is None else count)


def join(values: Iterable[Any], separator: Any = "") -> str:
  """separator.join(values), sized as it goes."""
  separator, parts, total = text(separator), [], 0
  for value in each(values):
    parts.append(text(value))
    total += len(parts[-1]) + len(separator)
    if total > MAX_VALUE:
      break
  current().make(total)
  return separator.join(parts)


def check_format(pattern: str) -> None:
  """Refuses str.format patterns that can write more than they are given."""
  fields = 0
  for _, name, spec, _ in string.Formatter().parse(pattern):
    fields += name is not None
    if (
      fields > _MAX_FIELDS
      or "{" in (spec or "")
      or _WIDE_SPEC.search(spec or "")
    ):
      raise LimitError("a format string with many or wide fields")


def check_arguments(arguments: Iterable[Any]) -> None:
  """Refuses integers that only a bomb would pass (widths, repeats)."""
  for value in arguments:
    if isinstance(value, int) and abs(value) > _MAX_INT_ARGUMENT:
      raise LimitError(f"an argument above {_MAX_INT_ARGUMENT}")
