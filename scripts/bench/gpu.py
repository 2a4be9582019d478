# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Log-prob kernels and a DPO step on a GPU.

Not run on the machines that this project is developed on, which have none;
its parts are tested on a CPU (`--small`). On a machine with a GPU:

  pip install -e '.[cuda]' torch
  python scripts/bench/gpu.py --out=gpu.json

Kernels, forward and backward at N = 16,384 rows, D = 4,096, V = 128,256 in
bfloat16: all logits at once, tiles in XLA, the Pallas kernel, Tokamax where
it is installed, and torch's cross-entropy in a process of its own. They take
turns, and a figure is a median over rounds. Then a DPO step with all weights
of the shape of Llama-3.2-1B: seconds, tokens and pairs a second, memory, and
the share of the GPU's own matrix product.
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
from typing import Any

# Shared with torch, and so that its peak means something.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import kernel  # noqa: E402
import optax  # noqa: E402
import protocol  # noqa: E402
import scaling  # noqa: E402

from prefjax import methods, models  # noqa: E402
from prefjax.models import flops  # noqa: E402
from prefjax.train import mesh as mesh_lib  # noqa: E402
from prefjax.train import placement  # noqa: E402
from prefjax.train import state as state_lib  # noqa: E402

HERE = pathlib.Path(__file__).parent
MIB = 1 << 20


def peak_bytes() -> int | None:
  """Most memory that JAX has had on the GPU; None where it does not say."""
  stats = jax.devices()[0].memory_stats()
  return stats and stats.get("peak_bytes_in_use")


def torch_worker(args) -> protocol.Worker | None:
  """Torch's side, where it is installed."""
  if importlib.util.find_spec("torch") is None:
    return None
  command = [sys.executable, str(HERE / "torch_loss_worker.py")]
  sizes = ("rows", "hidden", "vocab")
  command += [f"--{name}={getattr(args, name)}" for name in sizes]
  return protocol.Worker("torch", command + ["--cpu"] * args.small)


def measure_kernels(args) -> list[dict[str, Any]]:
  """One row a version."""
  dtype = jnp.bfloat16
  inputs = kernel.arguments(args, dtype)
  functions = kernel.versions(jax.default_backend())
  programs, rows = kernel.compile_all(args, dtype, functions, inputs)
  other = torch_worker(args)
  try:
    times: dict[str, list[float]] = {name: [] for name in programs}
    about_torch: dict[str, Any] = {"name": "torch", "dtype": "bfloat16"}
    if other is not None:
      about_torch.update(other.receive())
      times["torch"] = []
      rows.append(about_torch)
    peak = jax.jit(
      functools.partial(jnp.matmul, preferred_element_type="float32")
    )
    products = []
    for turn in range(args.rounds + 1):
      spent = {
        name: kernel.seconds_of(program, inputs)
        for name, program in programs.items()
      }
      products.append(kernel.seconds_of(peak, inputs[:2]))
      if other is not None:
        answer = other.ask(step=True)
        spent["torch"] = answer["seconds"]
        about_torch["peak_bytes"] = answer["peak_bytes"]
      for name, seconds in spent.items():
        if turn:  # the first round warms up
          times[name].append(seconds)
  finally:
    if other is not None:
      other.close()
  product = 2 * args.rows * args.hidden * args.vocab
  best = product / statistics.median(products[1:])
  for row in rows:
    if row["name"] in times:
      row["seconds"] = times[row["name"]]
      row["median_seconds"] = statistics.median(row["seconds"])
      models_run = 3 if row["name"].startswith("vocab_sum") else 1
      rate = models_run * 3 * product / row["median_seconds"]
      row["flops_per_second"] = rate
      row["matmul_flops_per_second"] = best
  return rows


