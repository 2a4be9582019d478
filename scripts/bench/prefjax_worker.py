# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""PrefJAX's train step, one step at a time; started by `versus` scripts."""

import argparse
import dataclasses
import itertools
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import protocol

from prefjax import methods, models
from prefjax.core import host, types
from prefjax.data import batches as batches_lib
from prefjax.data import examples
from prefjax.methods import language_model
from prefjax.models import flops
from prefjax.train import state as state_lib
from prefjax.train import step as step_lib

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "parity"))
import jax_side  # noqa: E402
import token_files  # noqa: E402

_MULTIPLE = 32  # slots of a batch; each has its own shape
_PACKED_MULTIPLE = 16  # packed slots of a group


def groups_of(
  pairs: Sequence[Mapping[str, Any]], merge: bool
) -> list[examples.EncodedGroup]:
  """One group a pair, or one for consecutive pairs of one chosen response."""
  out: list[list[Mapping[str, Any]]] = []
  for pair in pairs:
    last = out[-1][0] if out else None
    if merge and last and all(pair[k] == last[k] for k in ("prompt", "chosen")):
      out[-1].append(pair)
    else:
      out.append([pair])
  groups = []
  for same in out:
    responses = [same[0]["chosen"], *(pair["rejected"] for pair in same)]
    group = jax_side.encoded_group(same[0]["prompt"], responses)
    every = [[0, i + 1] for i in range(len(same))]
    groups.append(dataclasses.replace(group, pairs=np.asarray(every, np.int32)))
  return groups


def packed_slots(group: types.Group) -> tuple[int, int]:
  """Slots a group that hold the tokens of a batch."""
  b = group.shape[0]
  counts = (int(group.prompt_mask.sum()), int(group.token_mask.sum()))
  step = b * _PACKED_MULTIPLE
  return tuple(-(-count // step) * _PACKED_MULTIPLE for count in counts)


def batch_of(groups, pack: bool) -> types.Batch:
  """All groups, padded to the next multiples that hold them."""
  shape = batches_lib.Shape(
    k=max(len(g.lengths) for g in groups),
    p=-(-max(len(g.prompt) for g in groups) // _MULTIPLE) * _MULTIPLE,
    r=-(-max(g.longest for g in groups) // _MULTIPLE) * _MULTIPLE,
    m=max(len(g.pairs) for g in groups),
  )
  main = batches_lib.group(groups, shape)
  if pack:
    main = dataclasses.replace(main, packed=packed_slots(main))
  n = len(groups)
  return types.Batch(
    groups={"main": main},
    example_id=np.arange(n, dtype=np.int32),
    example_weight=np.ones(n, np.float32),
  )


def work_of(config, groups, references: int) -> dict[str, float]:
  """Pairs, real tokens and useful operations of a batch."""
  total = tokens = 0.0
  for group in groups:
    p = len(group.prompt)
    alone = flops.train(config, flops.Shape(1, 0, p, 0), references=references)
    total += alone
    tokens += p + len(group.tokens)
    for n in group.lengths:
      both = flops.Shape(1, 1, p, int(n))
      total += flops.train(config, both, references=references) - alone
  return {
    "pairs": sum(len(group.pairs) for group in groups),
    "tokens": tokens,
    "flops": total,
  }


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


def _compiled(step, state, batches):
  """(one program a batch, seconds, most bytes of temporaries)."""
  programs: dict[Any, Any] = {}
  begin, most = time.perf_counter(), 0
  for batch in batches:
    key = str(jax.tree.map(np.shape, batch))
    if key not in programs:
      programs[key] = step.lower(state, batch).compile()
      memory = programs[key].memory_analysis()
      most = max(most, memory.temp_size_in_bytes)
  seconds = time.perf_counter() - begin
  return (
    [programs[str(jax.tree.map(np.shape, batch))] for batch in batches],
    seconds,
    most,
  )


def main(argv: list[str]) -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--tokens", required=True)
  parser.add_argument("--model", required=True)
  parser.add_argument("--dtype", choices=("fp32", "bf16"), required=True)
  parser.add_argument("--reference", required=True)
  parser.add_argument("--batch_size", type=int, required=True)
  parser.add_argument("--batches", type=int, required=True)
  parser.add_argument("--layout", default="shared")
  parser.add_argument("--merge", action="store_true")
  parser.add_argument("--pack", action="store_true")
  args = parser.parse_args(argv)
  channel = protocol.Channel()
  host.keep_memory()  # as `prefjax train` does
  content = token_files.read_tokens(args.tokens)
  start = time.perf_counter()
  model, params = models.from_pretrained(args.model)
  compute = methods.Compute(
    layout=args.layout, dtype=jnp.bfloat16 if args.dtype == "bf16" else None
  )
  size = args.batch_size
  parts = [
    groups_of(content["pairs"][i * size : (i + 1) * size], args.merge)
    for i in range(args.batches)
  ]
  batches = [batch_of(groups, args.pack) for groups in parts]
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
    step_lib.make_train_step(objective, tx, 1e-6),
    donate_argnums=0,
    compiler_options=host.compiler_options("cpu"),
  )
  state = state_lib.create(objective, tx, 0)
  count = sum(x.size for x in jax.tree.leaves(params))
  setup = time.perf_counter() - start
  programs, compiling, temporary = _compiled(step, state, batches)
  channel.send(
    ready=True,
    setup_seconds=setup,
    compile_seconds=compiling,
    temporary_bytes=temporary,
    versions=jax_side.versions(),
    parameters=count,
    shapes=[[*batch.main.shape, batch.main.packed] for batch in batches],
    work=[work_of(model.config, groups, int(live)) for groups in parts],
  )
  for batch, program in itertools.cycle(zip(batches, programs, strict=True)):
    command = channel.wait()
    if command is None:
      return
    if command.get("reset_peak"):
      protocol.reset_peak()
    begin = time.perf_counter()
    state, metrics = program(state, batch)
    jax.block_until_ready((state, metrics))
    channel.send(
      seconds=time.perf_counter() - begin, peak_rss=protocol.peak_rss()
    )


if __name__ == "__main__":
  main(sys.argv[1:])
