# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax experiment`: papers' claims, tested in miniature."""

import pathlib

from prefjax.cli import arguments, config_file, texts
from prefjax.core import errors, xla_flags

SUMMARY = "Test papers' claims in miniature, over seeds."
_DETAILS = """
An experiment is a folder with an experiment.py. Both of its arms see the same
data and seeds; results.json has the numbers by seed, a paired bootstrap
interval and the verdict (shown, not shown, mixed) of its own accept rule. What
a killed run has finished is not done again.
"""
# Where quick results go: they are no evidence.
_QUICK = "runs/experiments-quick"


def main(argv: list[str]) -> int:
  """Runs one of the nested commands."""
  commands = {
    "run": ("Measure the seeds that are missing, and judge.", _run),
    "list": ("Show what there is, with the verdicts so far.", _list),
    "table": (
      "Write the README of the experiments from their results.",
      _table,
    ),
  }
  return arguments.subcommand("experiment", SUMMARY, commands, argv)


def _declare_root(flags: arguments.Arguments) -> None:
  flags.path("root", help="folder of the experiments", kind="folder")


def _root(args) -> pathlib.Path:
  """The folder given, else ./experiments, else that of the checkout."""
  if args.root is not None:
    root = pathlib.Path(args.root)
  else:
    here = pathlib.Path("experiments")
    checkout = pathlib.Path(__file__).resolve().parents[2] / "experiments"
    root = here if here.is_dir() else checkout
  if not root.is_dir():
    raise errors.ConfigError(
      f"{root}: no such folder of experiments; give --root"
    )
  return root


def _load(root: pathlib.Path, slug: str):
  from prefjax.experiments import spec

  name = spec.folder_name(slug)
  known = spec.known(root)
  if name not in known:
    raise errors.ConfigError(
      f"no experiment {slug!r} in {root}{errors.nearest(name, known)}; there"
      f" are {', '.join(known) or 'none'}"
    )
  module = config_file.module(root / name / spec.MODULE)
  return spec.from_module(name, module)


def _run(argv: list[str]) -> int:
  flags = arguments.Arguments(
    "experiment run", "Measure the seeds that are missing.", details=_DETAILS
  )
  flags.integer("seeds", help="how many (default: its own number)", low=1)
  flags.integer("seed_start", help="the first seed", default=1000, low=0)
  flags.boolean("quick", help="a small version, under a minute; no evidence")
  flags.boolean("all", help="every experiment")
  flags.path("out", help="folder of the results", kind="folder")
  _declare_root(flags)
  flags.positional("SLUG", "which ones", required=False, many=True)
  args = flags.parse(argv)
  if bool(args.SLUG) == args.all:
    raise errors.ConfigError("name experiments, or give --all for every one")

  if args.quick:
    xla_flags.add(xla_flags.compile_quickly())

  from prefjax import experiments
  from prefjax.experiments import table
  from prefjax.runs import caching

  root = _root(args)
  found = [_load(root, slug) for slug in (args.SLUG or experiments.known(root))]
  caching.keep_compiled()
  if args.out is not None:
    out = pathlib.Path(args.out)
  else:
    out = pathlib.Path(_QUICK) if args.quick else root
  for experiment in found:
    result = experiments.run(
      experiment,
      out / experiment.slug,
      scale="quick" if args.quick else "full",
      seeds=args.seeds,
      first_seed=args.seed_start,
      say=lambda line: print(line, flush=True),
    )
    print(f"{experiment.slug}: {result['verdict']}: {result['effect']}")
    for name, holds in result["checks"].items():
      print(f"  {'yes' if holds else 'no '} {name}")
    if out == root:
      table.write(root)
  return 0


def _list(argv: list[str]) -> int:
  flags = arguments.Arguments("experiment list", "Show what there is.")
  _declare_root(flags)
  args = flags.parse(argv)

  from prefjax.experiments import spec, store

  root = _root(args)
  rows = []
  for slug in spec.known(root):
    result = store.read_json(root / slug / store.FILE) or {}
    verdict = result.get("verdict", "not run yet")
    rows.append((slug, f"{verdict}  {result.get('effect', '')}".rstrip()))
  print(texts.table(rows) if rows else f"no experiment in {root}")
  return 0


def _table(argv: list[str]) -> int:
  flags = arguments.Arguments("experiment table", "Write README.md.")
  _declare_root(flags)
  args = flags.parse(argv)

  from prefjax.experiments import table

  print(table.write(_root(args)))
  return 0
