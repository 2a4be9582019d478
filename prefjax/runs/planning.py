# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a run will need, before it begins: compiled, and nothing run.

The train step of the config is compiled for the devices, which need not be
there, and the compiler's own figures are read off: memory of a device,
products, traffic. No weight is loaded.
"""

import contextlib
import dataclasses
import math
import re
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding

from prefjax import config as config_lib
from prefjax.core import types
from prefjax.models import flops as flops_lib
from prefjax.models import splash
from prefjax.runs import chips, hlo, stage_kinds, stage_run
from prefjax.runs import run as run_lib
from prefjax.train import mesh as mesh_lib

Run = run_lib.Run
StageRun = stage_run.StageRun

# Steps that are looked at for one of the largest bucket.
_LOOK = 4096


@dataclasses.dataclass(frozen=True)
class Plan:
  """One stage on some devices.

  Attributes:
    stage: its name, "" for a run of one.
    updates: of the stage.
    rows: of a batch, over all devices.
    shape: (B, K, P, R) of the largest batch of the main group.
    tokens: slots of such a batch that pass through the layers.
    weights: parameters of the decoder.
    trained: parameters that are trained.
    state_bytes: of parameters, frozen roles, optimiser and method state on
      one device.
    devices: how many.
    kind: what they are.
    mesh: axis -> size.
    useful_flops: of a step, over all devices: no pads left out, nothing
      computed twice.
  """

  stage: str
  updates: int
  rows: int
  shape: tuple[int, int, int, int]
  tokens: int
  weights: int
  trained: int
  state_bytes: int
  devices: int
  kind: str
  mesh: dict[str, int]
  useful_flops: float


@dataclasses.dataclass(frozen=True)
class Compiled:
  """What the compiler says of a stage's step; bytes and FLOPs of one device.

  Attributes:
    seconds: it took.
    argument_bytes, output_bytes, alias_bytes, temporary_bytes: its own
      account; arguments that are donated are outputs too, under `alias`.
    cost: what the program does.
    error: why it could not, or None; then the others are 0.
    needs_bytes: what a program that does not fit would have taken, or None.
  """

  seconds: float
  argument_bytes: int = 0
  output_bytes: int = 0
  alias_bytes: int = 0
  temporary_bytes: int = 0
  cost: hlo.Cost = dataclasses.field(default_factory=hlo.Cost)
  error: str | None = None
  needs_bytes: float | None = None

  @property
  def peak_bytes(self) -> int:
    """Arguments, results that are no arguments, and temporaries."""
    return (
      self.argument_bytes
      + self.output_bytes
      - self.alias_bytes
      + self.temporary_bytes
    )


def _size(tree: Any) -> int:
  return sum(math.prod(x.shape) for x in jax.tree.leaves(tree))


def _device_bytes(tree: Any) -> int:
  """Of arrays with shardings, on one device."""
  return sum(
    math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize
    for x in jax.tree.leaves(tree)
  )


def _batch(part: StageRun) -> types.Batch:
  """A host batch of the largest bucket that comes, as shapes."""
  source = part.stage.source
  steps = min(_LOOK, source.num_steps or _LOOK, part.stage.stop)
  levels = [source.level(step) for step in range(max(steps, 1))]
  batch = part.example_batch(int(np.argmax(levels)))
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(np.shape(x), np.asarray(x).dtype), batch
  )


def _spread(tree: Any, sharding: NamedSharding) -> Any:
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
  )


def _still(part: StageRun) -> dict[str, Any]:
  """Frozen roles that never change, as shapes with shardings."""
  run = part.run
  names = {"base"} if run.has_adapter else set()
  if part.mode == "live" and not run.has_adapter:
    names = {"reference"}
  shapes = run.source.model.shapes(run.source.dtype)
  placed = run.place.shardings(shapes, run_lib.RULES)
  weights = jax.tree.map(
    lambda s, at: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=at),
    shapes,
    placed,
  )
  return {name: weights for name in names - set(part.objective.moving)}


@dataclasses.dataclass(frozen=True)
class Inputs:
  """Shapes, with shardings, of what a stage's step is called with."""

  state: Any
  still: dict[str, Any]
  batch: Any


def inputs(part: StageRun) -> Inputs:
  """What the step of a stage is called with, as shapes."""
  run = part.run
  return Inputs(
    state=part.template(),
    still=_still(part),
    batch=_spread(_batch(part), mesh_lib.batch_sharding(run.place.mesh)),
  )


