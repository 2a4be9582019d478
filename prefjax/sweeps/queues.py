# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs of a sweep as jobs of a cluster: SLURM, or JobSets of Kubernetes.

The sweep's work directory is on a filesystem that the cluster shares. A job
has a name that follows from its folder, so a sweep that was killed at any
moment, even between asking for a job and noting it, asks the cluster which of
its jobs are there and submits none twice. How a job ended is in its folder,
written by the job itself; one that is gone without a word is submitted again.
"""

import hashlib
import json
import logging
import os
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from prefjax.core import errors
from prefjax.launching import engines
from prefjax.sweeps import runner

_LOG = logging.getLogger(__name__)
_PAUSE = 15.0  # seconds between two questions to a cluster

Call = Callable[[Sequence[str]], str]


def call(words: Sequence[str]) -> str:
  """Runs a command; returns what it printed.

  Raises:
    ConfigError: it is not there, or it failed: its last words.
  """
  try:
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
  except FileNotFoundError:
    raise errors.ConfigError(f"{words[0]} is not installed") from None
  except subprocess.TimeoutExpired:
    raise errors.ConfigError(f"{words[0]} did not answer in 120 s") from None
  if done.returncode:
    said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    raise errors.ConfigError(f"{words[0]} failed: {said[:300]}")
  return done.stdout


def name_of(folder: pathlib.Path) -> str:
  """The name of a folder's job: readable, and nobody else's."""
  whole = os.path.realpath(folder)
  digest = hashlib.sha256(whole.encode()).hexdigest()[:12]
  slug = re.sub(r"[^a-z0-9]+", "-", folder.name.lower())[:20].strip("-")
  return f"r-{slug}-{digest}" if slug else f"r-{digest}"


class Queue(Protocol):
  """A cluster that is asked to run jobs."""

  def submit(self, job: engines.Job, folder: pathlib.Path) -> None: ...

  def alive(self) -> set[str]:
    """Names of the user's jobs that wait or run."""

  def stop(self, name: str) -> None: ...


class Slurm:
  """Batch jobs; see `engines.Slurm`."""

  def __init__(self, engine: engines.Slurm, call: Call = call):
    self._engine, self._call = engine, call

  def submit(self, job: engines.Job, folder: pathlib.Path) -> None:
    path = folder / "job.sbatch"
    text = self._engine.script(job, _once(sys.executable, folder))
    path.write_text(text, encoding="utf-8")
    log = os.path.abspath(folder / runner.LOG)
    self._call(
      ("sbatch", "--parsable", f"--output={log}", "--open-mode=append")
      + (str(path),)
    )

  def alive(self) -> set[str]:
    listed = self._call(("squeue", "--me", "--noheader", "--format=%j"))
    return {line.strip() for line in listed.splitlines() if line.strip()}

  def stop(self, name: str) -> None:
    self._call(("scancel", "--me", "--signal=TERM", f"--name={name}"))


class JobSets:
  """JobSets; see `engines.JobSet`."""

  _OVER = ("Completed", "Failed")

  def __init__(self, engine: engines.JobSet, call: Call = call):
    self._engine, self._call = engine, call
    self._where = f"--namespace={engine.namespace}"

  def submit(self, job: engines.Job, folder: pathlib.Path) -> None:
    path = folder / "job.json"
    manifest = self._engine.manifest(job, _once("python3", folder))
    path.write_text(json.dumps(manifest, indent=2), encoding="utf-8")
    # One that is over is still there, and its name taken.
    self._call(
      ("kubectl", "delete", "jobset", job.name, self._where)
      + ("--ignore-not-found", "--wait=true")
    )
    self._call(("kubectl", "create", "-f", str(path)))

  def alive(self) -> set[str]:
    listed = self._call(("kubectl", "get", "jobsets", self._where, "-o=json"))
    return {
      item["metadata"]["name"]
      for item in json.loads(listed)["items"]
      if not self._is_over(item)
    }

  def _is_over(self, item: Mapping[str, Any]) -> bool:
    conditions = item.get("status", {}).get("conditions", ())
    return any(
      c["type"] in self._OVER and c["status"] == "True" for c in conditions
    )

  def stop(self, name: str) -> None:
    self._call(
      ("kubectl", "delete", "jobset", name, self._where, "--wait=false")
    )


def _once(python: str, folder: pathlib.Path) -> tuple[str, ...]:
  """Words around a job that write how it ended."""
  status = os.path.abspath(folder / runner.STATUS)
  return (python, "-m", "prefjax.sweeps.once", status)


