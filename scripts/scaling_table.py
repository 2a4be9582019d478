# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""DPO on TPU slices of 4 to 512 chips, as the compiler lays it out.

  python scripts/scaling_table.py --compile   # minutes a case; goes on later
  python scripts/scaling_table.py [--check]   # docs/scaling.md and README

Every case is compiled once by `compile_tpu.measure` and kept in
docs/scaling.json; the page and README's table are made from that file.
"""

import argparse
import importlib
import json
import os
import pathlib
import sys
import time
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
DATA = ROOT / "docs" / "scaling.json"
PAGE = ROOT / "docs" / "scaling.md"
README = ROOT / "README.md"
BEGIN = "<!-- scaling: made by scripts/scaling_table.py -->"
END = "<!-- end of scaling -->"
GIB = 1 << 30

MODES = {
  "precomputed": "reference precomputed",
  "live": "live reference",
  "lora": "LoRA, rank 16",
}
_ARGUMENTS = {
  "precomputed": "reference=precomputed",
  "live": "reference=live",
  "lora": "lora=16,reference=live",
}
# 4, 8, .. 512 chips.
DOUBLING = tuple(
  f"v5p:{grid}"
  for grid in (
    "2x2x1",
    "2x2x2",
    "2x2x4",
    "2x4x4",
    "4x4x4",
    "4x4x8",
    "4x8x8",
    "8x8x8",
  )
)
NAMES = {
  "llama_3_2_1b": "Llama-3.2-1B",
  "llama_3_1_8b": "Llama-3.1-8B",
  "qwen3_32b": "Qwen3-32B",
  "llama_3_1_70b": "Llama-3.1-70B",
}
# (config, mode, topology): the slices that are asked for most come first.
SINGLE = (
  ("llama_3_1_8b", "precomputed", "v5e:4x4"),
  ("llama_3_1_70b", "precomputed", "v5p:2x4x4"),
  ("llama_3_2_1b", "precomputed", "v5e:2x2"),
  ("qwen3_32b", "precomputed", "v5p:2x2x4"),
  ("llama_3_1_8b", "precomputed", "v5e:4x8"),
  ("llama_3_1_8b", "live", "v5e:4x8"),
  ("llama_3_1_8b", "lora", "v5e:4x4"),
  ("llama_3_1_70b", "lora", "v5p:2x2x2"),
)
CASES = (
  *SINGLE[:2],
  *(("llama_3_1_8b", "precomputed", t) for t in DOUBLING),
  *SINGLE[2:],
  *(("llama_3_1_8b", m, t) for m in ("live", "lora") for t in DOUBLING),
)


def key(config: str, mode: str, topology: str) -> str:
  return f"{config}/{mode}/{topology}"


def load() -> dict[str, Any]:
  if not DATA.is_file():
    return {}
  return json.loads(DATA.read_text(encoding="utf-8"))


def compile_cases(limit: float) -> int:
  """Compiles what is missing, starting none after `limit` seconds.

  Returns:
    How many are missing still.
  """
  sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]
  import compile_tpu

  from prefjax import config as config_lib

  results = load()
  begin = time.monotonic()
  for case in CASES:
    if key(*case) in results:
      continue
    if time.monotonic() - begin > limit:
      break
    name, mode, topology = case
    module = importlib.import_module(f"configs.scale.{name}")
    config = config_lib.parse(module.get_config(_ARGUMENTS[mode]))
    result = compile_tpu.measure(config, topology, rows=1)
    print(compile_tpu.report(result), flush=True)
    results[key(*case)] = result
    scratch = DATA.with_suffix(".partial")
    text = json.dumps(results, indent=1, sort_keys=True)
    scratch.write_text(f"{text}\n", encoding="utf-8")
    os.replace(scratch, DATA)
  return sum(key(*case) not in results for case in CASES)


def _memory(result: dict[str, Any] | None) -> str:
  """GiB a chip; bold where it does not fit."""
  if result is None:
    return ""
  if result["peak_bytes"] is None:
    return "**does not fit**"
  text = f"{result['peak_bytes'] / GIB:.1f}"
  return text if result["fits"] else f"**{text}**"


def _flops(result: dict[str, Any] | None) -> str:
  if result is None or result["error"]:
    return ""
  return f"{result['flops'] / 1e12:.0f}"


def _chips(topology: str) -> int:
  count = 1
  for side in topology.partition(":")[2].split("x"):
    count *= int(side)
  return count


def doubling_table(results: dict[str, Any]) -> str:
  """Memory and products of a chip as chips double."""
  numbers = [_chips(topology) for topology in DOUBLING]
  lines = [
    "| DPO of Llama-3.1-8B | a chip's | "
    + " | ".join(str(n) for n in numbers)
    + " |",
    "| --- | --- |" + " ---: |" * len(numbers),
  ]
  for mode, words in MODES.items():
    found = [results.get(key("llama_3_1_8b", mode, t)) for t in DOUBLING]
    for title, cell in (("GiB", _memory), ("TFLOP", _flops)):
      cells = [cell(result) for result in found]
      lines.append(f"| {words} | {title} | " + " | ".join(cells) + " |")
      words = ""
  return "\n".join(lines)


def single_table(results: dict[str, Any]) -> str:
  """Single slices in full."""
  lines = [
    "| model | mode | slice | arguments GiB | temporaries GiB | peak GiB"
    " | of | fits | TFLOP | HBM GB | links GB | least s | share of peak |",
    "| --- | --- | --- |" + " ---: |" * 4 + " --- |" + " ---: |" * 5,
  ]
  for case in dict.fromkeys((*SINGLE, *CASES)):
    result = results.get(key(*case))
    if result is None:
      continue
    name, mode, topology = case
    limit = f"{result['hbm_bytes'] / GIB:.0f}"
    start = f"| {NAMES[name]} | {MODES[mode]} | {topology} |"
    if result["error"]:
      cells = ["", "", _memory(result), limit, "no", *[""] * 5]
    else:
      sent = sum(t["sent"] for t in result["collectives"].values())
      seconds, share = result["seconds"], result["utilisation"]
      cells = [
        f"{result['argument_bytes'] / GIB:.1f}",
        f"{result['temporary_bytes'] / GIB:.1f}",
        _memory(result),
        limit,
        "yes" if result["fits"] else "no",
        _flops(result),
        f"{result['bytes'] / 1e9:.0f}",
        f"{sent / 1e9:.0f}",
        f"{seconds['overlapped']:.1f} to {seconds['serial']:.1f}",
        f"{share['serial']:.0%} to {share['overlapped']:.0%}",
      ]
    lines.append(f"{start} " + " | ".join(cells) + " |")
  return "\n".join(lines)


def collectives_table(results: dict[str, Any]) -> str:
  """Collectives of the full-parameter step by kind."""
  kinds = sorted(
    {kind for r in results.values() for kind in r.get("collectives", {})}
  )
  lines = [
    "| slice | " + " | ".join(f"{kind} GB" for kind in kinds) + " |",
    "| --- |" + " ---: |" * len(kinds),
  ]
  for topology in ("v5e:4x4", *DOUBLING):
    result = results.get(key("llama_3_1_8b", "precomputed", topology))
    if result is None or result["error"]:
      continue
    cells = []
    for kind in kinds:
      traffic = result["collectives"].get(kind)
      cells.append(f"{traffic['bytes'] / 1e9:.2f}" if traffic else "")
    lines.append(f"| {topology} | " + " | ".join(cells) + " |")
  return "\n".join(lines)


def halvings(results: dict[str, Any]) -> list[tuple[int, float]]:
  """(chips, products of a chip relative to half those of half the chips)."""
  out = []
  for few, many in zip(DOUBLING, DOUBLING[1:], strict=False):
    pair = [
      results.get(key("llama_3_1_8b", "precomputed", t)) for t in (few, many)
    ]
    if all(r is not None and not r["error"] for r in pair):
      ratio = pair[1]["flops"] / (pair[0]["flops"] / 2)
      out.append((_chips(many), ratio))
  return out


def page(results: dict[str, Any]) -> str:
  """docs/scaling.md."""
  ratios = ", ".join(f"{n}: {ratio:.3f}" for n, ratio in halvings(results))
  return f"""# DPO on TPU slices

