# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Sweeps of jobs that cost nothing, for the tests beside this.

python sweep_support.py WORKDIR [NUMBER [ENGINE]]
drives NUMBER runs (six), two at a time, locally or through an engine
"""

import json
import pathlib
import sys

from prefjax.sweeps import driver, plan, queues, runner

# Begins and ends its event log as a run does, and takes a moment. One write
# tells both the sweep and the tests that it is done: killed after it, it is.
_JOB = """
import json, pathlib, sys, time
folder, status = pathlib.Path(sys.argv[1]), int(sys.argv[3])
folder.mkdir(parents=True, exist_ok=True)
def say(**event):
  with (folder / "events.jsonl").open("a") as file:
    file.write(json.dumps(event) + "\\n")
say(event="start")
time.sleep(float(sys.argv[2]))
say(event="stop", reason="done" if status == 0 else "error", status=status)
sys.exit(status)
"""


def runs(number: int = 6) -> list[plan.Planned]:
  """Runs that differ in their seed."""
  out = []
  for seed in range(number):
    overrides = {"opt.learning_rate": 0.1, "seed": seed}
    out.append(
      plan.Planned(
        plan.name_of(overrides), overrides, plan.digest_of(overrides)
      )
    )
  return out


def sweep(
  workdir: pathlib.Path,
  planned: list[plan.Planned] | None = None,
  *,
  seconds: float = 0.4,
  status: int = 0,
  parallel: int = 2,
  using: runner.Runner | None = None,
) -> driver.Sweep:
  """A sweep whose jobs sleep and end with a status."""

  def command(run, folder):
    del run
    return (
      *(sys.executable, "-c", _JOB),
      *(str(folder), str(seconds), str(status)),
    )

  return driver.Sweep(
    workdir,
    planned or runs(),
    command,
    using=using or runner.LocalRunner(),
    parallel=parallel,
    say=lambda line: print(line, flush=True),
  )


def events(workdir: pathlib.Path, run: plan.Planned) -> list[str]:
  """What a run's jobs wrote."""
  path = driver.run_folder(workdir, run) / "events.jsonl"
  if not path.is_file():
    return []
  rows = [json.loads(line) for line in path.read_text().splitlines()]
  return [{"stop": "done"}.get(row["event"], row["event"]) for row in rows]


def queue(engine: str) -> runner.Runner:
  """A runner that asks its cluster often."""
  made = queues.make(engine, {})
  made._pause = 0.3
  return made


if __name__ == "__main__":
  count = int(sys.argv[2]) if len(sys.argv) > 2 else 6
  engine = queue(sys.argv[3]) if len(sys.argv) > 3 else None
  sys.exit(sweep(pathlib.Path(sys.argv[1]), runs(count), using=engine).drive())
