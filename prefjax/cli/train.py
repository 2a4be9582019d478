# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax train`: a run from a config file, or the rest of one."""

from prefjax.cli import arguments, config_flag

SUMMARY = "Train a model, or go on with a run."


def main(argv: list[str]) -> int:
  """Trains; returns 0, or 128 + the signal that stopped it."""
  flags = arguments.Arguments("train", SUMMARY)
  config_flag.declare(flags)
  flags.path(
    "workdir",
    help="where everything is written; again to resume",
    kind="folder",
    required=True,
  )
  flags.boolean(
    "dry_run", False, "compile, print the plan, and write and train nothing"
  )
  if any(word in ("--help", "-h") for word in argv):
    flags.parse(argv)
  raw, rest = config_flag.load(argv)
  args = flags.parse(rest)

  from prefjax import config, runs
  from prefjax.runs import caching

  caching.keep_compiled()
  if args.dry_run:
    from prefjax.runs import dry_run

    print(dry_run.report(config.parse(raw)))
    return 0
  outcome = runs.train(config.parse(raw), args.workdir)
  if outcome.interrupted:
    print(
      f"stopped after {outcome.step} updates; the same command goes on from"
      " there"
    )
    return outcome.exit_status
  text = outcome.workdir / "report.txt"
  if outcome.report is not None:
    print(text.read_text(encoding="utf-8"))
    print(f"report: {outcome.report}")
  return 0