def plan(part: StageRun, given: Inputs) -> Plan:
  """The plan of a stage; compiles nothing."""
  run, stage = part.run, part.stage
  mesh = run.place.mesh
  group = given.batch.groups[stage.method.inputs[0]]
  b, k, p, r = group.shape
  decoder = run.source.model.config
  shape = flops_lib.Shape(b, k, p, r, run.compute.layout == "shared")
  # Own samples come with the reference's log-probs.
  is_live = part.mode == "live" and stage.method.online is None
  return Plan(
    stage=stage.name,
    updates=stage.stop - stage.start,
    rows=b,
    shape=(b, k, p, r),
    tokens=b * sum(group.packed) if group.packed else int(shape.tokens),
    weights=_size(run.source.model.shapes()),
    trained=_size(given.state.params),
    state_bytes=_device_bytes((given.state, given.still)),
    devices=mesh.size,
    kind=mesh.devices.flat[0].device_kind,
    mesh={axis: int(size) for axis, size in mesh.shape.items()},
    useful_flops=flops_lib.train(
      decoder, shape, references=int(is_live), adapter=run.has_adapter
    ),
  )


def _target(device: Any):
  """Where the program is for: shown to everything that goes by platform."""
  if device.platform == jax.default_backend():
    return contextlib.nullcontext()
  return jax.default_device(device)


def compile_step(part: StageRun, given: Inputs) -> Compiled:
  """Compiles a stage's step; a program that does not fit is no error."""
  run = part.run
  begin = time.perf_counter()
  with _target(run.place.mesh.devices.flat[0]):
    lowered = run.place.lower(
      part.objective,
      part.tx,
      stage_run.make_schedule(part.stage),
      micro_batches=part.stage.config.train.micro_batches,
      state=given.state,
      still=given.still,
      batch=given.batch,
    )
    try:
      compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
      if "RESOURCE_EXHAUSTED" not in str(error):
        raise
      return Compiled(
        time.perf_counter() - begin,
        error=str(error).partition("\n")[0],
        needs_bytes=_needs(str(error)),
      )
  seconds = time.perf_counter() - begin
  memory = compiled.memory_analysis()
  group = given.batch.groups[part.stage.method.inputs[0]]
  return Compiled(
    seconds=seconds,
    argument_bytes=memory.argument_size_in_bytes,
    output_bytes=memory.output_size_in_bytes,
    alias_bytes=memory.alias_size_in_bytes,
    temporary_bytes=memory.temp_size_in_bytes,
    cost=hlo.analyse(compiled.as_text(), kernel_flops(group.shape)),
  )


_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def _needs(message: str) -> float | None:
  """Bytes that the compiler says a program takes, at the least."""
  found = re.search(r"Used ([\d.]+)([KMGT]) of", message) or re.search(
    r"required for HLO temporaries \(([\d.]+)([KMGT])\)", message
  )
  return float(found[1]) * _UNITS[found[2]] if found else None


# Products of each pass of a kernel: the backward ones compute the first
# again. They are multiples of what one product takes.
_LOGP_PASSES = {"forward": 1, "dx": 2, "dw": 2}
_SPLASH_PASSES = {"fwd": 2, "dq": 3, "dkv": 4}


def kernel_flops(shape: tuple[int, int, int, int]) -> hlo.KernelFlops:
  """Counts the products of this project's kernels and of JAX's attention.

  Args:
    shape: (B, K, P, R), which says how many scores a kernel skips.
  """
  _, k, p, r = shape

  def count(instruction: hlo.Instruction, shapes) -> float:
    name = instruction.name
    logp = re.match(r"token_logps_(forward|dx|dw)", name)
    if logp:
      x, w = (s[0].dims for s in shapes[:2])
      rows = x[0]
      return _LOGP_PASSES[logp[1]] * 2.0 * rows * w[0] * w[1]
    attention = re.match(r"splash_m[hq]a_(fwd|dq|dkv)", name)
    if attention:
      wide = [s[0].dims for s in shapes if s and len(s[0].dims) >= 3]
      *_, heads, length, size = max(wide, key=math.prod)
      batch = math.prod(max(wide, key=math.prod)[:-3])
      if splash.slots(p + k * r) == length:
        seen = flops_lib.Shape(1, k, p, r).visible(None)
      else:
        seen = length * (length + 1) / 2
      return _SPLASH_PASSES[attention[1]] * 2.0 * batch * heads * seen * size
    return 0.0

  return count


def roofline(device: Any, compiled: Compiled) -> chips.Roofline | None:
  """Least seconds of a step on a device that the table knows."""
  spec = chips.chip(device)
  if spec is None or compiled.error:
    return None
  sent = sum(t.sent for t in compiled.cost.collectives.values())
  return chips.roofline(spec, compiled.cost.flops, compiled.cost.bytes, sent)


def parts(
  config: config_lib.Config, folder: Any, devices: Sequence[Any] | None = None
) -> list[StageRun]:
  """The stages of a run, with nothing loaded and nothing run.

  Args:
    config: the run.
    folder: where records of the built-in language are written.
    devices: attached or described by a topology; default all.
  """
  run = Run(config, folder, devices)
  return [stage_kinds.make(run, stage) for stage in run.stages]
