# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Waits for batches, but not for ever: slow input is named, no input ends."""

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax

from prefjax.core import errors

WARN_SECONDS = 10.0
_TICK = 0.5  # seconds between two looks at a thread that is late


class Watched:
  """Iterates over what another iterator gives, taken in a thread of its own.

  Order and content stay; an error in the iterator is raised here. Where the
  next item takes long, a remark names this host and the wait; where it takes
  longer than `limit`, or the thread has died, that is an error and no hang.

  Args:
    items: what is iterated over; used by the thread alone.
    note: takes the remark.
    limit: seconds after which waiting ends the run.
    warn: seconds after which the remark comes.
  """

  def __init__(
    self,
    items: Iterable[Any],
    note: Callable[[str], None],
    *,
    limit: float,
    warn: float = WARN_SECONDS,
  ):
    self._note = note
    self._limit, self._warn = limit, warn
    self._ready: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=1)
    self._over = False
    self._closed = threading.Event()
    # A daemon: a loader that hangs must not keep the process alive.
    self._thread = threading.Thread(
      target=self._pull, args=(iter(items),), name="input", daemon=True
    )
    self._thread.start()

  def _pull(self, items: Iterator[Any]) -> None:
    try:
      for item in items:
        if not self._put("item", item):
          return
      self._put("end", None)
    except BaseException as error:
      # Whatever it is, it belongs to whoever waits for the item.
      self._put("error", error)

  def _put(self, kind: str, value: Any) -> bool:
    """Hands an item over; False where nobody wants it any more."""
    while not self._closed.is_set():
      try:
        self._ready.put((kind, value), timeout=_TICK)
        return True
      except queue.Full:
        continue
    return False

  def __iter__(self) -> "Watched":
    return self

  def __next__(self) -> Any:
    """The next item.

    Raises:
      TrainingError: it did not come in time, or never will.
    """
    if self._over:
      raise StopIteration
    kind, value = self._wait()
    if kind == "item":
      return value
    self._over = True
    if kind == "error":
      raise value
    raise StopIteration

  def _wait(self) -> tuple[str, Any]:
    begin, told = time.monotonic(), False
    while True:
      try:
        return self._ready.get(timeout=_TICK)
      except queue.Empty:
        waited = time.monotonic() - begin
      if not self._thread.is_alive() and self._ready.empty():
        self._over = True
        raise errors.TrainingError(
          f"{_here()}: the thread that makes batches has died after"
          f" {waited:.0f} s; start the run again, it goes on"
        )
      if waited >= self._limit:
        self._over = True
        raise errors.TrainingError(
          f"{_here()}: no batch for {waited:.0f} s; look at the disk or"
          " network that the data come from, or raise data.patience (seconds)"
        )
      if waited >= self._warn and not told:
        told = True
        self._note(
          f"{_here()}: waiting for input for {waited:.0f} s; the data come too"
          " slowly"
        )

  def close(self) -> None:
    """Lets the thread end; does not wait for a loader that hangs."""
    self._closed.set()
    self._thread.join(timeout=2 * _TICK)


def _here() -> str:
  return f"process {jax.process_index()} on {socket.gethostname()}"
