# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Token log-probs as Mosaic kernels for TPUs.

Forward: grid (row blocks, vocabulary blocks), an online logsumexp in scratch
memory, four statistics a row out. Backward: one kernel for the hidden
states, grid (row blocks, vocabulary blocks), and one for the head, grid
(vocabulary blocks, row blocks); each computes its logits again and
accumulates in float32 scratch. So both sums have one writer, the outer axis
of each grid may be split over cores, and a frozen head costs no second
kernel.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from prefjax.kernels import blocks as blocks_lib
from prefjax.kernels import chunked, tpu_kernels, vjp
from prefjax.kernels import problem as problem_lib

# Ids travel as float32, exact up to here.
_MOST_IDS = 1 << 24


@dataclasses.dataclass(frozen=True)
class Plan:
  """Static options of one call.

  Attributes:
    problem: what to compute.
    kind: device kind, None for the smallest blocks.
    block_rows, block_vocab: multiples of 128, None for the table.
    interpret: False, True, or `pltpu.InterpretParams`.
    wide: gradients come in float32, not rounded to the dtypes of inputs,
      because they are parts of larger sums.
  """

  problem: problem_lib.Problem
  kind: str | None = None
  block_rows: int | None = None
  block_vocab: int | None = None
  interpret: Any = False
  wide: bool = False

  def shape(
    self, step: str, x, weight, bias, segments: int | None = None
  ) -> tpu_kernels.Shape:
    """Static facts of one of the kernels "forward", "dx", "dw".

    Raises:
      ValueError: no blocks fit.
    """
    block = blocks_lib.pick(
      step,
      x.shape[1],
      x.dtype.itemsize,
      weight.dtype.itemsize,
      *_sizes(self.problem, x, weight),
      self.kind,
      self.block_rows,
      self.block_vocab,
      4 if self.wide else None,
    )
    return tpu_kernels.Shape(
      self.problem,
      *_sizes(self.problem, x, weight),
      block,
      bias is not None,
      segments,
    )

  def stats(self, x, weight, bias, targets):
    backup = chunked.make_plan(self.problem, *_sizes(self.problem, x, weight))
    run = vjp.backed(lambda *args: _stats(self, *args), backup.stats)
    return run(x, weight, bias, targets)

  def sums(self, x, weight, bias, targets, weights, segments, count, keep):
    sums, stats = _forward(
      self, x, weight, bias, targets, weights, segments, count
    )
    return sums, stats if keep else None

  def gradients(self, needs, x, weight, bias, targets, stats, cotangents):
    backup = chunked.make_plan(self.problem, *_sizes(self.problem, x, weight))
    run = vjp.backed(
      functools.partial(_gradients, self, needs),
      functools.partial(backup.gradients, needs),
    )
    return run(x, weight, bias, targets, stats, cotangents)


