# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""SIGTERM and SIGINT: finish the step, save, leave; a second one leaves now."""

import os
import signal
import threading
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# A run whose time is over ends as if it had been asked to.
DEADLINE = int(signal.SIGTERM)


class StopSignal:
  """A flag that the loop asks between steps; use it as a context manager.

  The first signal sets the flag. The second ends the process at once with
  128 + its number: saves are atomic, so no checkpoint is harmed. That works
  inside a long compilation too, where Python runs no handlers: a thread
  counts the signals.

  Attributes:
    received: number of the signal, 0 for none.
  """

  def __init__(self):
    self.received = 0
    self._told = 0
    self._before: dict[int, object] = {}
    self._pipe: tuple[int, int] | None = None

  def __enter__(self) -> "StopSignal":
    # Only the main thread may install handlers; in others (notebook
    # executors, tests) the flag simply stays down.
    if threading.current_thread() is threading.main_thread():
      for number in _SIGNALS:
        self._before[number] = signal.signal(number, self._handle)
      self._watch()
    return self

  def __exit__(self, *exception: object) -> None:
    if self._pipe is not None:
      signal.set_wakeup_fd(-1)
      os.close(self._pipe[1])  # ends the thread, which closes the other end
      self._pipe = None
    for number, handler in self._before.items():
      signal.signal(number, handler)
    self._before = {}

  def _handle(self, number: int, frame: FrameType | None) -> None:
    del frame
    if self.received:
      os._exit(128 + number)
    self.received = number

  def _watch(self) -> None:
    """Has the interpreter write a byte a signal, whatever it is doing."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    if before != -1:  # an event loop needs it
      signal.set_wakeup_fd(before)
      os.close(reading)
      os.close(writing)
      return
    self._pipe = reading, writing
    threading.Thread(target=_count, args=(reading,), daemon=True).start()

  def tell(self, number: int) -> None:
    """Another process, or the clock, ends the run as this signal would.

    A signal of its own that comes later is still the first one here.
    """
    self._told = number

  @property
  def exit_status(self) -> int:
    """What the process should exit with, 0 if there was no signal."""
    number = self.received or self._told
    return 128 + number if number else 0


def _count(reading: int) -> None:
  """Ends the process at the second signal."""
  seen = 0
  while data := os.read(reading, 64):
    for number in data:
      seen += number in _SIGNALS
      if seen == 2:
        os._exit(128 + number)
  os.close(reading)
