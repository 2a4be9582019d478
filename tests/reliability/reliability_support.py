# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs in processes of their own, killed and stopped at random moments."""

import dataclasses
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from prefjax import checkpoint

_ROOT = pathlib.Path(__file__).resolve().parents[2]
# One layer, one bucket: what takes time is to start a process.
SMALL = (
  "model.overrides={'hidden_size': 16, 'intermediate_size': 32,"
  " 'num_layers': 1, 'num_heads': 2, 'num_kv_heads': 1, 'head_dim': 8,"
  " 'query_scale': 0.35}",
  "data.buckets=((48,40),)",
  "data.language={'n': 200, 'eval_n': 16}",
  "eval.every=50",
  "opt.schedule=constant",  # one program for any number of updates
  "checkpoint.every=5",
  "log.report=false",
  "log.export=false",
)
_LONG = 600.0  # seconds after which a process is called hung


@dataclasses.dataclass(frozen=True)
class Trial:
  """One interruption.

  Attributes:
    kind: "SIGKILL" or "SIGTERM".
    wanted: updates that were to be saved before it.
    before: newest committed update when the signal was sent.
    after: newest committed update when the process had ended.
    logged: last update in metrics.jsonl when the process had ended.
    status: exit status.
    seconds: from the signal to the end.
  """

  kind: str
  wanted: int
  before: int
  after: int
  logged: int
  status: int
  seconds: float


def start(
  workdir: pathlib.Path,
  steps: int,
  words: Sequence[str] = (),
  *,
  config: str = "configs/dpo.py:tiny",
) -> subprocess.Popen:
  """`prefjax train` in its own process, one device."""
  environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
  # The tests' own flags, but one device.
  environment["XLA_FLAGS"] = " ".join(
    flag
    for flag in os.environ.get("XLA_FLAGS", "").split()
    if not flag.startswith("--xla_force_host_platform_device_count")
  )
  environment["JAX_PLATFORMS"] = "cpu"
  settings = (*SMALL, f"train.steps={steps}", *words)
  return subprocess.Popen(
    [sys.executable, "-m", "prefjax", "train", f"--config={config}"]
    + [f"--workdir={workdir}"]
    + [f"--config.{setting}" for setting in settings],
    cwd=_ROOT,
    env=environment,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
  )


def finish(process: subprocess.Popen, status: int = 0) -> str:
  """Waits for the end; returns what was said on standard error."""
  _, said = process.communicate(timeout=_LONG)
  assert process.returncode == status, (process.returncode, said[-3000:])
  return said


def saved(workdir: pathlib.Path) -> int:
  """Newest committed update, 0 for none."""
  folder = workdir / "checkpoints"
  return (checkpoint.steps(folder) or [0])[-1] if folder.is_dir() else 0


def rows(workdir: pathlib.Path) -> list[dict]:
  """Rows of metrics.jsonl that are whole."""
  path = workdir / "metrics.jsonl"
  found = []
  for line in path.read_text().split("\n") if path.exists() else ():
    try:
      found.append(json.loads(line))
    except ValueError:
      continue
  return found


def updates(workdir: pathlib.Path) -> list[dict]:
  """Rows of updates without what depends on the clock."""
  return [
    {k: v for k, v in row.items() if not k.startswith("time/")}
    for row in rows(workdir)
    if "loss" in row
  ]


def interrupt(
  process: subprocess.Popen,
  workdir: pathlib.Path,
  number: int,
  wanted: int,
  wait: float,
) -> Trial | None:
  """Sends a signal `wait` seconds after `wanted` updates are committed.

  Returns:
    What came of it, or None where the run ended first.
  """
  deadline = time.monotonic() + _LONG
  while saved(workdir) < wanted and process.poll() is None:
    assert time.monotonic() < deadline, "the run does not get on"
    time.sleep(0.002)
  time.sleep(wait)
  before, begin = saved(workdir), time.monotonic()
  if process.poll() is not None:
    return None
  process.send_signal(number)
  _, said = process.communicate(timeout=_LONG)
  assert process.returncode in (-number, 128 + number, 0), said[-3000:]
  return Trial(
    signal.Signals(number).name,
    wanted,
    before,
    saved(workdir),
    max([row["step"] for row in updates(workdir)], default=0),
    process.returncode,
    time.monotonic() - begin,
  )