def _as_stored(plan: Plan, weight) -> tuple[Plan, Any, bool]:
  """The plan and head to compute with, and whether the head is transposed.

  TPUs keep a matrix in tiles of 8 x 128, with that axis innermost which
  leaves less of the last tiles empty: [D, 50257] lies in memory as
  [50257, D]. Kernels take their operands as written, so a transpose here
  is free, and without it the whole head would be copied.
  """

  def padded(major, minor):
    return (-(-major // 8) * 8) * (-(-minor // 128) * 128)

  rows, columns = weight.shape
  if padded(columns, rows) >= padded(rows, columns):
    return plan, weight, False
  problem = dataclasses.replace(
    plan.problem, transposed=not plan.problem.transposed
  )
  return dataclasses.replace(plan, problem=problem), weight.T, True


def _sizes(problem, x, weight) -> tuple[int, int]:
  return x.shape[0], problem.vocab_of(weight)


def _inputs(plan: Plan, shape: tpu_kernels.Shape, x, weight, bias, stays):
  """Arrays and block specs of x, head and bias, and the spec of [8, N].

  The grid is (rows, vocabulary) where the hidden states stay in vector
  memory, else (vocabulary, rows). What stays needs no second buffer.
  """
  n, v, d = shape.block.rows, shape.block.vocab, x.shape[1]

  def spec(size, index, is_resident=False):
    mode = pl.Buffered(1) if is_resident else None
    if stays == "x":
      return pl.BlockSpec(size, index, pipeline_mode=mode)
    return pl.BlockSpec(size, lambda j, i: index(i, j), pipeline_mode=mode)

  arrays = [x, weight]
  specs = [spec((n, d), lambda i, j: (i, 0), stays == "x")]
  if plan.problem.transposed:
    specs.append(spec((v, d), lambda i, j: (j, 0), stays == "w"))
  else:
    specs.append(spec((d, v), lambda i, j: (0, j), stays == "w"))
  if bias is not None:
    arrays.append(bias.astype(jnp.float32)[None, :])
    specs.append(spec((1, v), lambda i, j: (0, j)))
  return arrays, specs, spec((tpu_kernels.ROWS, n), lambda i, j: (0, i))


def _call(plan: Plan, kernel, shape, *, stays, outer="parallel", **options):
  grid = (
    pl.cdiv(shape.rows, shape.block.rows),
    pl.cdiv(shape.vocab, shape.block.vocab),
  )
  return pl.pallas_call(
    kernel,
    grid=grid if stays == "x" else grid[::-1],
    interpret=plan.interpret,
    compiler_params=pltpu.CompilerParams(
      dimension_semantics=(outer, "arbitrary"),
      vmem_limit_bytes=blocks_lib.generation(plan.kind).vmem,
    ),
    **options,
  )


def _forward(
  plan, x, weight, bias, targets, weights=None, segments=None, count=None
):
  """Sums [count] (None without weights) and the four statistics [N]."""
  plan, weight, _ = _as_stored(plan, weight)
  shape = plan.shape("forward", x, weight, bias, count)
  arrays, specs, row_spec = _inputs(plan, shape, x, weight, bias, "x")
  rows = [targets.astype(jnp.float32)]
  out_shape = [
    jax.ShapeDtypeStruct((tpu_kernels.ROWS, shape.rows), jnp.float32)
  ]
  out_specs = [row_spec]
  if count is not None:
    rows += [weights.astype(jnp.float32), segments.astype(jnp.float32)]
    size = (1, pl.cdiv(count, blocks_lib.LANES) * blocks_lib.LANES)
    out_shape.append(jax.ShapeDtypeStruct(size, jnp.float32))
    out_specs.append(pl.BlockSpec(size, lambda i, j: (0, 0)))
  stats, *sums = _call(
    plan,
    functools.partial(tpu_kernels.forward, shape),
    shape,
    stays="x",
    # Sums over all rows have one writer only if the rows come in order.
    outer="parallel" if count is None else "arbitrary",
    in_specs=[*specs, row_spec],
    out_specs=out_specs,
    out_shape=out_shape,
    scratch_shapes=[pltpu.VMEM((shape.block.rows, 1), jnp.float32)] * 4,
    name="token_logps_forward",
  )(*arrays, tpu_kernels.stack(rows))
  return sums[0][0, :count] if sums else None, tuple(stats[:4])


def _stats(plan, x, weight, bias, targets):
  return _forward(plan, x, weight, bias, targets)[1]


def _out_dtype(plan, primal):
  return jnp.dtype(jnp.float32) if plan.wide else primal.dtype


def _gradients(plan, needs, x, weight, bias, targets, stats, cotangents):
  plan, weight, is_flipped = _as_stored(plan, weight)
  a, b, e = cotangents
  with_entropy = e is not None
  e = jnp.zeros_like(a) if e is None else e
  rows = tpu_kernels.stack([targets.astype(jnp.float32), *stats, a, b, e])
  dx = dw = db = None
  if needs.x:
    shape = plan.shape("dx", x, weight, bias)
    arrays, specs, row_spec = _inputs(plan, shape, x, weight, bias, "x")
    dx = _call(
      plan,
      functools.partial(tpu_kernels.dx, shape, with_entropy),
      shape,
      stays="x",
      in_specs=[*specs, row_spec],
      out_specs=specs[0],
      out_shape=jax.ShapeDtypeStruct(x.shape, _out_dtype(plan, x)),
      scratch_shapes=[pltpu.VMEM(specs[0].block_shape, jnp.float32)],
      name="token_logps_dx",
    )(*arrays, rows)
  if needs.weight or needs.bias:
    shape = plan.shape("dw", x, weight, bias)
    arrays, specs, row_spec = _inputs(plan, shape, x, weight, bias, "w")
    out_shape = [jax.ShapeDtypeStruct(weight.shape, _out_dtype(plan, weight))]
    out_specs = [specs[1]]
    if bias is not None:
      out_shape.append(jax.ShapeDtypeStruct((1, shape.vocab), jnp.float32))
      out_specs.append(specs[2])
    dw, *db = _call(
      plan,
      functools.partial(tpu_kernels.dw, shape, with_entropy),
      shape,
      stays="w",
      in_specs=[*specs, row_spec],
      out_specs=out_specs,
      out_shape=out_shape,
      scratch_shapes=[pltpu.VMEM(specs[1].block_shape, jnp.float32)],
      name="token_logps_dw",
    )(*arrays, rows)
    db = db[0][0] if needs.bias else None
    dw = (dw.T if is_flipped else dw) if needs.weight else None
  return dx, dw, db


def make_plan(
  problem: problem_lib.Problem,
  x,
  weight,
  *,
  block_rows: int | None = None,
  block_vocab: int | None = None,
  kind: str | None = None,
  interpret: Any = False,
  wide: bool = False,
) -> Plan:
  """The plan of a call, once its blocks are known to fit.

  Raises:
    ValueError: an input is float64, there are no rows or too many ids, a
      block is not a multiple of 128, or none fit the device's vector memory.
  """
  if jnp.float64 in (x.dtype, weight.dtype):
    raise ValueError("impl='pallas_tpu': no float64; use impl='chunked'")
  rows, vocab = _sizes(problem, x, weight)
  if not rows or not vocab or vocab > _MOST_IDS:
    raise ValueError(
      f"impl='pallas_tpu': {rows} rows and {vocab} ids, but it takes 1 row or"
      f" more and up to {_MOST_IDS} ids; use impl='chunked'"
    )
  for name, value in (
    ("block_rows", block_rows),
    ("block_vocab", block_vocab),
  ):
    if value is not None and value % blocks_lib.LANES:
      raise ValueError(
        f"impl='pallas_tpu': {name}={value} is not a multiple of 128"
      )
  plan = Plan(problem, kind, block_rows, block_vocab, interpret, wide)
  for step in ("forward", "dx", "dw"):
    plan.shape(step, x, weight, None)
  return plan
