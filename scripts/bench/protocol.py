# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""How a benchmark talks to the library that it measures.

Each library runs in a process of its own, possibly with a Python of its own,
and takes a step only when it is told to; so two libraries take turns on one
machine. Messages are lines of JSON. Imports neither JAX nor torch.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence
from typing import Any


class Channel:
  """The worker's end: commands in, results out, prints to stderr."""

  def __init__(self):
    self._out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever libraries print must not look like a result
    self._in = sys.stdin

  def send(self, **message: Any) -> None:
    self._out.write(json.dumps(message) + "\n")

  def wait(self) -> dict[str, Any] | None:
    """The next command; None once the other side hangs up."""
    line = self._in.readline()
    return json.loads(line) if line else None


class Worker:
  """The benchmark's end of one process."""

  def __init__(self, name: str, command: Sequence[str]):
    self.name = name
    self._process = subprocess.Popen(
      list(command),
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
      bufsize=1,
    )

  def receive(self) -> dict[str, Any]:
    """The next result.

    Raises:
      RuntimeError: the process ended.
    """
    line = self._process.stdout.readline()
    if not line:
      raise RuntimeError(
        f"{self.name} ended with status {self._process.wait()}; see above"
      )
    return json.loads(line)

  def ask(self, **command: Any) -> dict[str, Any]:
    """Sends a command and waits for its result."""
    try:
      self._process.stdin.write(json.dumps(command) + "\n")
    except BrokenPipeError:
      pass  # it ended; `receive` says so
    return self.receive()

  def close(self) -> None:
    """Lets the process end, and ends it if it does not."""
    with contextlib.suppress(BrokenPipeError):
      self._process.stdin.close()
    try:
      self._process.wait(timeout=60)
    except subprocess.TimeoutExpired:
      self._process.kill()
      self._process.wait()


def reset_peak() -> None:
  """Starts a new peak of resident memory, where the kernel can (Linux)."""
  try:
    pathlib.Path("/proc/self/clear_refs").write_text("5")
  except OSError:
    pass  # the peak then includes loading and compiling


def peak_rss() -> int:
  """Largest resident memory since `reset_peak`, in bytes; 0 if unknown."""
  try:
    status = pathlib.Path("/proc/self/status").read_text()
  except OSError:
    return 0
  for line in status.splitlines():
    if line.startswith("VmHWM:"):
      return int(line.split()[1]) * 1024
  return 0
