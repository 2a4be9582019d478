# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A trace of chosen updates, for TensorBoard, XProf or Perfetto."""

import os
import pathlib
from typing import Protocol

import jax

from prefjax.core import errors
from prefjax.train import events as events_lib


class Profiler(Protocol):
  """Asked before every update, between two of them."""

  def due(self, done: int) -> bool: ...

  def turn(self, done: int) -> None: ...

  def close(self) -> None: ...


class Off:
  """Traces nothing."""

  def due(self, done: int) -> bool:
    del done
    return False

  def turn(self, done: int) -> None:
    del done

  def close(self) -> None:
    pass


class Trace:
  """Traces the updates from `start` + 1 to `stop` of the whole run.

  Args:
    span: (start, stop), numbers of updates done.
    folder: where to; made when the trace begins.
    events: told when it begins and ends.
  """

  def __init__(
    self,
    span: tuple[int, int],
    folder: str | os.PathLike,
    events: events_lib.Events | None = None,
  ):
    self._start, self._stop = span
    self._folder = pathlib.Path(folder)
    self._events = events or events_lib.Silent()
    self._on = False

  def due(self, done: int) -> bool:
    """Whether the trace begins or ends here: `turn` must be called."""
    return self._on != (self._start <= done < self._stop)

  def turn(self, done: int) -> None:
    """Begins or ends the trace; everything before it must have finished.

    Raises:
      CheckpointError: the folder cannot be written.
    """
    if self._on:
      self._end(done)
      return
    try:
      self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
      jax.profiler.start_trace(str(self._folder))
    except (OSError, RuntimeError) as error:
      raise errors.CheckpointError(
        f"{self._folder}: no trace can be written there ({error}); leave out"
        " --profile, or make room"
      ) from error
    self._on = True
    self._events.write("profile", step=done, what="begin")

  def close(self) -> None:
    """Ends a trace that is still running, such as at a signal."""
    if self._on:
      self._end(None)

  def _end(self, done: int | None) -> None:
    self._on = False
    jax.profiler.stop_trace()
    self._events.write("profile", step=done, what="end")
