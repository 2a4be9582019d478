# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""PrefJAX's train step, one step at a time; started by `vs_trl.py`."""

import argparse
import dataclasses
import itertools
import pathlib
import sys
import time

import jax
import jax.numpy as jnp
import optax
import protocol

from prefjax import methods, models
from prefjax.core import types
from prefjax.methods import language_model
from prefjax.train import state as state_lib
from prefjax.train import step as step_lib

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "parity"))
import jax_side  # noqa: E402
import token_files  # noqa: E402


def _batches(pairs, size: int, number: int) -> list[types.Batch]:
  """Consecutive pairs, each batch padded to its own multiple of 32."""
  return [
    jax_side.pair_batches(pairs[i * size : (i + 1) * size], size, multiple=32)[
      0
    ]
    for i in range(number)
  ]


def _with_reference(batches, model, params, compute) -> list[types.Batch]:
  """The batches with the reference's log-probs stored in them."""
  run = jax.jit(
    lambda params, group: language_model.token_logps_of(
      model, params, group, compute=compute
    )
  )
  out = []
  for batch in batches:
    group = dataclasses.replace(
      batch.main, ref_token_logps=jax.device_get(run(params, batch.main))
    )
    out.append(dataclasses.replace(batch, groups={"main": group}))
  return out


def main(argv: list[str]) -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--tokens", required=True)
  parser.add_argument("--model", required=True)
  parser.add_argument("--dtype", choices=("fp32", "bf16"), required=True)
  parser.add_argument("--reference", required=True)
  parser.add_argument("--batch_size", type=int, required=True)
  parser.add_argument("--batches", type=int, required=True)
  parser.add_argument("--layout", default="shared")
  args = parser.parse_args(argv)
  channel = protocol.Channel()
  content = token_files.read_tokens(args.tokens)
  start = time.perf_counter()
  model, params = models.from_pretrained(args.model)
  compute = methods.Compute(
    layout=args.layout, dtype=jnp.bfloat16 if args.dtype == "bf16" else None
  )
  batches = _batches(content["pairs"], args.batch_size, args.batches)
  live = args.reference == "live"
  if not live:
    batches = _with_reference(batches, model, params, compute)

  def init(key):
    del key
    frozen = {}
    if live:
      copy = jax.tree.map(lambda x: jnp.array(x, copy=True), params)
      frozen = {"reference": copy}
    return methods.Init({"policy": params}, frozen, {})

  objective = methods.LanguageModelObjective(
    methods.get("dpo", beta=0.1),
    model,
    init,
    compute=compute,
    reference=args.reference,
  )
  tx = optax.scale_by_adam()
  step = jax.jit(
    step_lib.make_train_step(objective, tx, 1e-6), donate_argnums=0
  )
  state = state_lib.create(objective, tx, 0)
  count = sum(x.size for x in jax.tree.leaves(params))
  channel.send(
    ready=True,
    setup_seconds=time.perf_counter() - start,
    versions=jax_side.versions(),
    parameters=count,
    shapes=[list(batch.main.shape) for batch in batches],
  )
  for batch in itertools.cycle(batches):
    command = channel.wait()
    if command is None:
      return
    if command.get("reset_peak"):
      protocol.reset_peak()
    begin = time.perf_counter()
    state, metrics = step(state, batch)
    jax.block_until_ready((state, metrics))
    channel.send(
      seconds=time.perf_counter() - begin, peak_rss=protocol.peak_rss()
    )


if __name__ == "__main__":
  main(sys.argv[1:])
