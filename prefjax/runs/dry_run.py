# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax train --dry_run`: what a run would be, compiled and not run."""

import tempfile
from collections.abc import Sequence
from typing import Any

from prefjax import config as config_lib
from prefjax.runs import planning, remat

_GIB = 1 << 30


def _gib(value: float) -> str:
  return f"{value / _GIB:.2f} GiB"


def _rounds(part: planning.StageRun) -> list[str]:
  """What is drawn before it is learnt from."""
  stage = part.stage
  own, settings = stage.method.online, stage.config.rl
  if own is None:
    return []
  samples = own.samples or settings.samples
  return [
    f"  rounds      of {stage.source.global_batch_size} prompts with {samples}"
    f" samples of {settings.max_new_tokens} tokens at most; figures below are"
    " of an update alone"
  ]


def _lines(part: planning.StageRun) -> list[str]:
  """What there is to say of one stage."""
  run, stage = part.run, part.stage
  given = planning.inputs(part)
  plan = planning.plan(part, given)
  compiled = planning.compile_step(part, given)
  b, k, p, r = plan.shape
  device = run.place.mesh.devices.flat[0]
  memory = remat.device_bytes(device, plan.devices)
  axes = ", ".join(f"{axis}={n}" for axis, n in plan.mesh.items())
  title = f"stage {stage.name}: " if stage.name else ""
  config = stage.config
  lines = [
    f"{title}{config.method.name}, reference {part.mode}",
    f"  devices     {plan.devices} x {plan.kind} ({axes})",
    f"  parameters  {plan.weights:,}, trained {plan.trained:,}",
    f"  records     {len(stage.records.train):,} to learn from,"
    f" {len(stage.records.held_out):,} held out",
    f"  updates     {plan.updates:,} of {plan.rows} rows in"
    f" {config.train.micro_batches} parts",
    f"  largest     {b} groups of {k} responses, {p} + {k} x {r} slots",
    f"  tokens      {plan.tokens:,} slots an update at most,"
    f" {plan.updates * plan.tokens:,} in all",
    *_rounds(part),
    f"  keeps       {run.compute.remat} of the forward pass for the backward",
    f"  compiled    in {compiled.seconds:.1f} s a shape of batches;"
    f" {len(stage.source.batch_shapes())} shapes",
    f"  state       {_gib(plan.state_bytes)} a device",
  ]
  limit = "" if memory is None else f" of {_gib(memory)}"
  if compiled.error:
    taken = compiled.needs_bytes
    needs = "more than there is" if taken is None else _gib(taken)
    lines.append(f"  memory      does not fit: takes {needs}{limit}")
    return lines
  lines += [
    f"  memory      {_gib(compiled.argument_bytes)} arguments +"
    f" {_gib(compiled.temporary_bytes)} temporaries ="
    f" {_gib(compiled.peak_bytes)} a device{limit}",
    f"  products    {plan.useful_flops / plan.devices / 1e9:,.0f} GFLOP an"
    " update and device that are needed",
  ]
  time = planning.roofline(device, compiled)
  if time is not None:
    lines.append(
      f"  least time  {time.overlapped:.3f} s an update by the device's"
      " published peaks"
    )
  return lines


def report(
  config: config_lib.Config, devices: Sequence[Any] | None = None
) -> str:
  """The plan of a run, for a person; writes nothing that stays.

  Args:
    config: the run.
    devices: to run on; default all.

  Raises:
    PrefjaxError: one line about what is wrong and what to do.
  """
  with tempfile.TemporaryDirectory() as folder:
    stages = planning.parts(config, folder, devices)
    return "\n".join(line for part in stages for line in _lines(part))
