# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A config file's `get_config`, run; its mistakes as one line each.

A config file is Python from the user's own disk and is trusted like a script
that they run. Nothing else in this project is: data, models and checkpoints
never name code.
"""

import contextlib
import difflib
import importlib
import importlib.util
import inspect
import pathlib
import sys
import traceback
import types
from collections.abc import Iterator

import ml_collections

from prefjax.cli import texts
from prefjax.core import errors


def split(spec: str) -> tuple[str, str | None]:
  """'a/b.py:tiny,seed=3' as ('a/b.py', 'tiny,seed=3'); None without ':'."""
  path, found, argument = spec.partition(".py:")
  return (f"{path}.py", argument) if found else (spec, None)


def load(spec: str) -> ml_collections.ConfigDict:
  """The ConfigDict that a file's `get_config` returns.

  The file may import the package it lies in (`from configs import base`),
  wherever that is. One in no package may import the project's own `configs`
  where PrefJAX runs from a checkout.

  Args:
    spec: path of a .py file, and what to pass to `get_config` after a ':'.

  Returns:
    What `get_config` made of it.

  Raises:
    ConfigError: no such file, no `get_config`, or it fails; the message names
      the file and the line.
  """
  name, argument = split(spec)
  path = _existing(name)
  with _importable(path) as module_name:
    get_config = getattr(_module(path, module_name), "get_config", None)
    if not callable(get_config):
      raise errors.ConfigError(
        f"{path}: has no function get_config; write def get_config(arg=''):"
        " return an ml_collections.ConfigDict"
      )
    config = call(path, get_config, argument)
  if not isinstance(config, ml_collections.ConfigDict):
    raise errors.ConfigError(
      f"{path}: get_config returned {type(config).__name__}, not an"
      " ml_collections.ConfigDict"
    )
  return config


def module(path: pathlib.Path) -> types.ModuleType:
  """Any other Python file of the user's, run like a config file.

  Raises:
    ConfigError: it fails; the message names the file and the line.
  """
  with _importable(path) as name:
    return _module(path, name)


def _existing(name: str) -> pathlib.Path:
  """The path of a config file, or an error with the nearest one."""
  shown = texts.one_line(name)
  if not name or "\0" in name:
    raise errors.ConfigError(f"--config={shown}: expected the path of a file")
  path = pathlib.Path(name)
  try:
    if path.is_file():
      if path.suffix != ".py":
        raise errors.ConfigError(
          f"--config={shown}: a config is a Python file ending in .py"
        )
      return path
    what = "is a folder" if path.is_dir() else "no such file"
    beside = sorted(p.name for p in path.parent.glob("*.py"))
  except OSError as e:
    raise errors.ConfigError(f"--config={shown}: {e.strerror}") from None
  stems = [b.removesuffix(".py") for b in beside if not b.startswith("_")]
  near = difflib.get_close_matches(path.name.removesuffix(".py"), stems, n=1)
  hint = f" (did you mean {path.parent / near[0]}.py?)" if near else ""
  raise errors.ConfigError(f"--config={shown}: {what}{hint}")


@contextlib.contextmanager
def _importable(path: pathlib.Path) -> Iterator[str]:
  """The file's dotted name, while its package can be imported."""
  path = path.resolve()
  names, folder = [path.stem], path.parent
  while (folder / "__init__.py").is_file():
    names.insert(0, folder.name)
    folder = folder.parent
  checkout = pathlib.Path(__file__).resolve().parents[2]
  added = [str(folder)] if len(names) > 1 else []
  before = list(sys.path)
  sys.path[:] = [*added, *before, str(checkout)]
  try:
    yield ".".join(names)
  finally:
    sys.path[:] = before


def _module(path: pathlib.Path, name: str) -> types.ModuleType:
  """Runs the file, by its dotted name where that means this file."""
  try:
    if "." in name:
      importlib.invalidate_caches()
      module = importlib.import_module(name)
      if pathlib.Path(module.__file__ or "").resolve() == path.resolve():
        return module
    spec = importlib.util.spec_from_file_location(f"_config_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
  except (Exception, SystemExit) as e:
    raise errors.ConfigError(_blame(path, e)) from e


def call(path: pathlib.Path, get_config, argument: str | None):
  """Calls a file's function with the text after ':', if there is any.

  Raises:
    ConfigError: it takes no argument, or fails.
  """
  try:
    signature = inspect.signature(get_config)
  except (TypeError, ValueError):
    signature = None

  def fits(*values) -> bool:
    if signature is None:
      return True
    try:
      signature.bind(*values)
    except TypeError:
      return False
    return True

  if argument is not None and not fits(argument):
    name = getattr(get_config, "__name__", "get_config")
    raise errors.ConfigError(
      f"{path}: {name} takes no argument, so nothing may follow the .py,"
      f" got ':{texts.one_line(argument)}'"
    )
  values = ("",) if argument is None and not fits() else ()
  try:
    return get_config(*(values if argument is None else (argument,)))
  except (Exception, SystemExit) as e:
    raise errors.ConfigError(_blame(path, e)) from e


def _blame(path: pathlib.Path, error: BaseException) -> str:
  """Which line of the file failed, and how."""
  if isinstance(error, errors.PrefjaxError):
    return f"{path}: {error}"
  line = None
  if isinstance(error, SyntaxError) and error.filename:
    path, line = pathlib.Path(error.filename), error.lineno
    what = error.msg
  else:
    what = f"{type(error).__name__}: {error}" if str(error) else repr(error)
    resolved = path.resolve()
    for frame in traceback.extract_tb(error.__traceback__):
      if pathlib.Path(frame.filename).resolve() == resolved:
        line = frame.lineno
  where = f"{path}:{line}" if line else str(path)
  return texts.one_line(f"{where}: {what}", 600)
