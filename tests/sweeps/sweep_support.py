# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Sweeps of jobs that cost nothing, for the tests beside this.

python sweep_support.py WORKDIR [NUMBER [ENGINE]]
drives NUMBER runs (six), two at a time, locally or through an engine
"""

import pathlib
import sys

from prefjax.sweeps import driver, plan, queues, runner

# Writes what happens to events.txt, and takes a moment.
_JOB = """
import pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
def say(word):
  with (folder / "events.txt").open("a") as file:
    file.write(word + "\\n")
say("start")
time.sleep(float(sys.argv[2]))
say("done")
sys.exit(int(sys.argv[3]))
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
  path = driver.run_folder(workdir, run) / "events.txt"
  return path.read_text().split() if path.is_file() else []


def queue(engine: str) -> runner.Runner:
  """A runner that asks its cluster often."""
  made = queues.make(engine, {})
  made._pause = 0.3
  return made


if __name__ == "__main__":
  count = int(sys.argv[2]) if len(sys.argv) > 2 else 6
  engine = queue(sys.argv[3]) if len(sys.argv) > 3 else None
  sys.exit(sweep(pathlib.Path(sys.argv[1]), runs(count), using=engine).drive())
