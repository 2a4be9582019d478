# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax eval`: does a model rank the better response first?"""

import json
import pathlib

from prefjax.cli import arguments, data_flags, model_flags

SUMMARY = "Rank the pairs of a data file: accuracy, length bias, calibration."
_DETAILS = """
A pair is ranked right when the better response has the higher log-prob; with
--reference also when its log-prob grew more than the other's, and how well
the implied probabilities are calibrated. Intervals are 95 % bootstraps over
records.
"""


def main(argv: list[str]) -> int:
  """Prints tables; writes JSON where --out asks for it."""
  flags = arguments.Arguments("eval", SUMMARY, details=_DETAILS)
  model_flags.declare(flags)
  data_flags.declare(flags, on_bad="stop")
  flags.path(
    "reference", help="the model that training started from", wheels=True
  )
  flags.number("beta", 0.1, "scale of rewards", low=0, low_open=True)
  flags.choice("too_long", "cut", "what is too long", ("cut", "drop"))
  flags.path("out", help="also write the numbers here, as JSON")
  args = flags.parse(argv)

  from prefjax import runs
  from prefjax.analysis import summary
  from prefjax.data import encoding
  from prefjax.runs import caching, held_out

  caching.keep_compiled()
  data = data_flags.read(args, max_bad_fraction=0.1)
  policy = model_flags.open_policy(args)
  reference = None
  if args.reference is not None:
    reference = runs.open_policy(args.reference, tokenizer=args.tokenizer or "")
  result = held_out.evaluate(
    policy,
    data.records,
    reference=reference,
    lengths=encoding.Lengths(
      prompt=args.max_prompt,
      response=args.max_response,
      too_long=args.too_long,
    ),
    batch_size=args.batch,
    compute=model_flags.compute(args),
    beta=args.beta,
  )
  print(data.report.summary())
  if result["left_out"]:
    print(f"{result['left_out']} records could not be used")
  print()
  print(summary.text(held_out.tables(result)), end="")
  if args.out is not None:
    path = pathlib.Path(args.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {
      "model": policy.name,
      "reference_model": args.reference,
      "data": args.data,
    }
    path.write_text(
      json.dumps({**facts, **result}, indent=2) + "\n", encoding="utf-8"
    )
  return 0
