# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Pairs per second and memory of a DPO step: PrefJAX against Tunix.

Same Llama-shaped weights, same pairs, same batches and live reference, full
fine-tuning with AdamW in float32, on the CPU. The two take turns batch by
batch, so that a slower machine slows both; each figure is a median over
rounds. Tunix wants other releases of common packages, hence a Python of its
own (pip install google-tunix).

  python scripts/parity/pairs.py --data=pairs.jsonl.gz --out=tokens.json \
    --export=smollm2
  python scripts/bench/vs_tunix.py --tokens=tokens.json --model=smollm2 \
    --tunix_python=OTHER_ENV/bin/python --out=vs_tunix.json
"""

import argparse
import json
import os
import pathlib
import sys
from typing import Any

import protocol
import versus

NAMES = ("tunix", "prefjax")


def measure(args) -> dict[str, Any]:
  """Both libraries in turns."""
  common = [
    f"--tokens={args.tokens}",
    f"--model={args.model}",
    f"--batch_size={args.batch_size}",
    f"--batches={args.batches}",
  ]
  tunix = [args.tunix_python, str(versus.HERE / "tunix_worker.py"), *common]
  ours = [sys.executable, str(versus.HERE / "prefjax_worker.py"), *common]
  ours += ["--dtype=fp32", "--reference=live"] + ["--pack"] * args.pack
  result = versus.take_turns(
    [protocol.Worker("tunix", tunix), protocol.Worker("prefjax", ours)],
    versus.peak_worker("fp32"),
    rounds=args.rounds,
    batches=args.batches,
  )
  # Weights, reference, gradients and two moments.
  result["state_bytes"] = 4 * 5 * result["prefjax"]["parameters"]
  versus.rates(result, "prefjax", NAMES)
  return result


def main(argv: list[str]) -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--tokens", required=True)
  parser.add_argument("--model", required=True, help="model directory")
  parser.add_argument("--out", required=True, help="JSON file to write")
  parser.add_argument("--tunix_python", default=sys.executable)
  parser.add_argument("--batch_size", type=int, default=4)
  parser.add_argument("--batches", type=int, default=4)
  parser.add_argument("--rounds", type=int, default=5)
  parser.add_argument(
    "--pack", action="store_true", help="layers skip pads (data.pack)"
  )
  args = parser.parse_args(argv)
  os.environ["JAX_PLATFORMS"] = "cpu"  # of the processes that are started
  result = measure(args)
  content = {"arguments": vars(args), "results": [result]}
  pathlib.Path(args.out).write_text(json.dumps(content, indent=1) + "\n")
  line = versus.row("fp32, reference live", result, NAMES)
  print("\n".join([*versus.head("Tunix"), line]))


if __name__ == "__main__":
  main(sys.argv[1:])
