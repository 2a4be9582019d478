# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax train`: a run from a config file, or the rest of one."""

import re

from prefjax.cli import arguments, config_flag, distributed_flags, texts
from prefjax.core import errors

SUMMARY = "Train a model, or go on with a run."


def main(argv: list[str]) -> int:
  """Trains; returns 0, or 128 + the signal that stopped it."""
  flags = arguments.Arguments("train", SUMMARY)
  config_flag.declare(flags)
  flags.path(
    "workdir",
    help="where everything is written, also gs://...; again to resume",
    kind="folder",
    required=True,
    urls=True,
  )
  flags.boolean(
    "dry_run", False, "compile, print the plan, and write and train nothing"
  )
  flags.string(
    "profile",
    help="START:STOP: trace the updates after START up to STOP",
  )
  flags.integers(
    "profile_hosts", (0,), "which processes trace, such as 0,3", low=0
  )
  distributed_flags.declare(flags)
  if any(word in ("--help", "-h") for word in argv):
    flags.parse(argv)
  raw, rest = config_flag.load(argv)
  args = flags.parse(rest)
  profile = _span(args.profile)

  import jax

  from prefjax import config, runs
  from prefjax.core import host
  from prefjax.runs import caching

  caching.keep_compiled()
  if args.dry_run:
    from prefjax.runs import dry_run

    print(dry_run.report(config.parse(raw)))
    return 0
  with distributed_flags.started(args, "prefjax train"):
    host.keep_memory_on_cpus()
    if jax.process_index() not in args.profile_hosts:
      profile = None
    outcome = runs.train(config.parse(raw), args.workdir, profile=profile)
  if outcome.interrupted:
    print(
      f"stopped after {outcome.step} updates; the same command goes on from"
      " there"
    )
    return outcome.exit_status
  if profile is not None:
    print(f"trace: {outcome.workdir / 'profile'}")
  text = outcome.workdir / "report.txt"
  if outcome.report is not None:
    print(text.read_text(encoding="utf-8"))
    print(f"report: {outcome.report}")
  return 0


def _span(text: str | None) -> tuple[int, int] | None:
  """(start, stop) of --profile.

  Raises:
    ConfigError: it is no span.
  """
  if text is None:
    return None
  match = re.fullmatch(r"([0-9]{1,12}):([0-9]{1,12})", text, re.ASCII)
  if not match or int(match[1]) >= int(match[2]):
    raise errors.ConfigError(
      f"--profile={texts.one_line(text, 80)}: expected START:STOP, two numbers"
      " of updates, the first smaller, such as 10:13"
    )
  return int(match[1]), int(match[2])