Made by `python scripts/scaling_table.py` from docs/scaling.json. The train
step that `prefjax train` runs was compiled ahead of time, on a machine without
a TPU, for slices of 4 to 512 chips (`scripts/compile_tpu.py`). Memory is the
compiler's own account; products, memory traffic and collectives are counted in
the optimised program, loops as often as they run, kernels by what they
multiply. Least time and share of the peak follow from published peaks of the
chips: all of it overlapping, or nothing. No step was timed.

A step is 512 pairs of 4,096 tokens: a prompt of 2,048 that is computed once and
two responses of 1,024. Weights, gradients and both moments of AdamW are
float32 and spread over all chips (`mesh.fsdp`), arithmetic is bfloat16, a
layer's activations are computed again in the backward pass, and a chip runs one
pair at a time (`train.micro_batches`). With LoRA the weights are frozen, and
the reference is the same weights without the adapter.

## As chips double

Bold is more than the chip has (TPU v5p: 95 GiB). Products include what the
backward pass computes again.

{doubling_table(results)}

Products of a chip, relative to half of those with half the chips, reference
precomputed: {ratios}.

## Slices

Llama-3.1-8B with its reference precomputed fits v5e:4x4 with 16 pairs a step:
12.8 of 16 GiB (`scripts/compile_tpu.py --topology=v5e:4x4
--config=configs/scale/llama_3_1_8b.py:pairs=16`). With 512 pairs in 32 parts
the gradients of the parts are summed in float32 beside all that, and the
smallest v5e slice is 4x8.

{single_table(results)}

## Collectives

Bytes of a chip in a step of Llama-3.1-8B, reference precomputed. Weights are
gathered in bfloat16 once a pass of each part of the batch; their gradients are
summed in float32. On slices of up to 32 chips the compiler does that by steps
of a ring inside the products (collective-permute); on larger ones it makes
all-reduces of both.

{collectives_table(results)}
"""


def readme(text: str, results: dict[str, Any]) -> str:
  """README with the table made anew between its two markers."""
  from prefjax.experiments import marks

  return marks.replace(text, BEGIN, END, doubling_table(results))


def main(argv: list[str]) -> int:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--compile", action="store_true")
  parser.add_argument(
    "--seconds", type=float, default=float("inf"), help="start none after it"
  )
  parser.add_argument("--check", action="store_true")
  args = parser.parse_args(argv)
  if args.compile:
    print(f"{compile_cases(args.seconds)} cases are missing")
  results = load()
  files = {
    PAGE: page(results),
    README: readme(README.read_text(encoding="utf-8"), results),
  }
  if args.check:
    return int(
      any(
        not path.is_file() or path.read_text(encoding="utf-8") != text
        for path, text in files.items()
      )
    )
  for path, text in files.items():
    path.write_text(text, encoding="utf-8")
  return 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
