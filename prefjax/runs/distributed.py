# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""How the processes of one run find each other, and how they end.

Where a process is told its place, in this order: flags; the variables
PREFJAX_COORDINATOR, PREFJAX_PROCESSES and PREFJAX_PROCESS_ID (which is
JOB_COMPLETION_INDEX in an indexed Job or a JobSet of Kubernetes); SLURM, in a
step of several tasks; Cloud TPU, where JAX asks the machine itself.
"""

import contextlib
import dataclasses
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

from prefjax.core import errors
from prefjax.runs import peers

COORDINATOR = "PREFJAX_COORDINATOR"
PROCESSES = "PREFJAX_PROCESSES"
PROCESS_ID = "PREFJAX_PROCESS_ID"
# Kubernetes: index of a pod in its Job, of a Job in its JobSet, pods a Job.
_POD, _JOB = "JOB_COMPLETION_INDEX", "PREFJAX_JOB_INDEX"
_PODS = "PREFJAX_PODS_PER_JOB"
_START_SECONDS = 300

_watch: peers.Watch | None = None


@dataclasses.dataclass(frozen=True)
class Place:
  """One process of several.

  Attributes:
    coordinator: host:port of process 0; "" has JAX ask the TPU's machine.
    processes: how many; 0 where JAX asks.
    process_id: which this is.
    found: how this is known, for messages.
  """

  coordinator: str
  processes: int
  process_id: int
  found: str


def find(
  environment: Mapping[str, str],
  *,
  coordinator: str | None = None,
  processes: int | None = None,
  process_id: int | None = None,
  method: str = "auto",
) -> Place | None:
  """This process's place, None where it is alone.

  Args:
    environment: variables.
    coordinator, processes, process_id: of the command line, or None.
    method: "auto", "off", "flags", "slurm" or "tpu".

  Raises:
    ConfigError: places are given in part, or contradict each other.
  """
  given = (coordinator, processes, process_id) != (None, None, None)
  if method == "off":
    if given:
      raise errors.ConfigError("--distributed=off: leave out --coordinator")
    return None
  if given or method == "flags":
    return _checked(coordinator, processes, process_id, "flags")
  if method == "auto" and environment.get(COORDINATOR):
    return _of_variables(environment)
  if method == "slurm" or (
    method == "auto" and _number(environment, "SLURM_STEP_NUM_TASKS", 1) > 1
  ):
    return _of_slurm(environment)
  hosts = [
    h for h in environment.get("TPU_WORKER_HOSTNAMES", "").split(",") if h
  ]
  if method == "tpu" or len(hosts) > 1:
    return Place("", 0, 0, "Cloud TPU")
  return None


def _checked(coordinator, processes, process_id, found: str) -> Place:
  where = "flags" if found == "flags" else f"{found}: flags"
  for name, value in (
    ("coordinator", coordinator),
    ("processes", processes),
    ("process_id", process_id),
  ):
    if value is None:
      raise errors.ConfigError(
        f"--{name} is missing: {where} --coordinator=HOST:PORT, --processes=N"
        " and --process_id=I belong together"
      )
  if not re.fullmatch(r"[^\s:/]+:[0-9]{1,5}|\[[0-9A-Fa-f:]+\]:[0-9]{1,5}",
                      coordinator):  # fmt: skip
    raise errors.ConfigError(
      f"--coordinator={coordinator}: expected HOST:PORT of process 0"
    )
  if processes < 1 or not 0 <= process_id < processes:
    raise errors.ConfigError(
      f"--process_id={process_id} is outside 0..{processes - 1}"
      f" (--processes={processes})"
    )
  return Place(coordinator, processes, process_id, found)


def _number(
  environment: Mapping[str, str], name: str, default: int | None = None
) -> int:
  text = environment.get(name)
  if text is None and default is not None:
    return default
  try:
    return int(text or "")
  except ValueError:
    raise errors.ConfigError(
      f"{name}={text!r}: expected a whole number; the launcher must set it"
    ) from None


def _of_variables(environment: Mapping[str, str]) -> Place:
  if PROCESS_ID in environment:
    number = _number(environment, PROCESS_ID)
  else:
    number = _number(environment, _POD)
    if _JOB in environment:
      number += _number(environment, _JOB) * _number(environment, _PODS)
  return _checked(
    environment[COORDINATOR],
    _number(environment, PROCESSES),
    number,
    f"{COORDINATOR} and its like",
  )


def first_host(nodes: str) -> str:
  """The first host of a SLURM list: 'tpu[003-007,9],login' -> 'tpu003'.

  Raises:
    ConfigError: it is no such list.
  """
  match = re.match(r"([A-Za-z0-9_.-]+)(?:\[([0-9]+)[0-9,-]*\])?", nodes)
  if not match:
    raise errors.ConfigError(
      f"SLURM_STEP_NODELIST={nodes!r} names no host; give --coordinator"
    )
  return match[1] + (match[2] or "")


def _of_slurm(environment: Mapping[str, str]) -> Place:
  for name in ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_STEP_NODELIST"):
    if name not in environment:
      raise errors.ConfigError(
        f"--distributed=slurm: {name} is not set; start the command with srun"
      )
  # Different jobs on one node must not meet.
  job = _number(environment, "SLURM_JOB_ID", 0)
  port = 20_000 + job % 20_000
  return _checked(
    f"{first_host(environment['SLURM_STEP_NODELIST'])}:{port}",
    _number(environment, "SLURM_STEP_NUM_TASKS"),
    _number(environment, "SLURM_PROCID"),
    "SLURM",
  )


def note(step: int, what: str) -> None:
  """Says where this process is, if it is one of several."""
  if _watch is not None:
    _watch.note(step, what)


@contextlib.contextmanager
def started(
  place: Place | None, *, timeout: float = 30.0, who: str = "prefjax"
) -> Iterator[None]:
  """Connects the processes, and ends them together.

  An error on one process is told to the others, which end too; a process that
  dies without a word is named after `timeout` seconds. On an error this does
  not return: Python's exit would wait for processes that may be gone.

  Args:
    place: of this process; None does nothing.
    timeout: seconds.
    who: begins the line of an error.

  Raises:
    TrainingError: the processes do not find each other.
  """
  global _watch
  if place is None:
    yield
    return
  client = _connect(place, timeout)
  import jax

  number, count = jax.process_index(), jax.process_count()
  with peers.Watch(client, number, count, timeout) as watch:
    _watch = watch
    try:
      yield
      watch.note(0, "done")
      watch.together()
    except BaseException as error:
      _end(watch, error, who)
      raise
    finally:
      _watch = None
  jax.distributed.shutdown()


def _end(watch: peers.Watch, error: BaseException, who: str) -> None:
  """Says what happened and ends this process and, by that, all."""
  import jax

  status, reason = 1, f"{type(error).__name__}"
  if isinstance(error, errors.PrefjaxError):
    reason = str(error)
    mild = isinstance(error, (errors.CheckpointError, errors.TrainingError))
    status = 1 if mild else 2
    print(f"{who}: {reason}", file=sys.stderr, flush=True)
  elif isinstance(error, SystemExit):
    status = error.code if isinstance(error.code, int) else 1
    reason = f"left with status {status}"
  else:
    if isinstance(error, jax.errors.JaxRuntimeError):
      watch.explain()
    traceback.print_exception(error)
  sys.stdout.flush()
  watch.failed(reason, status)


def _connect(place: Place, timeout: float) -> Any:
  """Starts `jax.distributed`; returns its client."""
  import jax

  # Ours is in charge: it saves before it stops.
  jax.config.update("jax_enable_preemption_service", False)
  try:
    if "cpu" in (jax.config.jax_platforms or ""):
      jax.config.update("jax_cpu_collectives_implementation", "gloo")
  except (AttributeError, ValueError):
    pass  # the default of a later JAX
  given: dict[str, Any] = {}
  if place.coordinator:
    given = dict(
      coordinator_address=place.coordinator,
      num_processes=place.processes,
      process_id=place.process_id,
    )
  try:
    jax.distributed.initialize(
      **given,
      initialization_timeout=_START_SECONDS,
      # Behind ours, which knows more; the last resort.
      heartbeat_timeout_seconds=int(2 * timeout) + 10,
      shutdown_timeout_seconds=60,
    )
  except (RuntimeError, ValueError) as error:
    lines = str(error).strip().splitlines() or [""]
    raise errors.TrainingError(
      f"process {place.process_id} of {place.processes} ({place.found}) cannot"
      f" reach the coordinator {place.coordinator or 'of the TPU'}:"
      f" {lines[0][:200]}; start all processes, and open that port"
    ) from error
  return _client()


def _client() -> Any:
  # Not public, but what Orbax and others build on; signs of life need it.
  from jax._src import distributed

  return distributed.global_state.client
