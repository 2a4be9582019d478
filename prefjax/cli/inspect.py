# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax inspect`: what a data file would be to a run."""

from prefjax.cli import arguments, data_flags, inspect_page
from prefjax.data import (
  encoding,
  inspection,
  pipeline,
  tokenizers,
  views,
)

SUMMARY = "Show what a data file holds, how long it is, what training sees."
_DETAILS = """
Prints the layout that was recognised, rows that are left out and why, token
lengths before cutting, the padding of every bucket, and some examples with
the tokens that count. Nothing is written.
"""


def _flags() -> arguments.Arguments:
  flags = arguments.Arguments("inspect", SUMMARY, details=_DETAILS)
  data_flags.declare(flags, on_bad="skip")
  flags.string(
    "tokenizer",
    "bytes",
    "bytes, a directory or file with a tokenizer, or pip:NAME",
  )
  flags.choice("view", None, "groups records become", views.NAMES)
  flags.choice("pairs", "all", "pairs that scores give", views.PAIR_MODES)
  flags.words("attributes", (), "of rated records (default all)")
  flags.words("extras", (), "numeric fields that travel along")
  flags.string("template", None, "chat template: a name or Jinja source")
  flags.integer("max_prompt", 512, "most prompt tokens", low=1)
  flags.integer("max_response", 512, "most tokens of a response", low=1)
  flags.choice("too_long", "cut", "what is too long", ("cut", "drop"))
  flags.choice("keep", "tail", "of a prompt that is cut", ("tail", "head"))
  flags.integer("batch", 8, "rows of a batch, for the buckets", low=1)
  flags.integer("rows", 3, "examples to show", low=0)
  flags.integer("listed", 10, "rows left out to name", low=0)
  return flags


def main(argv: list[str]) -> int:
  """Runs the command."""
  args = _flags().parse(argv)
  tokenizer = tokenizers.load(args.tokenizer)
  data = data_flags.read(args, max_bad_fraction=1.0)
  options = {
    "pairs": args.pairs,
    "attributes": args.attributes,
    "extras": args.extras,
  }
  view = (
    inspection.default_view(data.records, **options)
    if args.view is None
    else views.view(args.view, **options)
  )
  seen = inspection.inspect(
    data,
    tokenizer,
    view=view,
    lengths=encoding.Lengths(
      prompt=args.max_prompt,
      response=args.max_response,
      too_long=args.too_long,
      keep=args.keep,
    ),
    template=args.template,
    options=pipeline.Options(batch_size=args.batch),
    rows=args.rows,
  )
  inspect_page.show(seen, listed=args.listed)
  return 0
