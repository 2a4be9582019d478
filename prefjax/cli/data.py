# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax data`: data files into prepared data sets."""

import pathlib
import re

from prefjax.cli import arguments, data_flags
from prefjax.data import splits

SUMMARY = "Turn data files into prepared data sets, and scores into pairs."
BUILD = "Turn any readable file into an ArrayRecord data set of TFDS."
ANNOTATE = "Turn scored responses into pairs, ranks or mended labels."
_ANNOTATE_DETAILS = """
--to=pairs chooses pairs among the responses of each prompt, with their gap as
strength and margin; --to=ranked keeps whole groups with their scores;
--to=mended takes labelled pairs and an ensemble's votes, and flips or softens
doubtful labels. Fields `margin` and `smoothing` are what
method.kwargs.margins=records of reward_bt reads.
"""
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


def _annotate_flags() -> arguments.Arguments:
  flags = arguments.Arguments(
    "data annotate", ANNOTATE, details=_ANNOTATE_DETAILS
  )
  data_flags.declare(flags, on_bad="stop")
  flags.path("scores", help="of `prefjax score`", required=True, kind="file")
  flags.path("out", help="JSON lines to write", required=True, kind="file")
  flags.choice("to", "pairs", "what to make", ("pairs", "ranked", "mended"))
  flags.choice(
    "pairs",
    "best_worst",
    "which pairs",
    ("all", "best_worst", "best_random", "max_random"),
  )
  flags.number("min_gap", 0.0, "gaps up to this are ties", low=0)
  flags.boolean("keep_ties", help="write ties too")
  flags.number("margin_scale", 1.0, "margin of a gap of 1", low=0)
  flags.integer("seed", 0, "of random partners", low=0)
  flags.choice(
    "mend",
    "flip_margin",
    "what to do with doubtful labels",
    ("flip", "soft", "margin", "flip_margin", "soft_margin"),
  )
  flags.number("flip_fraction", 0.2, "weakest share to flip", low=0, high=1)
  flags.number("smoothing", 0.1, "of doubtful labels", low=0, high=1)
  flags.boolean("per_token", help="log-probs count per token")
  return flags


def annotate(argv: list[str]) -> int:
  """Runs `prefjax data annotate`."""
  args = _annotate_flags().parse(argv)
  data = data_flags.read(args, max_bad_fraction=0.1)
  from prefjax.runs import annotating, score_files

  scored = score_files.join(data.records, args.scores, per_token=args.per_token)
  if args.to == "pairs":
    made = annotating.pairs(
      scored,
      scheme=args.pairs,
      min_gap=args.min_gap,
      keep_ties=args.keep_ties,
      margin_scale=args.margin_scale,
      seed=args.seed,
    )
  elif args.to == "ranked":
    made = annotating.ranked(scored)
  else:
    made = annotating.mend(
      scored,
      method=args.mend,
      flip_fraction=args.flip_fraction,
      smoothing=args.smoothing,
    )
  annotating.write(made.rows, args.out)
  if made.ties:
    print(f"{made.ties:,} ties")
  if made.flipped:
    print(f"{made.flipped:,} labels were turned around")
  for line in _reasons(made.left_out):
    print(line)
  return 0


def _reasons(left_out: dict[str, str]) -> list[str]:
  """A line a reason: how many records, and the first of them."""
  found: dict[str, list[str]] = {}
  for name, reason in left_out.items():
    found.setdefault(reason, []).append(name)
  return [
    f"left out: {len(names):,} records, e.g. {names[0]!r}: {reason}"
    for reason, names in found.items()
  ]


def main(argv: list[str]) -> int:
  """Runs the command."""
  commands = {"build": (BUILD, build), "annotate": (ANNOTATE, annotate)}
  return arguments.subcommand("data", SUMMARY, commands, argv)
