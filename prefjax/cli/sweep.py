# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax sweep`: one config, many settings, a table."""

import os
import pathlib
import shlex
import sys
from collections.abc import Sequence

from prefjax import config as config_lib
from prefjax.cli import arguments, config_file, config_flag, overrides
from prefjax.core import errors
from prefjax.sweeps import driver, plan, queues, runner

SUMMARY = "Train with many settings of a config, and compare them."
_DETAILS = """
The sweep file has a pure function get_sweep(arg="") that returns a list of
dicts, config key to value, one a run. Runs that differ in seeds only are
repeats: the table has their mean and a 95 % bootstrap interval. Stopped or
killed, the same command goes on with what is unfinished.
"""


def main(argv: list[str]) -> int:
  """Runs a sweep; returns 0, 1 where a run failed, or 128 + a signal."""
  flags = arguments.Arguments("sweep", SUMMARY, details=_DETAILS)
  config_flag.declare(flags)
  flags.string("sweep", help="FILE.py[:ARG] with get_sweep", required=True)
  flags.path("workdir", help="where everything is written", kind="folder")
  flags.integer("parallel", 1, "runs at a time", low=1)
  flags.string("engine", "local", "what runs them: see docs/pods.md")
  flags.repeated("set", "KEY=VALUE: an option of the engine")
  flags.repeated("env", "KEY=VALUE: a variable that its workers get")
  flags.string("folder", help="where the project lies on its workers")
  flags.string("python", help="the Python of its workers")
  flags.string("metric", help="the metric to plot")
  flags.boolean("dry_run", help="only list the runs")
  if any(word in ("--help", "-h") for word in argv):
    flags.parse(argv)
  spec, changes, rest = split(argv)
  args = flags.parse(rest)
  name, argument = config_file.split(args.sweep)
  path = pathlib.Path(name)
  listed = _listed(path, argument)
  runs = [_planned(spec, changes, one, f"{path}") for one in listed]
  if args.dry_run:
    for run in runs:
      words = [f"--config={spec}", *changes, *plan.words(run.overrides)]
      print(shlex.join(["prefjax", "train", *words]))
    return 0
  workdir = pathlib.Path(args.workdir or f"runs/sweeps/{path.stem}")

  if args.engine != "local":
    workdir = pathlib.Path(os.path.abspath(workdir))
  away = args.engine not in ("local", "slurm")
  python = args.python or ("python3" if away else sys.executable)

  def command(run: plan.Planned, folder: pathlib.Path) -> tuple[str, ...]:
    return (
      python,
      *("-m", "prefjax", "train", f"--config={spec}"),
      *changes,
      *plan.words(run.overrides),
      f"--workdir={folder}",
    )

  sweep = driver.Sweep(
    workdir,
    runs,
    command,
    using=_runner(args),
    parallel=args.parallel,
    say=lambda line: print(line, flush=True),
  )
  status = sweep.drive()
  _show(sweep, args.metric)
  return status


def _runner(args) -> runner.Runner:
  """Who runs the jobs."""
  if args.engine == "local" and not (args.set or args.env or args.folder):
    return runner.LocalRunner()
  return queues.make(
    args.engine,
    pairs("set", args.set),
    environment=pairs("env", args.env),
    folder=args.folder or "",
  )


def pairs(flag: str, words: Sequence[str]) -> dict[str, str]:
  """KEY=VALUE words of a flag.

  Raises:
    ConfigError: one is something else.
  """
  found = {}
  for word in words:
    name, given, value = word.partition("=")
    if not given:
      raise errors.ConfigError(f"--{flag}={word}: write it as KEY=VALUE")
    found[name] = value
  return found


def split(argv: list[str]) -> tuple[str, list[str], list[str]]:
  """(config, the --config.KEY=VALUE words, the other words).

  Raises:
    ConfigError: no config, or a key or value is wrong.
  """
  _, rest = config_flag.load(argv)
  changes, spec, words = [], "", iter(argv)
  for word in words:
    plain = f"--{word.lstrip('-')}" if word.startswith("-") else word
    if plain == "--config":
      spec = next(words)
    elif plain.startswith("--config="):
      spec = plain.partition("=")[2]
    elif plain.startswith("--config."):
      if "=" not in plain:
        raise errors.ConfigError(f"{plain}: write it as {plain}=VALUE")
      changes.append(plain)
  return spec, changes, rest


def _listed(path: pathlib.Path, argument: str | None):
  """The overrides that a sweep file lists."""
  if not path.is_file():
    raise errors.ConfigError(f"--sweep={path}: no such file")
  module = config_file.module(path)
  get_sweep = getattr(module, "get_sweep", None)
  if not callable(get_sweep):
    raise errors.ConfigError(
      f"{path}: has no function get_sweep; write def get_sweep(arg=''):"
      " return a list of dicts"
    )
  return plan.check(config_file.call(path, get_sweep, argument), str(path))


def _planned(spec, changes, one, where: str) -> plan.Planned:
  """A run whose config was made once, so that a slip shows before any runs."""
  words = [f"--config={spec}", *changes]
  try:
    config, _ = config_flag.load([*words, *plan.words(one)])
    parsed = config_lib.parse(config)
    for key, value in one.items():
      if not _same(overrides.get(config, key), value):
        raise errors.ConfigError(
          f"{key}: {value!r} is {overrides.get(config, key)!r} on a command"
          " line; give a number, a bool, a text or a tuple"
        )
  except errors.ConfigError as error:
    raise errors.ConfigError(f"{where}: {one}: {error}") from None
  digest = plan.digest_of(config_lib.to_json(parsed))
  return plan.Planned(plan.name_of(one), dict(one), digest)


def _same(found, value) -> bool:
  if isinstance(value, (list, tuple)):
    return list(found) == list(value)
  if hasattr(found, "to_dict"):
    found = found.to_dict()
  return found == value


def _show(sweep: driver.Sweep, metric: str | None) -> None:
  """Writes and prints the table of the runs that are done."""
  from prefjax.sweeps import numbers, page

  done = [run for run in sweep.runs if sweep.status(run) == "done"]
  found = {
    run.name: numbers.of_run(driver.run_folder(sweep.workdir, run))
    for run in done
  }
  if not found:
    return
  rows = numbers.table(sweep.runs, found)
  path = page.write(sweep.workdir, rows, found, page.main_metric(rows, metric))
  print(path.read_text(encoding="utf-8"), end="")
  print(f"table: {path}")
