# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax compare`: runs side by side."""

import json
import pathlib

from prefjax.cli import arguments

SUMMARY = "Show what runs ended with, and where their configs differ."


def main(argv: list[str]) -> int:
  """Prints two tables; writes JSON where --out asks for it."""
  flags = arguments.Arguments("compare", SUMMARY)
  flags.positional("DIR", "work directories of runs", many=True)
  flags.path("out", help="also write the numbers here, as JSON")
  args = flags.parse(argv)

  from prefjax.analysis import summary
  from prefjax.runs import comparing

  result = comparing.compare(args.DIR)
  print(summary.text(comparing.tables(result)), end="")
  for problem in result["problems"]:
    print(problem)
  if args.out is not None:
    path = pathlib.Path(args.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
  return 0