def trials(
  workdir: pathlib.Path,
  steps: int,
  kills: int,
  terms: int,
  seed: int = 0,
  show=lambda trial: None,
  begin=start,
) -> list[Trial]:
  """Runs to the end, interrupted at uniformly random updates.

  Some moments fall into the start of a process, some into a save: the signal
  comes up to 0.3 s after a random update was committed.

  Args:
    workdir: of the run.
    steps: its updates.
    kills: SIGKILLs.
    terms: SIGTERMs.
    seed: of the moments.
    show: called with every trial.
    begin: (workdir, steps) -> the process.
  """
  rng = random.Random(seed)
  numbers = [signal.SIGKILL] * kills + [signal.SIGTERM] * terms
  rng.shuffle(numbers)
  moments = sorted(rng.randrange(steps) for _ in numbers)
  found = []
  for number, wanted in zip(numbers, moments, strict=True):
    process = begin(workdir, steps)
    trial = interrupt(process, workdir, number, wanted, rng.uniform(0, 0.3))
    if trial is None:
      finish(process)
      break
    found.append(trial)
    show(trial)
  finish(begin(workdir, steps))
  return found


def digest(workdir: pathlib.Path) -> str:
  """SHA-256 of everything in the newest checkpoint: weights, optimiser."""
  restored = checkpoint.restore_untyped(workdir / "checkpoints")
  assert not restored.skipped
  return checkpoint.state_sha256(restored.tree)


def check(trial: Trial) -> None:
  """What must hold after every interruption."""
  assert trial.after >= trial.before, trial
  if trial.kind == "SIGTERM" and trial.status == 143:
    # Everything that was done is saved.
    assert trial.after >= trial.logged, trial


def _table(folder: pathlib.Path, steps, kills, terms, seed) -> bool:
  """Prints a line an interruption, and whether the ends are equal."""
  print(f"an uninterrupted run of {steps} updates ...", flush=True)
  finish(start(folder / "whole", steps))
  print("signal   saved before  saved after  logged  status  seconds to end")

  def show(trial: Trial) -> None:
    print(
      f"{trial.kind}  {trial.before:>12}  {trial.after:>11}"
      f"  {trial.logged:>6}  {trial.status:>6}  {trial.seconds:>14.2f}",
      flush=True,
    )
    check(trial)

  run = folder / "run"
  found = trials(run, steps, kills, terms, seed, show)
  numbers = [row["step"] for row in updates(run)]
  facts = {
    "interruptions": f"{len(found)} of {kills + terms}",
    "each update once": numbers == list(range(1, steps + 1)),
    "rows equal": updates(run) == updates(folder / "whole"),
    "SHA-256, interrupted": digest(run),
    "SHA-256, uninterrupted": digest(folder / "whole"),
  }
  for name, value in facts.items():
    print(f"{name:<24}{value}")
  return (
    numbers == list(range(1, steps + 1))
    and updates(run) == updates(folder / "whole")
    and digest(run) == digest(folder / "whole")
  )


if __name__ == "__main__":
  import argparse
  import tempfile

  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--steps", type=int, default=200)
  parser.add_argument("--kills", type=int, default=10)
  parser.add_argument("--terms", type=int, default=5)
  parser.add_argument("--seed", type=int, default=0)
  given = parser.parse_args()
  with tempfile.TemporaryDirectory() as place:
    equal = _table(
      pathlib.Path(place), given.steps, given.kills, given.terms, given.seed
    )
  sys.exit(0 if equal else 1)
