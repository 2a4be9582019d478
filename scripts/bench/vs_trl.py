# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Pairs per second and memory of a DPO step: PrefJAX against TRL.

Same model, same pairs, same batches, full fine-tuning with AdamW, on the CPU.
The two take turns batch by batch, so that a slower machine slows both; each
figure is a median over rounds. TRL runs with its own defaults but for
gradient checkpointing, which is off because it costs time. In bf16 both keep
float32 weights and optimiser and compute in bfloat16.

  python scripts/parity/pairs.py --data=pairs.jsonl.gz --out=tokens.json \
    --export=smollm2
  python scripts/bench/vs_trl.py --tokens=tokens.json --model=smollm2 \
    --trl_python=OTHER_ENV/bin/python --out=vs_trl.json

Prompt-heavy pairs: pairs.py --max_prompt=512 --max_response=64
--min_prompt=512. Groups of four responses: pairs.py --responses=4, and
--merge here; TRL, which knows pairs only, runs the three of each group.
"""

import argparse
import json
import os
import pathlib
import sys
from typing import Any

import protocol
import versus

NAMES = ("trl", "prefjax")


def workers_of(args, dtype: str, reference: str) -> list[protocol.Worker]:
  """Both processes, TRL's first."""
  common = [
    f"--tokens={args.tokens}",
    f"--model={args.model}",
    f"--dtype={dtype}",
    f"--reference={reference}",
    f"--batch_size={args.batch_size}",
    f"--batches={args.batches}",
  ]
  here = versus.HERE
  trl = [args.trl_python, "-W", "ignore", str(here / "trl_worker.py"), *common]
  trl += [f"--rounds={args.rounds}", f"--threads={args.threads}"]
  if args.checkpointing:
    trl.append("--checkpointing")
  ours = [sys.executable, str(here / "prefjax_worker.py"), *common]
  ours.append(f"--layout={args.layout}")
  ours += ["--merge"] * args.merge + ["--pack"] * args.pack
  return [protocol.Worker("trl", trl), protocol.Worker("prefjax", ours)]


def measure(args, dtype: str, reference: str) -> dict[str, Any]:
  """One setting."""
  result = versus.take_turns(
    workers_of(args, dtype, reference),
    versus.peak_worker(dtype),
    rounds=args.rounds,
    batches=args.batches,
  )
  # float32: weights, gradients, two moments and, if live, the reference.
  copies = 5 if reference == "live" else 4
  result.update(
    dtype=dtype,
    reference=reference,
    state_bytes=4 * copies * result["prefjax"]["parameters"],
  )
  versus.rates(result, "prefjax", NAMES)
  return result


def table(results: list[dict[str, Any]]) -> str:
  """The results as a Markdown table."""
  return "\n".join(
    [
      *versus.head("TRL"),
      *(
        versus.row(f"{r['dtype']}, reference {r['reference']}", r, NAMES)
        for r in results
      ),
    ]
  )


def main(argv: list[str]) -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--tokens", required=True)
  parser.add_argument("--model", required=True, help="model directory")
  parser.add_argument("--out", required=True, help="JSON file to write")
  parser.add_argument("--trl_python", default=sys.executable)
  parser.add_argument("--dtypes", nargs="+", default=["fp32", "bf16"])
  parser.add_argument(
    "--references", nargs="+", default=["live", "precomputed"]
  )
  parser.add_argument("--batch_size", type=int, default=4)
  parser.add_argument("--batches", type=int, default=4)
  parser.add_argument("--rounds", type=int, default=5)
  parser.add_argument("--threads", type=int, default=os.cpu_count())
  parser.add_argument("--layout", default="shared")
  parser.add_argument(
    "--merge", action="store_true", help="pairs of one prompt are one group"
  )
  parser.add_argument(
    "--pack", action="store_true", help="layers skip pads (data.pack)"
  )
  parser.add_argument(
    "--checkpointing", action="store_true", help="TRL's gradient checkpointing"
  )
  args = parser.parse_args(argv)
  os.environ["JAX_PLATFORMS"] = "cpu"  # of the processes that are started
  results = []
  for dtype in args.dtypes:
    for reference in args.references:
      results.append(measure(args, dtype, reference))
      print(table(results[-1:]).splitlines()[-1], flush=True)
      content = {"arguments": vars(args), "results": results}
      pathlib.Path(args.out).write_text(json.dumps(content, indent=1) + "\n")
  print(table(results))


if __name__ == "__main__":
  main(sys.argv[1:])
