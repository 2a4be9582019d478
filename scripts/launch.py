#!/usr/bin/env python3
# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Starts a run on other machines, through an engine that is there already.

  scripts/launch.py tpu-vm --name=dpo --set=tpu=pod --set=zone=us-west4-a \\
    --folder=prefjax --check_devices=4 --workers=4 -- \\
    prefjax train --config=configs/dpo.py --workdir=/mnt/runs/dpo

--dry_run prints the exact commands and files and does nothing. Engines and
their options are in docs/pods.md.
"""

import json
import pathlib
import subprocess
import sys

from prefjax.cli import arguments, sweep
from prefjax.core import errors
from prefjax.launching import engines, preflight

SUMMARY = "Start a run elsewhere."
# Whose commands run to their end here and print what workers say.
_ATTACHED = (engines.Local, engines.TpuVm)


def _parsed(argv: list[str]):
  flags = arguments.Arguments("launch", SUMMARY, details=__doc__ or "")
  flags.string("name", "prefjax", "of the run, as the engine shows it")
  flags.repeated("set", "KEY=VALUE: an option of the engine")
  flags.repeated("env", "KEY=VALUE: a variable that the workers get")
  flags.string("folder", help="where the project lies on the workers")
  flags.path("files", "runs/launch", "where manifests are written")
  flags.integer("check_devices", help="devices a worker must have", low=1)
  flags.string("check_lock", help="file, or SHA-256, of the packages it needs")
  flags.string("check_workdir", help="a folder that it must be able to write")
  flags.integer("workers", 1, "how many must answer to --check", low=1)
  flags.boolean("check", help="only look whether the workers are fit")
  flags.boolean("dry_run", help="print commands and files, do nothing")
  flags.positional("WORDS", "engine -- command", many=True)
  return flags.parse(argv)


def _check_words(args) -> tuple[str, ...]:
  """The command that looks at a worker; () where nothing is asked for."""
  given = {
    "devices": args.check_devices,
    "lock": args.check_lock,
    "workdir": args.check_workdir,
  }
  words = [f"--{k}={v}" for k, v in given.items() if v is not None]
  if not words and not args.check:
    return ()
  return ("python3", "-m", "prefjax.launching.preflight", *words)


def _check(plan: engines.Plan, workers: int) -> int:
  """Has all workers looked at; names those that are unfit."""
  reports = []
  for part in plan:
    done = subprocess.run(part.words, stdout=subprocess.PIPE, text=True)
    for line in done.stdout.splitlines():
      try:
        report = json.loads(line)
        reports.append({**report, "faults": list(report["faults"])})
      except (ValueError, KeyError, TypeError):
        continue
  bad = preflight.judge(reports, workers)
  for line in bad or [f"{len(reports)} workers are fit"]:
    print(line)
  return 1 if bad else 0


def main(argv: list[str]) -> int:
  """Launches; returns the engine's exit status."""
  if argv == ["lock"]:
    print("\n".join(preflight.packages()))
    return 0
  args = _parsed(argv)
  if not args.WORDS:
    raise errors.ConfigError(
      f"say which engine: {', '.join(engines.ENGINES)}; and after -- what it"
      " shall run"
    )
  name, *words = args.WORDS
  engine = engines.engine(name, sweep.pairs("set", args.set))
  check = _check_words(args)
  if args.check:
    if not isinstance(engine, _ATTACHED):
      raise errors.ConfigError(
        f"--check: {name} shows no output here; give --check_devices and its"
        " like, which are looked at before the run starts"
      )
    words, check = list(check), ()
  job = engines.Job(
    name=args.name,
    words=tuple(words),
    environment=sweep.pairs("env", args.env),
    folder=args.folder or "",
    check=check,
  )
  if args.check:
    plan = engine.plan(job, pathlib.Path(args.files), alone=True)
  else:
    plan = engine.plan(job, pathlib.Path(args.files))
  if args.dry_run:
    print(engines.show(plan))
    return 0
  if args.check:
    return _check(plan, args.workers)
  return engines.carry_out(plan)


if __name__ == "__main__":
  try:
    sys.exit(main(sys.argv[1:]))
  except errors.PrefjaxError as error:
    print(f"launch: {error}", file=sys.stderr)
    sys.exit(2)
