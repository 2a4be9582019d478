# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Who of the processes of a run is still there, said while they wait.

A process that dies leaves the others inside a collective, where Python cannot
interrupt them. So a thread of each process leaves a sign of life at the
coordinator every few seconds; that of process 0 looks at all of them. If one
is missing for too long, or a process ended with an error, everybody is told
which and why, and ends; a process that is alive but behind is only named.

The coordinator is process 0: when it is gone, the signs cannot be left, and
that is the news.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

_BEAT, _END, _DONE = "prefjax/beat/", "prefjax/end", "prefjax/done"
BEHIND_SECONDS = 10.0
_AGAIN = (
  "start the same command again on all of them: it goes on from the newest"
  " checkpoint"
)


class Client(Protocol):
  """The part of JAX's coordination client that is used."""

  def key_value_set(
    self, key: str, value: str, allow_overwrite: bool = False
  ) -> None: ...

  def key_value_try_get(self, key: str) -> str: ...

  def key_value_dir_get(self, key: str) -> list[tuple[str, str]]: ...

  def wait_at_barrier(self, barrier_id: str, timeout_in_ms: int) -> None: ...


def _say(line: str) -> None:
  print(f"prefjax: {line}", file=sys.stderr, flush=True)


class Watch:
  """Signs of life of the processes of a run; a context manager.

  Args:
    client: to the coordinator.
    process: index of this one.
    count: how many there are.
    timeout: seconds without a sign of life after which a process is lost.
    say: shows a line.
    end: ends this process with a status; does not return.
    clock: seconds.
  """

  def __init__(
    self,
    client: Client,
    process: int,
    count: int,
    timeout: float,
    *,
    say: Callable[[str], None] = _say,
    end: Callable[[int], Any] = os._exit,
    clock: Callable[[], float] = time.monotonic,
  ):
    self._client = client
    self.process, self.count = process, count
    self.timeout = timeout
    self.period = max(timeout / 15, 0.2)
    self._say, self._end, self._clock = say, end, clock
    self._at = (0, "starting")
    self._beats = 0
    # Process 0's view: beat, when it last changed, update, what it does.
    self._seen: dict[int, tuple[int, float]] = {}
    self._places: dict[int, tuple[int, str]] = {}
    self._ahead: tuple[int, float] = (0, clock())
    self._named: set[tuple[int, int]] = set()
    self._urgent = False
    self._over = threading.Event()
    self._thread = threading.Thread(target=self._run, name="peers", daemon=True)

  def __enter__(self) -> "Watch":
    self._thread.start()
    return self

  def __exit__(self, *exception: object) -> None:
    self._over.set()
    self._thread.join(timeout=2 * self.period)

  def note(self, step: int, what: str) -> None:
    """Where this process is, for the others to read when they wait."""
    self._at = (step, what)

  # --- the thread -------------------------------------------------------------

  def _run(self) -> None:
    while not self._over.wait(self.period):
      try:
        self.beat()
      except Exception as error:  # any error of the connection
        if self._over.is_set():
          return
        self._gone(error)

  def _gone(self, error: Exception) -> None:
    who = "the coordinator" if self.process == 0 else "process 0"
    reason = (str(error).strip().splitlines() or [""])[0][:200]
    self._say(
      f"process {self.process}: {who} cannot be reached any more ({reason});"
      f" {_AGAIN}"
    )
    self._end(1)

  def beat(self) -> None:
    """One sign of life, and one look at those of the others."""
    self._beats += 1
    step, what = self._at
    sign = json.dumps([self._beats, step, what])
    self._client.key_value_set(f"{_BEAT}{self.process}", sign, True)
    reason = self._told()
    if reason is not None:
      self._say(f"process {self.process}: {reason}")
      if self.process == 0:
        time.sleep(3 * self.period)  # the others still have to read it here
      self._end(1)
    elif self.process == 0:
      self._look()

  def _told(self) -> str | None:
    try:
      return self._client.key_value_try_get(_END)
    except Exception as error:
      # Not there is the usual answer; the next call finds a lost connection.
      if "NOT_FOUND" in str(error):
        return None
      raise

  def _look(self) -> None:
    """Process 0 looks for who is missing and who is behind."""
    now = self._clock()
    for key, text in self._client.key_value_dir_get(_BEAT):
      process = int(key.rpartition("/")[2])
      beat, step, what = json.loads(text)
      if self._seen.get(process, (0, 0.0))[0] != beat:
        self._seen[process] = beat, now
      self._places[process] = step, what
    limit = min(self.timeout, 4 * self.period) if self._urgent else self.timeout
    for process in range(self.count):
      _, last = self._seen.setdefault(process, (0, now))
      if now - last > limit:
        self._lose(process, now - last)
        return
    self._behind(now)

  def _lose(self, process: int, silent: float) -> None:
    step, what = self._places.get(process, (0, "starting"))
    reason = (
      f"no sign of life from process {process} for {silent:.0f} s (it was"
      f" {what} at update {step}): it died, or lost its network; {_AGAIN}"
    )
    self._say(f"process {self.process}: {reason}")
    self._tell_all(reason, 1)

  def _tell_all(self, reason: str, status: int) -> None:
    """Tells the others why the run ends, and ends."""
    try:
      self._client.key_value_set(_END, reason, False)
    except Exception as error:  # somebody was faster, or nobody is there
      if "ALREADY_EXISTS" not in str(error):
        said = (str(error).strip().splitlines() or [""])[0][:200]
        self._say(f"process {self.process}: cannot tell the others ({said})")
    if self.process == 0:
      time.sleep(3 * self.period)  # the others still have to read it here
    self._end(status)

  def _behind(self, now: float) -> None:
    """Names processes at an earlier update than the first one, once each."""
    first = max((step for step, _ in self._places.values()), default=0)
    if first > self._ahead[0]:
      self._ahead = first, now
    if now - self._ahead[1] < BEHIND_SECONDS:
      return
    for process, (step, what) in sorted(self._places.items()):
      if step < first and (process, step) not in self._named:
        self._named.add((process, step))
        self._say(
          f"process {process} is {what} at update {step}; the others wait for"
          f" it at update {first} since {now - self._ahead[1]:.0f} s"
        )

  # --- the main thread --------------------------------------------------------

  def failed(self, reason: str, status: int) -> None:
    """This process cannot go on: tells the others and ends.

    It does not leave in the usual way, which would wait for them.
    """
    self._over.set()
    self._tell_all(f"process {self.process} failed: {reason}", status)

  def explain(self) -> None:
    """After a collective failed: waits for the news of who is missing.

    Returns if nobody is: then the error is this process's own.
    """
    self._urgent = True
    end = self._clock() + 10 * self.period
    if self.process:
      end = self._clock() + self.timeout + 10 * self.period
    while self._clock() < end and not self._over.is_set():
      time.sleep(self.period / 4)

  def together(self) -> None:
    """Waits until all processes are done, however long one of them writes."""
    self.note(self._at[0], "done")
    self._client.wait_at_barrier(_DONE, 24 * 3600 * 1000)
