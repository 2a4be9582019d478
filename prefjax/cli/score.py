# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax score`: log-probs of every response of a data file."""

import sys

from prefjax.cli import arguments, data_flags, model_flags

SUMMARY = "Write summed log-probs and lengths of every response, line by line."
_DETAILS = """
A line a record: {"id", "key", "logps": [...], "lengths": [...]}, summed nats
and counted tokens of its responses in their order. Run again it goes on:
records that the file holds are skipped. A file is never mixed from two models.
"""


def main(argv: list[str]) -> int:
  """Scores, or goes on scoring; says how many records."""
  flags = arguments.Arguments("score", SUMMARY, details=_DETAILS)
  model_flags.declare(flags)
  data_flags.declare(flags, on_bad="stop")
  flags.choice("too_long", "drop", "what is too long", ("cut", "drop"))
  flags.boolean("eos", True, "responses end with the end-of-sequence token")
  flags.path("out", help="where the lines go", required=True, kind="file")
  args = flags.parse(argv)

  from prefjax.data import encoding
  from prefjax.runs import caching, scores

  caching.keep_compiled()
  data = data_flags.read(args, max_bad_fraction=0.1)
  policy = model_flags.open_policy(args)
  shows = sys.stderr.isatty()

  def progress(done: int, total: int) -> None:
    if shows:
      end = "\n" if done == total else ""
      print(f"\r{done:,} of {total:,} records", end=end, file=sys.stderr)

  outcome = scores.score(
    policy,
    data.records,
    args.out,
    lengths=encoding.Lengths(
      prompt=args.max_prompt,
      response=args.max_response,
      too_long=args.too_long,
    ),
    batch_size=args.batch,
    eos=args.eos,
    compute=model_flags.compute(args),
    progress=progress,
  )
  print(
    f"{args.out}: {outcome.scored:,} records scored,"
    f" {outcome.present:,} were there already"
  )
  if outcome.unusable:
    print(f"{outcome.unusable:,} of them have an error instead of numbers")
  return 0
