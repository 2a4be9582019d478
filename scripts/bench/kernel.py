# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Time and memory of token log-probs, forward and backward.

Compares the plain version, which makes all logits, with those that make
them tile by tile, and with Tokamax where it is installed. All take turns,
round by round, so that a slower machine slows each; a figure is the median
over rounds. Rates count three products (one forward, two backward) whatever
a version computes again, and are set against the machine's own matrix
product of the same operands, measured in the same rounds.

  python scripts/bench/kernel.py --out=kernel.json
  python scripts/bench/kernel.py --topology=v5e:2x2 --rows=16384 \
    --hidden=4096 --vocab=128256 --dtypes bfloat16 --out=kernel_v5e.json

With --topology nothing runs: each version is compiled for a TPU that need
not be there (pip install 'jax[tpu]'), and only memory is reported.
"""

import argparse
import functools
import importlib.util
import json
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies

from prefjax import kernels
from prefjax.kernels import integrands

MIB = 1 << 20


def ours(impl: str) -> Callable[..., jax.Array]:
  """The summed log-prob of all targets, by one implementation."""

  def total(x, w, targets):
    out = kernels.token_logps(x, w, targets, impl=impl, entropy=False)
    return jnp.sum(out.logps)

  return total


def tokamax_loss(platform: str) -> Callable[..., jax.Array]:
  """The same from Tokamax, whose loss is the negative."""
  import tokamax  # only where it is installed
  from absl import flags

  if not flags.FLAGS.is_parsed():  # it has flags of its own, none needed
    flags.FLAGS(sys.argv[:1])
  implementation = "mosaic_tpu" if platform == "tpu" else "xla"

  def total(x, w, targets):
    return -tokamax.linear_softmax_cross_entropy_loss(
      x, targets, w, implementation=implementation
    )

  return total


def streams_total(impl: str) -> Callable[..., jax.Array]:
  """A sum over the whole vocabulary for three models of one shape."""

  def total(x, w, targets):
    del targets
    xs = [x, x + jnp.asarray(0.01, x.dtype), x * jnp.asarray(0.99, x.dtype)]
    out = kernels.vocab_sum(
      integrands.expected_advantage, xs, [w] * 3, impl=impl
    )
    return jnp.sum(out.total)

  return total


def versions(platform: str) -> dict[str, Callable[..., jax.Array]]:
  """What is compared, by name."""
  found = {"naive": ours("reference"), "chunked": ours("chunked")}
  if platform in ("tpu", "gpu"):
    found[f"pallas_{platform}"] = ours(f"pallas_{platform}")
  if importlib.util.find_spec("tokamax"):
    found["tokamax"] = tokamax_loss(platform)
  found["vocab_sum naive"] = streams_total("reference")
  found["vocab_sum chunked"] = streams_total("chunked")
  return found


def arguments(args, dtype, device=None):
  """Random arguments, or their shapes on a device that is not there."""
  shapes = (
    ((args.rows, args.hidden), dtype),
    ((args.hidden, args.vocab), dtype),
    ((args.rows,), jnp.int32),
  )
  if device is not None:
    sharding = jax.sharding.SingleDeviceSharding(device)
    return [jax.ShapeDtypeStruct(*s, sharding=sharding) for s in shapes]
  rng = np.random.default_rng(0)
  x = rng.standard_normal(shapes[0][0], np.float32)
  w = rng.standard_normal(shapes[1][0], np.float32) / np.sqrt(args.hidden)
  targets = rng.integers(0, args.vocab, args.rows)
  return [
    jnp.asarray(x, dtype),
    jnp.asarray(w, dtype),
    jnp.asarray(targets, jnp.int32),
  ]


def compile_all(args, dtype, functions, inputs):
  """Compiled programs and what the compiler says of their memory."""
  programs, rows = {}, []
  for name, function in functions.items():
    row: dict[str, Any] = {"name": name, "dtype": np.dtype(dtype).name}
    rows.append(row)
    begin = time.perf_counter()
    try:
      program = (
        jax.jit(jax.value_and_grad(function, (0, 1))).lower(*inputs).compile()
      )
    except Exception as error:  # one that cannot must not stop the others
      row["error"] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
      continue
    row["compile_seconds"] = time.perf_counter() - begin
    memory = program.memory_analysis()
    row["temporary_bytes"] = memory.temp_size_in_bytes
    row["output_bytes"] = memory.output_size_in_bytes
    row["logits_bytes"] = args.rows * args.vocab * np.dtype(dtype).itemsize
    programs[name] = program
  return programs, rows


def seconds_of(program, inputs) -> float:
  begin = time.perf_counter()
  jax.block_until_ready(program(*inputs))
  return time.perf_counter() - begin


def measure(args, dtype) -> list[dict[str, Any]]:
  """One row a version: compiled, then timed in turns."""
  if args.topology:
    device = topologies.get_topology_desc(
      platform="tpu", topology_name=args.topology
    ).devices[0]
    inputs = arguments(args, dtype, device)
    with jax.default_device(device):
      return compile_all(args, dtype, versions("tpu"), inputs)[1]
  inputs = arguments(args, dtype)
  functions = versions(jax.default_backend())
  programs, rows = compile_all(args, dtype, functions, inputs)
  peak = jax.jit(
    functools.partial(jnp.matmul, preferred_element_type="float32")
  )
  turns = {"peak": peak, **programs}
  times: dict[str, list[float]] = {name: [] for name in turns}
  for turn in range(args.rounds + 1):
    for name, program in turns.items():
      given = inputs[:2] if name == "peak" else inputs
      spent = seconds_of(program, given)
      if turn:  # the first round warms up
        times[name].append(spent)
  product = 2 * args.rows * args.hidden * args.vocab
  best = product / statistics.median(times["peak"])
  for row in rows:
    if row["name"] not in programs:
      continue
    row["seconds"] = times[row["name"]]
    row["median_seconds"] = statistics.median(row["seconds"])
    models = 3 if row["name"].startswith("vocab_sum") else 1
    row["flops_per_second"] = models * 3 * product / row["median_seconds"]
    row["matmul_flops_per_second"] = best
  return rows


def interpreted(dtype) -> dict[str, float]:
  """How far the Pallas kernels, interpreted, are from the plain version."""
  small = argparse.Namespace(rows=200, hidden=72, vocab=1001)
  inputs = arguments(small, dtype)

  def run(impl):
    return jax.jit(jax.value_and_grad(ours(impl), (0, 1)))(*inputs)

  want = run("reference")
  worst = {}
  for impl in ("pallas_tpu", "pallas_gpu"):
    gaps = jax.tree.map(
      lambda a, b: float(
        jnp.max(jnp.abs(a.astype(jnp.float32) - b.astype(jnp.float32)))
      ),
      run(impl),
      want,
    )
    worst[impl] = max(jax.tree.leaves(gaps))
  return worst


def table(rows: list[dict[str, Any]]) -> str:
  """The rows as a Markdown table."""
  lines = [
    "| version | dtype | seconds | TFLOP/s | share of matmul | temporaries MiB"
    " | share of logits | outputs MiB | compile s |",
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
  ]
  for row in rows:
    if "error" in row:
      lines.append(f"| {row['name']} | {row['dtype']} | {row['error']} |")
      continue
    cells = [row["name"], row["dtype"], "-", "-", "-"]
    if "median_seconds" in row:
      rate = row["flops_per_second"]
      cells[2:] = [
        f"{row['median_seconds']:.3f}",
        f"{rate / 1e12:.3f}",
        f"{rate / row['matmul_flops_per_second']:.2f}",
      ]
    cells += [
      f"{row['temporary_bytes'] / MIB:.1f}",
      f"{row['temporary_bytes'] / row['logits_bytes']:.3f}",
      f"{row['output_bytes'] / MIB:.1f}",
      f"{row['compile_seconds']:.1f}",
    ]
    lines.append("| " + " | ".join(cells) + " |")
  return "\n".join(lines)


def main(argv: list[str]) -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--out", required=True, help="JSON file to write")
  parser.add_argument("--rows", type=int, default=1024)
  parser.add_argument("--hidden", type=int, default=576)
  parser.add_argument("--vocab", type=int, default=49_152)
  parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
  parser.add_argument("--rounds", type=int, default=5)
  parser.add_argument(
    "--topology", help="compile for this TPU slice, e.g. v5e:2x2; run nothing"
  )
  args = parser.parse_args(argv)
  if args.topology:
    # Or the compiler asks the network what machine this is.
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
  result: dict[str, Any] = {"arguments": vars(args), "rows": []}
  for name in args.dtypes:
    dtype = jnp.dtype(name)
    result["rows"] += measure(args, dtype)
    if not args.topology:
      gaps = interpreted(dtype)
      result.setdefault("interpreted_gaps", {})[name] = gaps
      for impl, gap in gaps.items():
        print(f"{impl} interpreted, {name}: largest difference {gap:.2e}")
    pathlib.Path(args.out).write_text(json.dumps(result, indent=1) + "\n")
  print(table(result["rows"]))


if __name__ == "__main__":
  main(sys.argv[1:])
