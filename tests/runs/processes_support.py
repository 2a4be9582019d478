# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax train` as several local processes of one run, two devices each."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

from prefjax import checkpoint

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_LONG = 400.0  # seconds after which a process is called hung
# One layer, one bucket: what takes time is to start a process.
SMALL = (
  "model.overrides={'hidden_size': 16, 'intermediate_size': 32,"
  " 'num_layers': 1, 'num_heads': 2, 'num_kv_heads': 1, 'head_dim': 8,"
  " 'query_scale': 0.35}",
  "data.buckets=((48,40),)",
  "data.language={'n': 96, 'eval_n': 0}",
  "opt.schedule=constant",
  "eval.every=0",
  "log.progress=false",
  "log.report=false",
  "log.export=false",
)


def port() -> int:
  """A port that nobody has now."""
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    return probe.getsockname()[1]


class Run:
  """Processes of one run.

  Args:
    workdir: of the run.
    words: KEY=VALUE of the config, besides SMALL.
    count: how many processes.
    devices: of each.
    flags: more words of the command line.
    config: file.
    own: process -> more words, for that process alone.
  """

  def __init__(
    self,
    workdir: pathlib.Path,
    words: Sequence[str] = (),
    *,
    count: int = 2,
    devices: int = 2,
    flags: Sequence[str] = (),
    config: str = "configs/dpo.py:tiny",
    own: dict[int, Sequence[str]] | None = None,
  ):
    self.workdir, self.count = workdir, count
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    environment["XLA_FLAGS"] = " ".join(
      [
        flag
        for flag in os.environ.get("XLA_FLAGS", "").split()
        if not flag.startswith("--xla_force_host_platform_device_count")
      ]
      + [f"--xla_force_host_platform_device_count={devices}"]
    )
    environment["JAX_PLATFORMS"] = "cpu"
    common = [sys.executable, "-m", "prefjax", "train", f"--config={config}"]
    common += [f"--workdir={workdir}", *flags]
    common += [f"--config.{word}" for word in (*SMALL, *words)]
    if count > 1:
      common += [f"--coordinator=127.0.0.1:{port()}", f"--processes={count}"]
    self.logs = [
      workdir.with_name(f"{workdir.name}-{i}.log") for i in range(count)
    ]
    self.processes = []
    for i, log in enumerate(self.logs):
      more = [f"--process_id={i}"] if count > 1 else []
      more += list((own or {}).get(i, ()))
      with log.open("w") as file:
        self.processes.append(
          subprocess.Popen(
            [*common, *more],
            cwd=_ROOT,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
          )
        )

  def said(self, i: int) -> str:
    """What a process printed."""
    return self.logs[i].read_text()

  def wait(self, i: int, timeout: float = _LONG) -> int:
    """Exit status of a process; kills all where it hangs."""
    try:
      return self.processes[i].wait(timeout)
    except subprocess.TimeoutExpired:
      for process in self.processes:
        process.kill()
      raise AssertionError(
        f"process {i} hangs:\n{self.said(i)[-3000:]}"
      ) from None

  def finish(self, *status: int) -> None:
    """Waits for all; each must end with 0, or with the status given."""
    expected = status or (0,) * self.count
    found = tuple(self.wait(i) for i in range(self.count))
    assert found == expected, "\n".join(
      f"process {i}: {found[i]}\n{self.said(i)[-3000:]}"
      for i in range(self.count)
    )

  def reach(self, step: int) -> None:
    """Waits until an update is in metrics.jsonl."""
    end = time.monotonic() + _LONG
    while max((r["step"] for r in updates(self.workdir)), default=0) < step:
      running = all(p.poll() is None for p in self.processes)
      assert running and time.monotonic() < end, self.said(0)[-3000:]
      time.sleep(0.02)

  def kill(self, i: int) -> None:
    self.processes[i].send_signal(signal.SIGKILL)
    self.processes[i].wait()


def rows(workdir: pathlib.Path) -> list[dict]:
  """Whole rows of metrics.jsonl."""
  path = workdir / "metrics.jsonl"
  found = []
  for line in path.read_text().split("\n") if path.exists() else ():
    try:
      found.append(json.loads(line))
    except ValueError:
      continue
  return found


def updates(workdir: pathlib.Path) -> list[dict]:
  return [row for row in rows(workdir) if "loss" in row]


def saved(workdir: pathlib.Path) -> list[int]:
  """Committed updates."""
  folder = workdir / "checkpoints"
  return checkpoint.steps(folder) if folder.is_dir() else []


def digest(workdir: pathlib.Path) -> str:
  """SHA-256 of everything in the newest checkpoint."""
  restored = checkpoint.restore_untyped(workdir / "checkpoints")
  assert not restored.skipped
  return checkpoint.state_sha256(restored.tree)


def leaves(workdir: pathlib.Path) -> dict:
  """Arrays of the newest checkpoint by path."""
  tree = checkpoint.restore_untyped(workdir / "checkpoints").tree
  out = {}

  def visit(node, path):
    if isinstance(node, dict):
      for name, value in node.items():
        visit(value, f"{path}/{name}")
    else:
      out[path] = node

  visit(tree, "")
  return out
