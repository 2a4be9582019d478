# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""SIGTERM and SIGINT: finish the step, save, leave; a second one leaves now."""

import os
import signal
import threading
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignal:
  """A flag that the loop asks between steps; use it as a context manager.

  The first signal sets the flag. The second ends the process at once with
  128 + its number: saves are atomic, so no checkpoint is harmed.

  Attributes:
    received: number of the signal, 0 for none.
  """

  def __init__(self):
    self.received = 0
    self._before: dict[int, object] = {}

  def __enter__(self) -> "StopSignal":
    # Only the main thread may install handlers; in others (notebook
    # executors, tests) the flag simply stays down.
    if threading.current_thread() is threading.main_thread():
      for number in _SIGNALS:
        self._before[number] = signal.signal(number, self._handle)
    return self

  def __exit__(self, *exception: object) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)
    self._before = {}

  def _handle(self, number: int, frame: FrameType | None) -> None:
    del frame
    if self.received:
      os._exit(128 + number)
    self.received = number

  @property
  def exit_status(self) -> int:
    """What the process should exit with, 0 if there was no signal."""
    return 128 + self.received if self.received else 0