def measure_step(args) -> dict[str, Any]:
  """A DPO step with stored references, weights and moments in float32."""
  config = models.preset("tiny" if args.small else "llama-3.2-1b")
  setting = scaling.Setting(
    groups=args.pairs,
    prompt=args.prompt,
    response=args.response,
    vocab=config.vocab_size,
  )
  model = models.Model(config)
  objective = methods.LanguageModelObjective(
    methods.get("dpo", beta=0.1),
    model,
    lambda key: methods.Init({"policy": model.init(key)}, {}, {}),
    compute=methods.Compute(dtype=jnp.bfloat16, remat="full"),
    reference="precomputed",
  )
  tx = optax.scale_by_adam()
  place = placement.Placement(mesh_lib.make_mesh(devices=jax.devices()[:1]))
  state = place.put(
    state_lib.create(objective, tx, 0), objective.sharding_rules
  )
  batch = place.batch(scaling.random_batch(setting))
  begin = time.perf_counter()
  run = place.lower(
    objective,
    tx,
    1e-6,
    micro_batches=args.pairs,
    state=state,
    still={},
    batch=batch,
  ).compile()
  compiling = time.perf_counter() - begin
  times = []
  for _ in range(args.rounds + 1):
    begin = time.perf_counter()
    state, metrics = run(state, {}, batch)
    jax.block_until_ready((state, metrics))
    times.append(time.perf_counter() - begin)
  seconds = statistics.median(times[1:])
  work = flops.train(config, setting.shape)
  return {
    "parameters": sum(x.size for x in jax.tree.leaves(state.params)),
    "shape": [args.pairs, 2, args.prompt, args.response],
    "compile_seconds": compiling,
    "seconds": times[1:],
    "median_seconds": seconds,
    "pairs_per_second": args.pairs / seconds,
    "tokens_per_second": setting.shape.tokens / seconds,
    "flops_per_second": work / seconds,
    "temporary_bytes": run.memory_analysis().temp_size_in_bytes,
    "peak_bytes": peak_bytes(),
  }


def main(argv: list[str]) -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--out", required=True, help="JSON file to write")
  parser.add_argument("--rows", type=int, default=16_384)
  parser.add_argument("--hidden", type=int, default=4096)
  parser.add_argument("--vocab", type=int, default=128_256)
  parser.add_argument("--pairs", type=int, default=4)
  parser.add_argument("--prompt", type=int, default=2048)
  parser.add_argument("--response", type=int, default=1024)
  parser.add_argument("--rounds", type=int, default=5)
  parser.add_argument(
    "--small", action="store_true", help="tiny, and on whatever is there"
  )
  args = parser.parse_args(argv)
  if args.small:
    args.rows, args.hidden, args.vocab = 64, 32, 512
    args.prompt, args.response = 16, 8
  elif jax.default_backend() != "gpu":
    raise SystemExit("gpu.py: JAX sees no GPU; --small tries it without")
  # First, while the peak is the step's alone.
  step = measure_step(args)
  rows = measure_kernels(args)
  result = {
    "arguments": vars(args),
    "device": jax.devices()[0].device_kind,
    "jax": jax.__version__,
    "kernels": rows,
    "step": step,
  }
  pathlib.Path(args.out).write_text(json.dumps(result, indent=1) + "\n")
  timed = [row for row in rows if row["name"] != "torch"]
  print(kernel.table(timed))
  for row in rows:
    if row["name"] == "torch":
      print(
        f"torch: {row['median_seconds']:.4f} s,"
        f" {row['peak_bytes'] / MIB:.0f} MiB at most"
      )
  best = next(r for r in rows if "matmul_flops_per_second" in r)
  share = step["flops_per_second"] / best["matmul_flops_per_second"]
  print(
    f"DPO step: {step['median_seconds']:.3f} s,"
    f" {step['tokens_per_second']:.0f} tokens/s,"
    f" {step['pairs_per_second']:.2f} pairs/s, {share:.0%} of the matrix"
    " product"
  )


if __name__ == "__main__":
  main(sys.argv[1:])
