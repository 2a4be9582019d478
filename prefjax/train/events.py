# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What happened to a run, in order: an append-only log of its work directory.

metrics.jsonl is rewritten at a resume so that each update is there once. This
file never is: `prefjax doctor --workdir=DIR` reads from it why a run stopped
and what it went through. It holds numbers, names and messages of PrefJAX, no
text of records, no environment, no command line.

  {"at": "2026-01-31T12:00:00.000Z", "event": "save", "step": 120, ...}

Events: start, fallback, resume, stage, compile, save, skipped, alarm,
profile, signal, stop.
"""

import datetime
import json
import logging
import os
import pathlib
import socket
import traceback
from collections.abc import Mapping
from typing import Any, Protocol

from prefjax import version
from prefjax.core import errors

NAME = "events.jsonl"
_LONGEST = 500  # characters of a message

_LOG = logging.getLogger(__name__)


class Events(Protocol):
  """Takes what happens."""

  def write(self, event: str, **fields: Any) -> None: ...


class Silent:
  """Keeps nothing."""

  def write(self, event: str, **fields: Any) -> None:
    del event, fields


class EventLog:
  """Appends a line an event; a context manager that records how it ended.

  A line is one write to a file opened for appending, so neither a kill nor a
  second process can mix two of them. A log that cannot be written ends no
  run: that is said once, and the run goes on without it.

  Args:
    path: the file; made with mode 0600.
  """

  def __init__(self, path: str | os.PathLike):
    self._path = pathlib.Path(path)
    self._stopped = False
    self._ending: tuple[str, dict[str, Any]] | None = None
    self._handle: int | None = None
    try:
      flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
      self._handle = os.open(self._path, flags, 0o600)
      if _is_cut(self._path):  # by a full disk
        os.write(self._handle, b"\n")
    except OSError as error:
      self._give_up(error)

  def write(self, event: str, **fields: Any) -> None:
    """Appends an event with the time of day.

    Args:
      event: its name.
      **fields: what has a JSON form; long text is cut.
    """
    if self._handle is None:
      return
    row = {"at": _now(), "event": event}
    row.update({name: _short(value) for name, value in fields.items()})
    line = json.dumps(row, default=str) + "\n"
    try:
      os.write(self._handle, line.encode("utf-8", "backslashreplace"))
    except OSError as error:
      self._give_up(error)

  def start(self, **fields: Any) -> None:
    """The process begins; says which, and what it is made of."""
    import jax

    self.write(
      "start",
      version=version.__version__,
      jax=jax.__version__,
      pid=os.getpid(),
      host=socket.gethostname(),
      processes=jax.process_count(),
      **fields,
    )

  def stop(self, reason: str, **fields: Any) -> None:
    """The process ends; the first reason counts."""
    if self._stopped:
      return
    self._stopped = True
    self.write("stop", reason=reason, **fields)
    if self._handle is not None:
      try:
        os.fsync(self._handle)
      except OSError as error:
        self._give_up(error)

  def ends(self, reason: str, **fields: Any) -> None:
    """What `stop` will be told at the exit, if no error comes before it."""
    self._ending = reason, fields

  def close(self) -> None:
    handle, self._handle = self._handle, None
    if handle is not None:
      os.close(handle)

  def __enter__(self) -> "EventLog":
    return self

  def __exit__(self, kind, error, trace) -> None:
    if error is not None:
      self.stop("error", **describe(error))
    elif self._ending is not None:
      self.stop(self._ending[0], **self._ending[1])
    self.close()

  def _give_up(self, error: OSError) -> None:
    _LOG.warning(
      "%s: cannot be written (%s); the run goes on without its log of events",
      self._path,
      error.strerror,
    )
    self.close()


def path_of(workdir: str | os.PathLike, process: int = 0) -> pathlib.Path:
  """Where a process of a run logs its events."""
  name = NAME if process == 0 else f"events-{process}.jsonl"
  return pathlib.Path(workdir) / name


def read(path: str | os.PathLike) -> list[dict[str, Any]]:
  """Events in order; lines that cannot be read are left out.

  Raises:
    DataError: the file is there but cannot be read.
  """
  try:
    text = pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
  except FileNotFoundError:
    return []
  except OSError as error:
    raise errors.DataError(
      f"{path}: cannot be read ({error.strerror})"
    ) from None
  rows = []
  for line in text.split("\n"):
    try:
      row = json.loads(line)
    except (ValueError, RecursionError):
      continue
    if isinstance(row, Mapping) and isinstance(row.get("event"), str):
      rows.append(dict(row))
  return rows


def describe(error: BaseException) -> dict[str, str]:
  """What may be logged of an error: our own words, else only type and place.

  Messages of other libraries may quote text of records.
  """
  found = {"error": type(error).__name__}
  if isinstance(error, errors.PrefjaxError):
    found["message"] = str(error).partition("\n")[0]
  elif frames := traceback.extract_tb(error.__traceback__):
    found["where"] = f"{pathlib.Path(frames[-1].filename).name}:" + str(
      frames[-1].lineno
    )
  return found


def _now() -> str:
  now = datetime.datetime.now(datetime.UTC)
  return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _short(value: Any) -> Any:
  if isinstance(value, str) and len(value) > _LONGEST:
    return value[:_LONGEST] + "..."
  return value


def _is_cut(path: pathlib.Path) -> bool:
  """Whether the last line has no end."""
  with path.open("rb") as file:
    if file.seek(0, os.SEEK_END) == 0:
      return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"
