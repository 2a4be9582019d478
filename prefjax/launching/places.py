# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Where a process is told which of how many it is, and who is the first.

In this order: flags; the variables PREFJAX_COORDINATOR, PREFJAX_PROCESSES and
PREFJAX_PROCESS_ID (which is JOB_COMPLETION_INDEX in an indexed Job or a JobSet
of Kubernetes); SLURM, in a step of several tasks; Cloud TPU, where JAX asks
the machine itself.
"""

import dataclasses
import re
from collections.abc import Mapping

from prefjax.core import errors

METHODS = ("auto", "off", "flags", "slurm", "tpu")
COORDINATOR = "PREFJAX_COORDINATOR"
PROCESSES = "PREFJAX_PROCESSES"
PROCESS_ID = "PREFJAX_PROCESS_ID"
# Kubernetes: index of a pod in its Job, of a Job in its JobSet, pods a Job.
_POD, JOB = "JOB_COMPLETION_INDEX", "PREFJAX_JOB_INDEX"
PODS = "PREFJAX_PODS_PER_JOB"


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
    method: one of METHODS.

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
    if JOB in environment:
      number += _number(environment, JOB) * _number(environment, PODS)
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
