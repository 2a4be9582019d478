# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What starts a run elsewhere: commands and files, made and not carried out.

Existing engines do the work; this words what they are asked, the same way for
`scripts/launch.py` and for sweeps. A command is a tuple of words, never a
line, so that nothing in it can be taken for another command; where an engine
wants a line for a shell, every word in it is quoted. Manifests are JSON, which
is YAML too.
"""

import dataclasses
import json
import pathlib
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prefjax.core import errors
from prefjax.launching import places

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What engines get in headers and flags; no space, no quote, no line's end.
_OPTION = re.compile(r"[A-Za-z0-9._:/@+,=~-]*")
_PORT = 8476


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
  """One command for all processes of a run.

  Attributes:
    name: of the run; letters, digits and '-'.
    words: of the command, the program first.
    environment: variables that it gets.
    folder: where the project lies on the workers; "" for where they begin.
    check: words of a command that must succeed on a worker first, or ().
  """

  name: str
  words: tuple[str, ...]
  environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
  folder: str = ""
  check: tuple[str, ...] = ()

  def __post_init__(self):
    if not _NAME.fullmatch(self.name):
      raise errors.ConfigError(
        f"--name={self.name}: use 1 to 40 small letters, digits and '-',"
        " beginning with a letter"
      )
    for name in self.environment:
      if not _VARIABLE.fullmatch(name):
        raise errors.ConfigError(f"--env={name}: that is no variable's name")
    if not self.words:
      raise errors.ConfigError("no command: give it after --, as in -- prefjax")


@dataclasses.dataclass(frozen=True)
class Command:
  """Words that are carried out here."""

  words: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class File:
  """A file that the commands after it read."""

  path: pathlib.Path
  text: str


Plan = list[Command | File]


def line(job: Job, more: Sequence[str] = ()) -> str:
  """A line for a POSIX shell on a worker: check, then the command."""
  parts = []
  if job.folder:
    parts.append(shlex.join(["cd", "--", job.folder]))
  settings = [f"{name}={value}" for name, value in job.environment.items()]
  if job.check:
    parts.append(shlex.join(["env", *settings, *job.check]))
  parts.append(shlex.join(["exec", "env", *settings, *job.words, *more]))
  return " && ".join(parts)


# --- engines ----------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class Local:
  """Processes of this machine.

  Attributes:
    processes: how many.
    port: of the coordinator.
  """

  processes: int = 1
  port: int = _PORT

  def plan(
    self, job: Job, folder: pathlib.Path, *, alone: bool = False
  ) -> Plan:
    """Commands; `alone`: the processes do not know of each other."""
    del folder
    plan: Plan = []
    for i in range(self.processes):
      more = ()
      if self.processes > 1 and not alone:
        more = (
          f"--coordinator=127.0.0.1:{self.port}",
          f"--processes={self.processes}",
          f"--process_id={i}",
        )
      plan.append(Command(("sh", "-c", line(job, more))))
    return plan


@dataclasses.dataclass(frozen=True, kw_only=True)
class TpuVm:
  """All workers of a TPU VM that exists, over ssh.

  Attributes:
    tpu: its name.
    zone: where it is.
    project: "" for gcloud's own.
    worker: "all", or the numbers of some.
  """

  tpu: str
  zone: str
  project: str = ""
  worker: str = "all"

  def plan(
    self, job: Job, folder: pathlib.Path, *, alone: bool = False
  ) -> Plan:
    """The command; `alone`: the workers do not know of each other."""
    del folder
    flags = [f"--zone={self.zone}", f"--worker={self.worker}"]
    if self.project:
      flags.append(f"--project={self.project}")
    command = line(job, () if alone else ("--distributed=tpu",))
    return [
      Command(
        (
          *("gcloud", "compute", "tpus", "tpu-vm", "ssh", self.tpu),
          *flags,
          f"--command={command}",
        )
      )
    ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Queued:
  """A queued resource whose workers start the run, again if they come back.

  Attributes:
    accelerator: its type, such as v5litepod-16.
    runtime: version of the TPU's software.
    zone: where.
    project: "" for gcloud's own.
    spot: a cheaper one that may be taken away.
  """

  accelerator: str
  runtime: str
  zone: str
  project: str = ""
  spot: bool = False

  def plan(self, job: Job, folder: pathlib.Path) -> Plan:
    path = folder / f"{job.name}-startup.sh"
    more = [f"--project={self.project}"] if self.project else []
    more += ["--spot"] if self.spot else []
    text = (
      "#! /bin/sh\n"
      "# Made by scripts/launch.py; runs on every worker when it boots.\n"
      f"{line(job, ('--distributed=tpu',))}\n"
    )
    return [
      File(path, text),
      Command(
        (
          *("gcloud", "compute", "tpus", "queued-resources", "create"),
          job.name,
          f"--node-id={job.name}",
          f"--accelerator-type={self.accelerator}",
          f"--runtime-version={self.runtime}",
          f"--zone={self.zone}",
          *more,
          f"--metadata-from-file=startup-script={path}",
        )
      ),
    ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slurm:
  """A batch job.

  Attributes:
    nodes: how many.
    tasks_per_node: processes of a node.
    cpus_per_task: 0 for the cluster's own.
    gpus_per_task: 0 for none.
    partition: "" for the cluster's own.
    account: "" for the cluster's own.
    time: limit, such as 12:00:00; "" for the cluster's own.
    grace: seconds before the limit at which the run is told to save.
  """

  nodes: int = 1
  tasks_per_node: int = 1
  cpus_per_task: int = 0
  gpus_per_task: int = 0
  partition: str = ""
  account: str = ""
  time: str = ""
  grace: int = 120

  def script(self, job: Job, prefix: Sequence[str] = ()) -> str:
    """The batch script; `prefix` runs once, around the step."""
    options = {
      "job-name": job.name,
      "nodes": self.nodes,
      "ntasks-per-node": self.tasks_per_node,
      "cpus-per-task": self.cpus_per_task,
      "gpus-per-task": self.gpus_per_task,
      "partition": self.partition,
      "account": self.account,
      "time": self.time,
      "signal": f"TERM@{self.grace}",
    }
    header = [f"#SBATCH --{k}={v}" for k, v in options.items() if v]
    step = ("srun", "--kill-on-bad-exit=1", "sh", "-c", line(job))
    return "\n".join(["#!/bin/sh", *header, shlex.join([*prefix, *step]), ""])

  def plan(self, job: Job, folder: pathlib.Path) -> Plan:
    path = folder / f"{job.name}.sbatch"
    return [
      File(path, self.script(job)),
      Command(("sbatch", "--parsable", str(path))),
    ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobSet:
  """A JobSet of Kubernetes, one Job a slice and one pod a host.

  Attributes:
    image: of the container, with the project in it.
    hosts: pods of a slice.
    slices: how many.
    accelerator: GKE's name, such as tpu-v5-lite-podslice; "" for none.
    topology: such as 4x4, with an accelerator.
    chips: of a host, with an accelerator.
    gpus: of a pod; 0 for none.
    namespace: where.
    restarts: times that the set is started again after a failure.
    volume: claim that is mounted at /work; "" for none.
  """

  image: str
  hosts: int = 1
  slices: int = 1
  accelerator: str = ""
  topology: str = ""
  chips: int = 4
  gpus: int = 0
  namespace: str = "default"
  restarts: int = 10
  volume: str = ""

  def manifest(self, job: Job, prefix: Sequence[str] = ()) -> dict[str, Any]:
    """The manifest; `prefix` is put before the command of every pod."""
    on_tpu = bool(self.accelerator)
    more = ("--distributed=tpu",) if on_tpu else ()
    command = [*prefix, "sh", "-c", line(job, more)]
    resource = "google.com/tpu" if on_tpu else "nvidia.com/gpu"
    number = self.chips if on_tpu else self.gpus
    container: dict[str, Any] = {
      "name": "train",
      "image": self.image,
      "command": command,
      "env": self._environment(job),
      "ports": [{"containerPort": _PORT}],
    }
    if number:
      container["resources"] = {"limits": {resource: number}}
    pod: dict[str, Any] = {
      "restartPolicy": "Never",
      # A pod that is taken away has so long to save.
      "terminationGracePeriodSeconds": 120,
      "containers": [container],
    }
    if on_tpu:
      pod["nodeSelector"] = {
        "cloud.google.com/gke-tpu-accelerator": self.accelerator,
        "cloud.google.com/gke-tpu-topology": self.topology,
      }
    if self.volume:
      container["volumeMounts"] = [{"name": "work", "mountPath": "/work"}]
      claim = {"claimName": self.volume}
      pod["volumes"] = [{"name": "work", "persistentVolumeClaim": claim}]
    return {
      "apiVersion": "jobset.x-k8s.io/v1alpha2",
      "kind": "JobSet",
      "metadata": {"name": job.name, "namespace": self.namespace},
      "spec": {
        "failurePolicy": {"maxRestarts": self.restarts},
        "network": {"enableDNSHostnames": True, "subdomain": job.name},
        "replicatedJobs": [
          {
            "name": "w",
            "replicas": self.slices,
            "template": {
              "spec": {
                "parallelism": self.hosts,
                "completions": self.hosts,
                "completionMode": "Indexed",
                "backoffLimit": 0,
                "template": {"spec": pod},
              }
            },
          }
        ],
      },
    }

  def _environment(self, job: Job) -> list[dict[str, Any]]:
    """What tells a pod its place; on a TPU the machine does."""
    processes = self.hosts * self.slices
    if self.accelerator or processes == 1:
      return []
    index = "metadata.annotations['jobset.sigs.k8s.io/job-index']"
    plain = {
      places.COORDINATOR: f"{job.name}-w-0-0.{job.name}:{_PORT}",
      places.PROCESSES: str(processes),
      places.PODS: str(self.hosts),
    }
    return [
      *({"name": name, "value": value} for name, value in plain.items()),
      {
        "name": places.JOB,
        "valueFrom": {"fieldRef": {"fieldPath": index}},
      },
    ]

  def plan(self, job: Job, folder: pathlib.Path) -> Plan:
    path = folder / f"{job.name}-jobset.json"
    text = json.dumps(self.manifest(job), indent=2) + "\n"
    return [
      File(path, text),
      Command(("kubectl", "apply", "-f", str(path))),
    ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Xpk:
  """A workload of xpk.

  Attributes:
    cluster: its name.
    tpu_type: such as v5litepod-16.
    image: of the container, with the project in it.
    zone: "" for gcloud's own.
    project: "" for gcloud's own.
    slices: how many.
  """

  cluster: str
  tpu_type: str
  image: str
  zone: str = ""
  project: str = ""
  slices: int = 1

  def plan(self, job: Job, folder: pathlib.Path) -> Plan:
    del folder
    flags = {
      "workload": job.name,
      "cluster": self.cluster,
      "tpu-type": self.tpu_type,
      "num-slices": self.slices,
      "docker-image": self.image,
      "zone": self.zone,
      "project": self.project,
      "command": line(job, ("--distributed=tpu",)),
    }
    words = tuple(f"--{k}={v}" for k, v in flags.items() if v)
    return [Command(("xpk", "workload", "create", *words))]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SkyPilot:
  """A managed job of SkyPilot, started again where it is preempted.

  Attributes:
    accelerators: such as tpu-v5e-16 or H100:8.
    nodes: how many.
    cloud: "" for any.
    spot: cheaper machines that may be taken away.
  """

  accelerators: str = ""
  nodes: int = 1
  cloud: str = ""
  spot: bool = False

  def plan(self, job: Job, folder: pathlib.Path) -> Plan:
    path = folder / f"{job.name}-sky.yaml"
    resources: dict[str, Any] = {}
    if self.accelerators:
      resources["accelerators"] = self.accelerators
    if self.cloud:
      resources["cloud"] = self.cloud
    if self.spot:
      resources["use_spot"] = True
    run = line(job)
    if self.nodes > 1:
      # SkyPilot's own variables: addresses of the nodes, one a line.
      place = (
        f"export {places.COORDINATOR}="
        f'"$(echo "$SKYPILOT_NODE_IPS" | head -n1):{_PORT}"'
        f' {places.PROCESSES}="$SKYPILOT_NUM_NODES"'
        f' {places.PROCESS_ID}="$SKYPILOT_NODE_RANK"'
      )
      run = f"{place}\n{run}"
    task = {
      "name": job.name,
      "num_nodes": self.nodes,
      "resources": resources,
      "workdir": ".",
      "run": run,
    }
    return [
      File(path, json.dumps(task, indent=2) + "\n"),
      Command(
        ("sky", "jobs", "launch", "--yes", "--name", job.name, str(path))
      ),
    ]


ENGINES: dict[str, Callable[..., Any]] = {
  "local": Local,
  "tpu-vm": TpuVm,
  "queued": Queued,
  "slurm": Slurm,
  "jobset": JobSet,
  "xpk": Xpk,
  "sky": SkyPilot,
}


def engine(name: str, options: Mapping[str, str]) -> Any:
  """An engine from its options as texts.

  Raises:
    ConfigError: an option is unknown, missing, or is no plain word.
  """
  if name not in ENGINES:
    raise errors.ConfigError(
      f"engine {name!r} is unknown{errors.nearest(name, ENGINES)}; there are"
      f" {', '.join(ENGINES)}"
    )
  kind = ENGINES[name]
  fields = {field.name: field for field in dataclasses.fields(kind)}
  values = {}
  for key, text in options.items():
    if key not in fields:
      raise errors.ConfigError(
        f"{name}: has no option {key!r}{errors.nearest(key, fields)}; it has"
        f" {', '.join(fields)}"
      )
    values[key] = _value(f"{name}: {key}={text!r}", fields[key].type, text)
  for key, field in fields.items():
    if key not in values and field.default is dataclasses.MISSING:
      raise errors.ConfigError(f"{name}: needs the option {key}")
  return kind(**values)


def _value(where: str, kind: Any, text: str) -> Any:
  if kind is int:
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII):
      raise errors.ConfigError(f"{where}: expected a whole number")
    return int(text)
  if kind is bool:
    if text not in ("true", "false"):
      raise errors.ConfigError(f"{where}: expected true or false")
    return text == "true"
  if not _OPTION.fullmatch(text) or text.startswith("-"):
    raise errors.ConfigError(
      f"{where}: expected letters, digits and ._:/@+,=~-"
    )
  return text


def show(plan: Plan) -> str:
  """What would be written and carried out, for a person."""
  out = []
  for part in plan:
    if isinstance(part, File):
      out.append(f"# {part.path}\n{part.text.rstrip()}\n")
    else:
      out.append(shlex.join(part.words))
  return "\n".join(out)


def carry_out(plan: Plan) -> int:
  """Writes the files and runs the commands, all at a time; the worst status.

  Raises:
    ConfigError: a program is not there.
  """
  processes = []
  for part in plan:
    if isinstance(part, File):
      part.path.parent.mkdir(parents=True, exist_ok=True)
      part.path.write_text(part.text, encoding="utf-8")
      continue
    try:
      processes.append(subprocess.Popen(part.words))
    except FileNotFoundError:
      raise errors.ConfigError(
        f"{part.words[0]} is not installed; install it, or use --dry_run and"
        " take the command elsewhere"
      ) from None
  statuses = [process.wait() for process in processes]
  sys.stdout.flush()
  return max((s if s >= 0 else 128 - s for s in statuses), default=0)
