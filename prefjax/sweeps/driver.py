# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs what is unfinished, a few at a time, and remembers how each ended."""

import json
import os
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from prefjax.core import errors
from prefjax.sweeps import plan, runner
from prefjax.train import events, signals

STATE = "sweep.json"
RUNS = "runs"
_PAUSE = 0.2  # seconds between two looks at the processes

Say = Callable[[str], None]
Command = Callable[[plan.Planned, pathlib.Path], tuple[str, ...]]


def run_folder(workdir: pathlib.Path, run: plan.Planned) -> pathlib.Path:
  """Work directory of one run."""
  return workdir / RUNS / run.name


def job_folder(workdir: pathlib.Path, run: plan.Planned) -> pathlib.Path:
  """Where its status, lock and log lie."""
  return workdir / "jobs" / run.name


def _ended_well(workdir: pathlib.Path) -> bool:
  """Whether a training run's own log ends with all of it done."""
  log = events.read(events.path_of(workdir))
  last = log[-1] if log else {}
  return (
    last.get("event") == "stop"
    and last.get("reason") == "done"
    and last.get("status") == 0
  )


class Sweep:
  """A list of runs in one work directory.

  The state is what is on disk: a run is done when its status says so. The
  file sweep.json says for people what was asked for and how far it is, and
  keeps a work directory from being used for another sweep.

  Args:
    workdir: of the sweep.
    runs: what is to be done.
    command: (run, its work directory) -> words of the command.
    using: who runs it.
    parallel: how many at a time.
    say: shows a line to a person.

  Raises:
    ConfigError: a run of that name was made with another config.
  """

  def __init__(
    self,
    workdir: pathlib.Path,
    runs: Sequence[plan.Planned],
    command: Command,
    *,
    using: runner.Runner,
    parallel: int = 1,
    say: Say = print,
  ):
    self.workdir = workdir
    self.runs = list(runs)
    self._command = command
    self._runner = using
    self._parallel = parallel
    self._say = say
    self._check_state()

  def _check_state(self) -> None:
    path = self.workdir / STATE
    try:
      before = json.loads(path.read_text(encoding="utf-8"))
      digests = {row["name"]: row["digest"] for row in before["runs"]}
    except FileNotFoundError:
      return
    except (ValueError, KeyError, TypeError, OSError) as error:
      raise errors.ConfigError(
        f"{path}: cannot be read ({error}); give another --workdir"
      ) from None
    for run in self.runs:
      if digests.get(run.name, run.digest) != run.digest:
        raise errors.ConfigError(
          f"{path}: run {run.name} was made with another config; give another"
          " --workdir"
        )

  def status(self, run: plan.Planned) -> str:
    """'done', 'failed', 'running' or 'pending'."""
    folder = job_folder(self.workdir, run)
    if not folder.is_dir():
      return "pending"
    # A runner that cannot say leaves it to the folder's lock.
    if getattr(self._runner, "is_running", runner.is_running)(folder):
      return "running"
    found = runner.status_of(folder)
    if found is None and _ended_well(run_folder(self.workdir, run)):
      return "done"  # killed before its status was written
    if found is None or found["status"] > 128:
      return "pending"  # killed, or stopped by a signal: to be gone on with
    return "done" if found["status"] == 0 else "failed"

  def seconds(self, run: plan.Planned) -> float | None:
    """How long its latest process took, if it has ended."""
    found = runner.status_of(job_folder(self.workdir, run))
    return None if found is None else found["seconds"]

  def write_state(self) -> list[dict[str, Any]]:
    """Writes sweep.json; returns its rows."""
    rows = [
      {
        "name": run.name,
        "overrides": run.overrides,
        "digest": run.digest,
        "status": self.status(run),
        "seconds": self.seconds(run),
      }
      for run in self.runs
    ]
    self.workdir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = self.workdir / STATE
    scratch = path.with_name(f".{STATE}.{os.getpid()}.partial")
    text = json.dumps({"runs": rows}, indent=1)
    scratch.write_text(text + "\n", encoding="utf-8")
    os.replace(scratch, path)
    return rows

  def _start(self, run: plan.Planned) -> runner.Handle | None:
    workdir = run_folder(self.workdir, run)
    job = runner.Job(
      run.name,
      self._command(run, workdir),
      job_folder(self.workdir, run),
    )
    return self._runner.start(job)

  def drive(self) -> int:
    """Runs everything that is not done, each run once in this call.

    Returns:
      0 if all are done; 1 if a run failed or was killed; 128 + N if signal N
      ended the sweep. Runs that were going then have saved what they had.
    """
    waiting = [run for run in self.runs if self.status(run) != "done"]
    done = len(self.runs) - len(waiting)
    self._say(f"{len(self.runs)} runs, {done} of them done")
    going: dict[str, tuple[plan.Planned, runner.Handle]] = {}
    orphans: list[plan.Planned] = []
    told = False
    self.write_state()
    with signals.StopSignal() as stop:
      while waiting or going or orphans:
        if stop.received and not told:
          # Once: a second signal would end a run before it has saved.
          told = True
          for _, handle in going.values():
            handle.stop()
        if told:
          waiting, orphans = [], []
        while waiting and len(going) + len(orphans) < self._parallel:
          run = waiting.pop(0)
          # Seen anew: what a sweep that was killed had left going may have
          # ended since the list was made, and is not begun a second time.
          status = self.status(run)
          if status == "done":
            self._ended(run)
            continue
          handle = None if status == "running" else self._start(run)
          if handle is None:
            # Left by a sweep that was killed; its own process goes on.
            self._say(f"{run.name}: still running, waiting for it")
            orphans.append(run)
            continue
          self._say(f"{run.name}: started")
          going[run.name] = run, handle
          self.write_state()
        for run in [r for r in orphans if self.status(r) != "running"]:
          orphans.remove(run)
          if self.status(run) == "done":
            self._ended(run)
          else:
            waiting.insert(0, run)
        for name, (run, handle) in list(going.items()):
          if handle.poll() is not None:
            del going[name]
            self._ended(run)
        if waiting or going or orphans:
          time.sleep(_PAUSE)
      self.write_state()
      if stop.received:
        return stop.exit_status
    left = [run for run in self.runs if self.status(run) != "done"]
    for run in left:
      log = job_folder(self.workdir, run) / runner.LOG
      self._say(f"{run.name}: is not done, see {log}")
    return 1 if left else 0

  def _ended(self, run: plan.Planned) -> None:
    status, seconds = self.status(run), self.seconds(run)
    took = "" if seconds is None else f" after {seconds:.0f} s"
    self._say(f"{run.name}: {status}{took}")
    self.write_state()
