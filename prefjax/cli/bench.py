# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax bench`: how well scores pick the right response."""

import json
import pathlib

from prefjax.cli import arguments, data_flags, texts
from prefjax.core import errors

SUMMARY = "How well scores pick the right response, by category."
_DETAILS = """
Reads a local file of pairs, or of responses some of which are right, and the
file that `prefjax score` wrote for it. RewardBench's rules: a tie shares the
point, one right response among several must be highest, several right ones
must all beat the wrong ones; sections are means over subsets. With --gold, a
second file of scores of the same samples, also how the gold reward fares as
the best of n is taken by the first.
"""


def main(argv: list[str]) -> int:
  """Prints the tables; writes bench.json and plots with --out."""
  flags = arguments.Arguments("bench", SUMMARY, details=_DETAILS)
  data_flags.declare(flags, on_bad="stop")
  flags.path("scores", help="of `prefjax score`", required=True, kind="file")
  flags.string("by", "subset", "field that names a record's subset")
  flags.path("sections", help="JSON file: section to subsets", kind="file")
  flags.boolean("per_token", help="log-probs count per token")
  flags.path("gold", help="scores by the true reward", kind="file")
  flags.path("out", help="folder for bench.json and plots", kind="folder")
  args = flags.parse(argv)
  sections = None if args.sections is None else _sections(args.sections)
  data = data_flags.read(args, max_bad_fraction=0.1)

  from prefjax.runs import benching, score_files

  scored = score_files.join(data.records, args.scores, per_token=args.per_token)
  result: dict = {}
  if args.gold is not None:
    gold = score_files.join(data.records, args.gold)
    result["over_optimisation"] = benching.over_optimise(scored, gold)
  try:
    result |= benching.evaluate(scored, by=args.by, sections=sections)
  except errors.DataError:
    if not result:
      raise
  _show(result)
  if args.out is not None:
    for path in benching.write(result, args.out):
      print(path)
  return 0


def _sections(name: str) -> dict:
  try:
    value = json.loads(pathlib.Path(name).read_text(encoding="utf-8"))
  except (OSError, ValueError, RecursionError) as error:
    raise errors.ConfigError(f"--sections: {name}: {error}") from None
  is_table = isinstance(value, dict) and all(
    isinstance(subsets, list) for subsets in value.values()
  )
  if not is_table:
    raise errors.ConfigError(
      f"--sections: {name} is no JSON object of lists of subsets"
    )
  return value


def _show(result: dict) -> None:
  """The numbers for people."""

  def row(name, found):
    bounds = f"[{found['low']:.3f}, {found['high']:.3f}]"
    return (name, f"{found['mean']:.3f} {bounds}  of {found['count']}")

  if "sections" in result:
    rows = [row(name, found) for name, found in result["sections"].items()]
    if len(result["subsets"]) > len(result["sections"]):
      rows += [
        row(f"  {name}", found) for name, found in result["subsets"].items()
      ]
    if len(result["sections"]) > 1:
      rows.append(row("mean of sections", result["score"]))
    rows.append(row("all prompts", result["all"]))
    rows.append(("by chance", f"{result['chance']:.3f}"))
    rows.append(("ties", str(result["ties"])))
    rows.append(("calibration error", f"{result['calibration']['error']:.3f}"))
    spearman = result["length_bias"]["spearman"]
    rows.append(("margin-length correlation", f"{spearman:.3f}"))
    left = result["left_out"]
    rows += [(f"left out: {why}", str(n)) for why, n in left.items() if n]
    print(texts.table(rows))
  if "over_optimisation" in result:
    found = result["over_optimisation"]
    print(f"best of n by these scores, {found['prompts']} prompts")
    rows = [
      (
        f"n = {r['n']}",
        f"KL {r['kl']:.2f}  proxy {r['proxy']:.4g}  gold {r['gold']:.4g}"
        f" [{r['gold_low']:.4g}, {r['gold_high']:.4g}]"
        f"  of at most {r['ceiling']:.4g}",
      )
      for r in found["curve"]
    ]
    print(texts.table(rows))
