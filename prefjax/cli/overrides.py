# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Typed changes of a ConfigDict by dotted key, from text or values.

Text becomes a value of the type that the key has now; it is read as a
literal and never evaluated. Only keys that exist can be set, except inside
the open sections: those that `prefjax.config` declares as plain dicts, and
the stages. What they may hold is checked by whoever they are passed to.
"""

import ast
import contextlib
import dataclasses
import difflib
import functools
import re
import typing
from collections.abc import Mapping
from typing import Any

import ml_collections

from prefjax import config as config_lib
from prefjax.cli import texts
from prefjax.core import errors

_SEGMENT = re.compile(r"([A-Za-z0-9_-]{1,64})((?:\[\d{1,6}\])*)")
_WORDS = re.compile(r"[\w./:+-]+(?:,[\w./:+-]+)*,?")
_MOST = 100_000  # characters of one value; deeper nests overflow the parser
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_TYPE_NAMES = {
  bool: "true or false",
  int: "a whole number",
  float: "a number",
  str: "text",
  tuple: "a list such as (1, 2)",
  list: "a list such as [1, 2]",
}
_SECTION = (ml_collections.ConfigDict, dict)


@functools.cache
def _open_sections(cls: type = config_lib.Config, prefix: str = "") -> set[str]:
  """Dotted keys of the fields that are plain dicts."""
  found = set()
  for name, hint in typing.get_type_hints(cls).items():
    if dataclasses.is_dataclass(hint):
      found |= _open_sections(hint, f"{prefix}{name}.")
    elif hint is dict:
      found.add(f"{prefix}{name}")
  return found


def is_open(key: str) -> bool:
  """Whether the section of that dotted key takes keys that it lacks.

  No stage can be added from a command line: a slip in a stage's name would
  otherwise train one more. Inside a stage anything can, as a stage lists only
  what differs.
  """
  parts = key.split(".")
  if parts[0] == "stages":
    return len(parts) > 1
  sections = _open_sections()
  return any(".".join(parts[:n]) in sections for n in range(1, len(parts) + 1))


def lock(config: ml_collections.ConfigDict, prefix: str = "") -> None:
  """Closes every section but the open ones."""
  if not is_open(prefix.rstrip(".")):
    config.lock()
  for key, value in _items(config):
    name = f"{prefix}{key}"
    for section in value if isinstance(value, (list, tuple)) else (value,):
      if isinstance(section, ml_collections.ConfigDict):
        if is_open(name):
          section.unlock()
        lock(section, f"{name}.")


def keys(config: Any, prefix: str = "") -> list[str]:
  """Dotted keys of every value, sections themselves left out."""
  found = []
  for key, value in _items(config):
    name = f"{prefix}{key}"
    if isinstance(value, _SECTION) and len(value):
      found += keys(value, f"{name}.")
    else:
      found.append(name)
  return found


def get(config: ml_collections.ConfigDict, key: str) -> Any:
  """The value of a dotted key.

  Raises:
    ConfigError: there is no such key; the message has the nearest.
  """
  value = config
  for segment in _segments(config, key):
    value = _step(config, key, value, segment)
  return value


def is_switch(config: ml_collections.ConfigDict, key: str) -> bool:
  """Whether a key holds a bool, so that naming it alone means true."""
  try:
    return isinstance(get(config, key), bool)
  except errors.ConfigError:
    return False


def set_text(config: ml_collections.ConfigDict, key: str, text: str) -> None:
  """Sets a key to what a text says.

  Args:
    config: changed in place.
    key: dotted, with [i] for an element of a list: "stages[0].steps".
    text: "0.1", "true", "none", "(1, 2)", "a,b", "{'beta': 0.1}", or text.

  Raises:
    ConfigError: the key does not exist, or the text is not of its type.
  """
  _set(config, key, lambda old, free: _read(key, text, old, free))


def set_value(config: ml_collections.ConfigDict, key: str, value: Any) -> None:
  """Sets a key to a value of the type that it has now.

  Raises:
    ConfigError: the key does not exist, or the value is of another type.
  """
  _set(config, key, lambda old, free: _fit(key, value, old, free))


def _set(config, key: str, make) -> None:
  *front, last = _segments(config, key)
  holders, value, name = [], config, ""
  for segment in front:
    if is_open(name) and isinstance(value, _SECTION) and segment not in value:
      value[segment] = ml_collections.ConfigDict()
    name = f"{name}.{segment}".lstrip(".")
    holders.append((value, segment))
    value = _step(config, key, value, segment)
  free = bool(name) and is_open(name)
  if free and isinstance(value, _SECTION) and last not in value:
    old = None
  else:
    old = _step(config, key, value, last)
  new = make(old, free or is_open(key))
  # A tuple cannot be changed in place, so it is made anew from inside out.
  holders.append((value, last))
  for holder, segment in reversed(holders):
    if isinstance(holder, tuple):
      new = (*holder[:segment], new, *holder[segment + 1 :])
      continue
    any_type = (
      holder.ignore_type()
      if free and isinstance(holder, ml_collections.ConfigDict)
      else contextlib.nullcontext()
    )
    try:
      with any_type:
        holder[segment] = new
    except (AttributeError, KeyError, TypeError, ValueError) as e:
      reason = e.args[0] if e.args else e
      raise errors.ConfigError(f"--config.{key}: {reason}") from None
    return


def _segments(config, key: str) -> list[str | int]:
  """'a.b[0]' as ['a', 'b', 0]."""
  found: list[str | int] = []
  for part in key.split("."):
    match = _SEGMENT.fullmatch(part)
    if not match:
      raise errors.ConfigError(_unknown(config, key))
    found.append(match[1])
    found += [int(i) for i in re.findall(r"\d+", match[2])]
  return found


def _step(config, key: str, value: Any, segment: str | int) -> Any:
  """One step down from a section or a list."""
  if isinstance(segment, int):
    if not isinstance(value, (list, tuple)):
      raise errors.ConfigError(
        f"--config.{key}: [{segment}] follows a value that is no list"
      )
    if segment >= len(value):
      raise errors.ConfigError(
        f"--config.{key}: [{segment}] is past the end, the list has"
        f" {len(value)}"
      )
    return value[segment]
  if not isinstance(value, _SECTION) or segment not in value:
    raise errors.ConfigError(_unknown(config, key))
  return value[segment]


def _unknown(config, key: str) -> str:
  """One line about a key that does not exist, with the nearest that do."""
  known = keys(config)
  last = key.rpartition(".")[2]
  near = [k for k in known if k.rpartition(".")[2] == last][:2]
  near += difflib.get_close_matches(key, known, n=3)
  if not near:
    tails = {k.rpartition(".")[2]: k for k in reversed(known)}
    near = [tails[t] for t in difflib.get_close_matches(last, tails, n=2)]
  if near:
    shown = " or ".join(f"config.{k}" for k in list(dict.fromkeys(near))[:3])
    hint = f" (did you mean {shown}?)"
  else:
    hint = f"; sections: {', '.join(sorted(k for k, _ in _items(config)))}"
  return f"unknown key config.{texts.one_line(key, 80)}{hint}"


def _items(config) -> list[tuple[str, Any]]:
  if isinstance(config, ml_collections.ConfigDict):
    return list(config.items(preserve_field_references=False))
  return list(config.items())


def _read(key: str, text: str, old: Any, free: bool) -> Any:
  """The text as a value of the type of `old`; of any type if `free`."""

  def refuse(expected: str):
    shown = texts.one_line(text, 80)
    return errors.ConfigError(f"--config.{key}={shown}: expected {expected}")

  if len(text) > _MOST:
    raise refuse(f"at most {_MOST} characters")
  # "none" is a choice of some keys that hold text.
  if text == "None" or (text == "none" and not isinstance(old, str)):
    return _fit(key, None, old, free)
  kind = type(old)
  if kind is str and not free:
    return text
  if kind is bool and not free:
    if text.lower() not in _BOOLEANS:
      raise refuse(_TYPE_NAMES[bool])
    return _BOOLEANS[text.lower()]
  if kind in (int, float) and not free:
    try:
      value = kind(text)
    except (ValueError, OverflowError):
      value = float("nan")
    if value != value:
      raise refuse(_TYPE_NAMES[kind])
    return value
  if text.lower() in ("true", "false"):
    return _fit(key, _BOOLEANS[text.lower()], old, free)
  try:
    value = ast.literal_eval(text.strip())
  except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
    if kind in (list, tuple) and _WORDS.fullmatch(text):
      return kind(word for word in text.split(",") if word)
    if text[:1] in ("[", "(", "{") or kind in (list, tuple):
      raise refuse(_TYPE_NAMES.get(kind, "a literal")) from None
    value = text
  if kind in (list, tuple) and isinstance(value, (bool, int, float, str)):
    value = (value,)
  return _fit(key, value, old, free)


def _fit(key: str, value: Any, old: Any, free: bool) -> Any:
  """The value, if a key that holds `old` may hold it."""
  _plain(key, value)
  if isinstance(old, _SECTION) and not (free and isinstance(value, Mapping)):
    names = [k for k, _ in _items(old)]
    raise errors.ConfigError(
      f"config.{key} is a section; set one of its keys:"
      f" {', '.join(names) or 'it has none yet'}"
    )
  if isinstance(value, Mapping) and (free or old is None):
    return ml_collections.ConfigDict(dict(value))
  if free or old is None or value is None:
    return value
  kind = type(old)
  if kind is float and type(value) is int:
    return float(value)
  if kind in (list, tuple) and isinstance(value, (list, tuple)):
    return kind(value)
  if type(value) is not kind:
    raise errors.ConfigError(
      f"--config.{key}={texts.one_line(repr(value), 80)}: expected"
      f" {_TYPE_NAMES.get(kind, kind.__name__)}"
    )
  return value


def _plain(key: str, value: Any) -> None:
  """Checks that a value can be written as JSON: no sets, bytes, complex."""
  if isinstance(value, Mapping):
    for name, item in value.items():
      if not isinstance(name, str) or not _SEGMENT.fullmatch(name):
        raise errors.ConfigError(
          f"--config.{key}: {texts.one_line(repr(name), 80)} cannot be a key;"
          " a key is a name in quotes"
        )
      _plain(key, item)
  elif isinstance(value, (list, tuple)):
    for item in value:
      _plain(key, item)
  elif not isinstance(value, (bool, int, float, str, type(None))):
    raise errors.ConfigError(
      f"--config.{key}: a {type(value).__name__} cannot be written to"
      " config.json"
    )
