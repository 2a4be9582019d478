# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax data`: data files into prepared data sets."""

import pathlib
import re

from prefjax.cli import arguments, data_flags
from prefjax.data import splits

SUMMARY = "Turn data files into prepared data sets."
BUILD = "Turn any readable file into an ArrayRecord data set of TFDS."
_DETAILS = """
Reads and validates a file or folder and writes its records under
OUT/NAME/VERSION, which TFDS and prefjax read by index, without TensorFlow.
"""


def _flags() -> arguments.Arguments:
  flags = arguments.Arguments("data build", BUILD, details=_DETAILS)
  data_flags.declare(flags, on_bad="stop")
  flags.path("out", help="folder of data sets", kind="folder", required=True)
  flags.string("name", None, "of the data set (default from the file)")
  flags.number("max_bad_fraction", 0.1, "most bad rows to skip", low=0, high=1)
  flags.number(
    "eval_fraction", 0.0, "of the prompts for the split test", low=0, high=0.9
  )
  flags.integer("seed", 0, "of the choice of those prompts", low=0)
  return flags


def _name(path: str) -> str:
  """A name that TFDS takes, from a file's."""
  stem = pathlib.Path(path).resolve().name.split(".")[0].lower()
  name = re.sub(r"[^a-z0-9]+", "_", stem).strip("_")
  return name if name[:1].isalpha() else f"data_{name}".rstrip("_")


def build(argv: list[str]) -> int:
  """Runs `prefjax data build`."""
  args = _flags().parse(argv)
  data = data_flags.read(args, max_bad_fraction=args.max_bad_fraction)
  train, held = splits.held_out(
    data.records, args.eval_fraction, seed=args.seed
  )
  for line in data.report.lines():
    print(line)
  from prefjax.data import tfds_builder  # brings tfds along

  folder = tfds_builder.build(
    {"train": train, **({"test": held} if held else {})},
    args.out,
    args.name or _name(args.data),
    description=data.report.summary(),
  )
  print(f"{folder}: {len(train)} train, {len(held)} test records")
  return 0


def main(argv: list[str]) -> int:
  """Runs the command."""
  return arguments.subcommand("data", SUMMARY, {"build": (BUILD, build)}, argv)
