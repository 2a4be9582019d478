# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Trains on a token file with PrefJAX and compares each step with TRL's run.

  python scripts/parity/compare.py --tokens=tokens.json --model=smollm2 \
    --trl=trl.json --out=parity.json

Takes several of TRL's runs, if they share their settings. Ends with status 1
where step 0 is not log 2 to 1e-5 or a loss differs by more than the
tolerance.
"""

import argparse
import math
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import jax_side
import optax
import token_files

from prefjax import methods, models
from prefjax.train import state as state_lib
from prefjax.train import step as step_lib

METRICS = (
  "loss",
  "grad_norm",
  "rewards/chosen",
  "rewards/rejected",
  "rewards/margins",
  "rewards/accuracies",
  "logps/chosen",
  "logps/rejected",
)


def run(
  content: dict[str, Any], path: str, settings: dict[str, Any], layout: str
) -> list[dict[str, float]]:
  """One record a step of the public train step, on TRL's settings."""
  model, params = models.from_pretrained(path)

  def init(key):
    del key
    # A copy: the step gives the policy's memory to its successor.
    reference = jax.tree.map(lambda x: jnp.array(x, copy=True), params)
    return methods.Init({"policy": params}, {"reference": reference}, {})

  objective = methods.LanguageModelObjective(
    methods.get(settings["loss_type"], beta=settings["beta"]),
    model,
    init,
    compute=methods.Compute(layout=layout),
  )
  tx = optax.scale_by_adam(
    b1=settings["b1"], b2=settings["b2"], eps=settings["eps"]
  )
  step = jax.jit(
    step_lib.make_train_step(objective, tx, settings["learning_rate"]),
    donate_argnums=0,
  )
  state = state_lib.create(objective, tx, 0)
  number = settings["steps"] * settings["batch_size"]
  batches = jax_side.pair_batches(
    content["pairs"][:number], settings["batch_size"]
  )
  rows = []
  for i, batch in enumerate(batches):
    state, metrics = step(state, batch)
    rows.append(
      {"step": i, **{name: float(metrics[name].mean()) for name in METRICS}}
    )
    print(f"step {i}  loss {rows[-1]['loss']:.6f}", flush=True)
  return rows


def table(ours: list[dict], theirs: list[dict]) -> str:
  """The comparison as a Markdown table."""
  lines = [
    "| step | TRL loss | PrefJAX loss | difference | TRL gradient norm"
    " | PrefJAX gradient norm | log-probs differ by |",
    "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
  ]
  for a, b in zip(theirs, ours, strict=True):
    logps = max(
      abs(a[name] - b[name]) for name in ("logps/chosen", "logps/rejected")
    )
    lines.append(
      f"| {a['step']} | {a['loss']:.6f} | {b['loss']:.6f}"
      f" | {b['loss'] - a['loss']:+.1e} | {a['grad_norm']:.4f}"
      f" | {b['grad_norm']:.4f} | {logps:.1e} |"
    )
  return "\n".join(lines)


def problems(
  ours: list[dict], theirs: list[dict], tolerance: float
) -> list[str]:
  """What is out of bounds, one line each."""
  found = []
  for name, rows in (("TRL", theirs), ("PrefJAX", ours)):
    gap = abs(rows[0]["loss"] - math.log(2))
    if not gap <= 1e-5:
      found.append(f"{name}: the loss of step 0 is log 2 to {gap:.1e} only")
  for a, b in zip(theirs, ours, strict=True):
    if not abs(a["loss"] - b["loss"]) <= tolerance:
      found.append(f"step {a['step']}: the losses differ by more")
  return found


def _shared_settings(runs: dict[str, Any]) -> dict[str, Any]:
  """What PrefJAX is to be run with."""
  found = []
  for content in runs.values():
    settings = dict(content["settings"])
    settings.pop("pad_gradient")  # of torch alone
    found.append(settings)
  if any(settings != found[0] for settings in found):
    raise SystemExit("--trl: the runs have different settings")
  return found[0]


def main(argv: list[str]) -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--tokens", required=True)
  parser.add_argument("--model", required=True, help="model directory")
  parser.add_argument(
    "--trl", required=True, nargs="+", help="results of trl_dpo.py"
  )
  parser.add_argument("--out", required=True)
  parser.add_argument("--layout", default="shared")
  parser.add_argument("--tolerance", type=float, default=1e-3)
  args = parser.parse_args(argv)
  runs = {path: token_files.read_json(path) for path in args.trl}
  settings = _shared_settings(runs)
  content = token_files.read_tokens(args.tokens)
  start = time.perf_counter()
  ours = run(content, args.model, settings, args.layout)
  seconds = time.perf_counter() - start
  found = []
  for path, theirs in runs.items():
    print(f"\n{path}")
    print(table(ours, theirs["steps"]))
    worst = max(
      abs(a["loss"] - b["loss"])
      for a, b in zip(theirs["steps"], ours, strict=True)
    )
    print(f"largest difference of a loss: {worst:.1e}")
    found += problems(ours, theirs["steps"], args.tolerance)
  token_files.write_json(
    args.out,
    {
      "settings": {**settings, "layout": args.layout},
      "versions": jax_side.versions(),
      "seconds": seconds,
      "trl": list(runs.values()),
      "prefjax": ours,
      "problems": found,
    },
  )
  if found:
    raise SystemExit("\n".join(found))


if __name__ == "__main__":
  main(sys.argv[1:])
