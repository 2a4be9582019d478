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
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
from typing import Any

import protocol

HERE = pathlib.Path(__file__).parent


def _workers(args, dtype: str, reference: str) -> list[protocol.Worker]:
  common = [
    f"--tokens={args.tokens}",
    f"--model={args.model}",
    f"--dtype={dtype}",
    f"--reference={reference}",
    f"--batch_size={args.batch_size}",
    f"--batches={args.batches}",
  ]
  trl = [args.trl_python, "-W", "ignore", str(HERE / "trl_worker.py"), *common]
  trl += [f"--rounds={args.rounds}", f"--threads={args.threads}"]
  if args.checkpointing:
    trl.append("--checkpointing")
  ours = [sys.executable, str(HERE / "prefjax_worker.py"), *common]
  ours.append(f"--layout={args.layout}")
  return [protocol.Worker("trl", trl), protocol.Worker("prefjax", ours)]


def measure(args, dtype: str, reference: str) -> dict[str, Any]:
  """One setting: seconds [round][batch] and peaks of both libraries."""
  workers = _workers(args, dtype, reference)
  result: dict[str, Any] = {"dtype": dtype, "reference": reference}
  try:
    for worker in workers:
      result[worker.name] = {**worker.receive(), "seconds": []}
    for turn in range(args.rounds + 1):
      times: dict[str, list[float]] = {w.name: [] for w in workers}
      for _ in range(args.batches):
        for worker in workers:
          answer = worker.ask(step=True, reset_peak=turn == 1)
          times[worker.name].append(answer["seconds"])
          result[worker.name]["peak_rss"] = answer["peak_rss"]
      for worker in workers:
        kept = result[worker.name]
        if turn:
          kept["seconds"].append(times[worker.name])
        else:
          kept["first_seconds"] = times[worker.name]
  finally:
    for worker in workers:
      worker.close()
  pairs = args.batch_size * args.batches
  for worker in workers:
    kept = result[worker.name]
    by_batch = zip(*kept["seconds"], strict=True)
    kept["pairs_per_second"] = pairs / sum(map(statistics.median, by_batch))
  # float32: weights, gradients, two moments and, if live, the reference.
  copies = 5 if reference == "live" else 4
  result["state_bytes"] = 4 * copies * result["prefjax"]["parameters"]
  result["speedup"] = (
    result["prefjax"]["pairs_per_second"] / result["trl"]["pairs_per_second"]
  )
  return result


def table(results: list[dict[str, Any]]) -> str:
  """The results as a Markdown table."""
  lines = [
    "| dtype | reference | TRL pairs/s | PrefJAX pairs/s | ratio"
    " | TRL peak GiB | PrefJAX peak GiB | excess over the state, share |",
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
  ]
  for r in results:
    peaks = [r[name]["peak_rss"] for name in ("trl", "prefjax")]
    excess = [peak - r["state_bytes"] for peak in peaks]
    share = f"{excess[1] / excess[0]:.2f}" if min(excess) > 0 else "-"
    lines.append(
      f"| {r['dtype']} | {r['reference']}"
      f" | {r['trl']['pairs_per_second']:.3f}"
      f" | {r['prefjax']['pairs_per_second']:.3f} | {r['speedup']:.2f}"
      f" | {peaks[0] / 2**30:.2f} | {peaks[1] / 2**30:.2f} | {share} |"
    )
  return "\n".join(lines)


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
    "--checkpointing", action="store_true", help="TRL's gradient checkpointing"
  )
  args = parser.parse_args(argv)
  os.environ["JAX_PLATFORMS"] = "cpu"  # of the process that is started
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
