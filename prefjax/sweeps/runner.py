# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Where the runs of a sweep are executed: local processes, or your own.

A Runner starts jobs and says how they end; what is to be run, in which order
and what counts as done is the sweep's business. `queues` has the runners that
submit jobs to a cluster.
"""

import dataclasses
import fcntl
import json
import os
import pathlib
import signal
import subprocess
import sys
from typing import IO, Protocol

STATUS = "status.json"
LOCK = "lock"
LOG = "log.txt"


@dataclasses.dataclass(frozen=True)
class Job:
  """One command that writes into one folder.

  Attributes:
    name: of the run.
    command: words of the command line, the program first.
    folder: where its status, lock and log lie; `command` may write there too.
  """

  name: str
  command: tuple[str, ...]
  folder: pathlib.Path


class Handle(Protocol):
  """A job that was started."""

  def poll(self) -> int | None:
    """Its exit status, or None while it runs."""

  def stop(self) -> None:
    """Asks it to save and end; it may take a while."""


class Runner(Protocol):
  """Starts jobs."""

  def start(self, job: Job) -> Handle | None:
    """Starts a job; None where it is still running from an earlier call."""

  def is_running(self, folder: pathlib.Path) -> bool:
    """Whether the job of a folder is running, or waits to."""


def status_of(folder: pathlib.Path) -> dict[str, float] | None:
  """How the latest job of a folder ended, None if it has not."""
  try:
    found = json.loads((folder / STATUS).read_text(encoding="utf-8"))
    return {
      "status": int(found["status"]),
      "seconds": float(found["seconds"]),
    }
  except (OSError, ValueError, KeyError, TypeError):
    return None


def is_running(folder: pathlib.Path) -> bool:
  """Whether a process still holds the folder's lock."""
  lock = _lock(folder)
  if lock is None:
    return True
  lock.close()
  return False


def _lock(folder: pathlib.Path) -> IO[bytes] | None:
  """The folder's lock, or None while somebody else has it.

  A lock belongs to the open file, which a child inherits: it stays locked
  until the last process of a job has ended, even if the sweep is killed.
  """
  folder.mkdir(mode=0o700, parents=True, exist_ok=True)
  file = (folder / LOCK).open("ab")
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except OSError:
    file.close()
    return None
  return file


class _Process:
  """A local job: a session of its own, so that signals reach all of it."""

  def __init__(self, process: subprocess.Popen):
    self._process = process

  def poll(self) -> int | None:
    return self._process.poll()

  def stop(self) -> None:
    if self._process.poll() is None:
      os.killpg(self._process.pid, signal.SIGTERM)


class LocalRunner:
  """Runs jobs as processes of this machine.

  Args:
    environment: variables that jobs get besides this process's own.
  """

  def __init__(self, environment: dict[str, str] | None = None):
    self._environment = {**os.environ, **(environment or {})}

  def is_running(self, folder: pathlib.Path) -> bool:
    return is_running(folder)

  def start(self, job: Job) -> Handle | None:
    lock = _lock(job.folder)
    if lock is None:
      return None
    with lock:
      (job.folder / STATUS).unlink(missing_ok=True)
      with (job.folder / LOG).open("ab") as log:
        process = subprocess.Popen(
          [
            sys.executable,
            *("-m", "prefjax.sweeps.once"),
            str(job.folder / STATUS),
            *job.command,
          ],
          stdin=subprocess.DEVNULL,
          stdout=log,
          stderr=subprocess.STDOUT,
          env=self._environment,
          start_new_session=True,
          pass_fds=(lock.fileno(),),
        )
    return _Process(process)