class QueueRunner:
  """Submits jobs to a cluster.

  Args:
    queue: of the cluster.
    environment: variables that jobs get.
    folder: where the project lies on the workers; "" for where they begin.
    check: words that must succeed on a worker first, or ().
    pause: seconds between two questions to the cluster.
    clock: seconds.
  """

  def __init__(
    self,
    queue: Queue,
    *,
    environment: Mapping[str, str] | None = None,
    folder: str = "",
    check: tuple[str, ...] = (),
    pause: float = _PAUSE,
    clock: Callable[[], float] = time.monotonic,
  ):
    self._queue = queue
    self._environment = dict(environment or {})
    self._folder, self._check = folder, check
    self._pause, self._clock = pause, clock
    self._asked = -float("inf")
    self._alive: set[str] = set()
    # Submitted here, and perhaps not listed yet.
    self._new: dict[str, float] = {}

  def is_running(self, folder: pathlib.Path) -> bool:
    """Whether the folder's job waits or runs.

    A cluster that does not answer has not said that it is over: what was
    known before still counts.

    Raises:
      ConfigError: it never answered.
    """
    name = name_of(folder)
    now = self._clock()
    if now - self._asked >= self._pause:
      try:
        self._alive, self._asked = self._queue.alive(), now
      except errors.ConfigError as error:
        if self._asked == -float("inf"):
          raise
        _LOG.warning("%s; asked again in %.0f s", error, self._pause)
        self._asked = now
        return name in self._alive or name in self._new
      self._new = {
        n: since
        for n, since in self._new.items()
        if n not in self._alive and now - since < 4 * self._pause
      }
    if runner.status_of(folder) is not None and name in self._new:
      del self._new[name]  # it ended before it was ever listed
    return name in self._alive or name in self._new

  def start(self, job: runner.Job) -> runner.Handle | None:
    job.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    self._asked = min(self._asked, self._clock() - self._pause)
    if self.is_running(job.folder):
      return None
    (job.folder / runner.STATUS).unlink(missing_ok=True)
    name = name_of(job.folder)
    self._queue.submit(
      engines.Job(
        name=name,
        words=job.command,
        environment=self._environment,
        folder=self._folder,
        check=self._check,
      ),
      job.folder,
    )
    self._new[name] = self._clock()
    return _Submitted(self, job.folder)

  def stop(self, folder: pathlib.Path) -> None:
    self._queue.stop(name_of(folder))


class _Submitted:
  """A job of a cluster."""

  def __init__(self, owner: QueueRunner, folder: pathlib.Path):
    self._owner, self._folder = owner, folder

  def poll(self) -> int | None:
    if self._owner.is_running(self._folder):
      return None
    found = runner.status_of(self._folder)
    return 1 if found is None else int(found["status"])

  def stop(self) -> None:
    self._owner.stop(self._folder)


class EngineRunner(runner.LocalRunner):
  """Runs jobs through an engine whose command lasts as long as they do.

  Args:
    engine: `engines.Local` of one process, or `engines.TpuVm`.
    environment: variables that jobs get.
    folder: where the project lies on the workers.
    check: words that must succeed on a worker first, or ().
  """

  def __init__(
    self,
    engine: Any,
    *,
    environment: Mapping[str, str] | None = None,
    folder: str = "",
    check: tuple[str, ...] = (),
  ):
    super().__init__()
    self._engine = engine
    self._options = dict(
      environment=dict(environment or {}), folder=folder, check=check
    )

  def start(self, job: runner.Job) -> runner.Handle | None:
    wrapped = engines.Job(
      name=name_of(job.folder), words=job.command, **self._options
    )
    plan = self._engine.plan(wrapped, job.folder)
    if len(plan) != 1:
      raise errors.ConfigError(
        "--engine=local: a sweep's runs are of one process; leave out processes"
      )
    return super().start(runner.Job(job.name, plan[0].words, job.folder))


def make(
  name: str,
  options: Mapping[str, str],
  *,
  environment: Mapping[str, str] | None = None,
  folder: str = "",
  check: tuple[str, ...] = (),
) -> runner.Runner:
  """The runner of an engine.

  Raises:
    ConfigError: the engine, or an option, is unknown.
  """
  more = dict(environment=environment, folder=folder, check=check)
  engine = engines.engine(name, options)
  if isinstance(engine, engines.Slurm):
    more["folder"] = folder or os.getcwd()  # which the nodes share
    return QueueRunner(Slurm(engine), **more)
  if isinstance(engine, engines.JobSet):
    return QueueRunner(JobSets(engine), **more)
  if isinstance(engine, (engines.Local, engines.TpuVm)):
    return EngineRunner(engine, **more)
  raise errors.ConfigError(
    f"--engine={name}: a sweep cannot ask it how its jobs are; use local,"
    " tpu-vm, slurm or jobset"
  )
