# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Costs read from programs: written by hand, and by the compiler."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from prefjax.runs import hlo

# A loop of 3 rounds as TPUs write it: no trip count, a product as a
# convolution, one gather spread over two fusions, attributes on own lines.
_TPU = """HloModule jit_f, is_scheduled=true

%gather_one (p0: bf16[2,8]) -> bf16[16,8] {
  %p0 = bf16[2,8]{1,0} parameter(0)
  ROOT %ag.1 = bf16[16,8]{1,0} all-gather(%p0), channel_id=7, \
replica_groups=mesh['a'=8,'b'=2] {'a'}, dimensions={0}
}

%gather_two (p0.2: bf16[2,8]) -> bf16[16,8] {
  %p0.2 = bf16[2,8]{1,0} parameter(0)
  ROOT %ag.2 = bf16[16,8]{1,0} all-gather(%p0.2), channel_id=7, \
replica_groups=mesh['a'=8,'b'=2] {'a'}, dimensions={0}
}

%slice_it (p0.3: f32[5,4,4], p1.3: s32[]) -> f32[4,4] {
  %p0.3 = f32[5,4,4]{2,1,0} parameter(0)
  %p1.3 = s32[] parameter(1)
  %zero = s32[] constant(0)
  %one = f32[1,4,4]{2,1,0} dynamic-slice(%p0.3, %p1.3, %zero, %zero), \
dynamic_slice_sizes={1,4,4}
  ROOT %flat = f32[4,4]{1,0} bitcast(%one)
}

%body (p: (s32[], bf16[2,8], f32[5,4,4])) -> (s32[], bf16[2,8], f32[5,4,4]) {
  %p = (s32[], bf16[2,8]{1,0}, f32[5,4,4]{2,1,0}) parameter(0)
  %i = s32[] get-tuple-element(%p), index=0
  %x = bf16[2,8]{1,0} get-tuple-element(%p), index=1
  %w = f32[5,4,4]{2,1,0} get-tuple-element(%p), index=2
  %step = s32[] constant(2)
  %f1 = bf16[16,8]{1,0} fusion(%x), kind=kOutput, calls=%gather_one
  %f2 = bf16[16,8]{1,0} fusion(%x), kind=kOutput, calls=%gather_two
  %conv = f32[16,16]{1,0} convolution(%f1, %f2), dim_labels=bf_oi->bf
  %s = f32[4,4]{1,0:T(8,128)S(1)} fusion(%w, %i), kind=kLoop, calls=%slice_it
  %kernel.3 = f32[16]{0} custom-call(%f1, %s), \
custom_call_target="tpu_custom_call", frontend_attributes={note={
}}, metadata={op_name="kernel"}
  %next = s32[] add(%i, %step)
  ROOT %t = (s32[], bf16[2,8]{1,0}, f32[5,4,4]{2,1,0}) tuple(%next, %x, %w)
}

%condition (p.c: (s32[], bf16[2,8], f32[5,4,4])) -> pred[] {
  %p.c = (s32[], bf16[2,8]{1,0}, f32[5,4,4]{2,1,0}) parameter(0)
  %i.c = s32[] get-tuple-element(%p.c), index=0
  %bound = s32[] constant(7)
  ROOT %less = pred[] compare(%i.c, %bound), direction=LT
}

ENTRY %main (x.e: bf16[2,8], w.e: f32[5,4,4]) -> bf16[2,8] {
  %x.e = bf16[2,8]{1,0} parameter(0)
  %w.e = f32[5,4,4]{2,1,0} parameter(1)
  %begin = s32[] constant(1)
  %inputs = (s32[], bf16[2,8]{1,0}, f32[5,4,4]{2,1,0}) tuple(%begin, %x.e, %w.e)
  %loop = (s32[], bf16[2,8]{1,0}, f32[5,4,4]{2,1,0}) while(%inputs), \
condition=%condition, body=%body
  ROOT %out = bf16[2,8]{1,0} get-tuple-element(%loop), index=1
}
"""


def test_a_program_by_hand():
  seen = []

  def kernels(instruction, shapes):
    seen.append((instruction.name, [s[0].dims for s in shapes]))
    return 1000.0

  cost = hlo.analyse(_TPU, kernels)
  assert seen == [("kernel.3", [(16, 8), (4, 4)])]
  rounds = 3  # 1, 3, 5
  assert cost.flops == rounds * (2 * 16 * 16 * 8 + 1000)
  assert set(cost.collectives) == {"all-gather"}
  gather = cost.collectives["all-gather"]
  assert (gather.count, gather.bytes) == (rounds, rounds * 16 * 8 * 2)
  assert gather.sent == gather.bytes * 7 / 8
  small, large, out = 2 * 8 * 2, 16 * 8 * 2, 16 * 16 * 4
  each = 2 * (small + large)  # the fusions
  each += 2 * large + out  # the product
  each += 4 * 4 * 4 + 4  # one slice is read; the result stays in the core
  each += large + 16 * 4  # the kernel: what it reads of the core is free
  each += 3 * 4  # the counter
  assert cost.bytes == rounds * each
  assert cost.unknown_loops == 0


@pytest.mark.parametrize(
  "change, steps, unknown",
  (
    (("constant(7)", "constant(1)"), 0, 0),
    (("direction=LT", "direction=NE"), 1, 1),
    (("body=%body", 'body=%body, x={"known_trip_count":{"n":"9"}}'), 9, 0),
  ),
)
def test_lengths_of_loops(change, steps, unknown):
  cost = hlo.analyse(_TPU.replace(*change))
  assert cost.flops == steps * 2 * 16 * 16 * 8
  assert cost.unknown_loops == unknown


@pytest.mark.parametrize(
  "text, size",
  (
    ("replica_groups={{0,1,2},{3,4,5}}", 3),
    ("replica_groups=[4,2]<=[8]", 2),
    ("replica_groups=mesh['a'=3,'b'=5] {'a','b'}", 15),
    ("to_apply=%add", 1),
  ),
)
def test_groups(text, size):
  assert hlo._group_size(text) == size


def test_a_batched_product_as_a_convolution():
  """TPUs make the batch a spatial axis on which only the diagonal counts."""
  line = (
    "ENTRY %e (a: f32[4,3,5], b: f32[4,5,7]) -> f32[4,3,7] {\n"
    "  %a = f32[4,3,5]{2,1,0} parameter(0)\n"
    "  %b = f32[4,5,7]{2,1,0} parameter(1)\n"
    "  ROOT %c = f32[4,3,7]{2,1,0} convolution(%a, %b),"
    " window={size=4 stride=3 lhs_dilate=4}, dim_labels=0bf_0io->0bf\n}\n"
  )
  assert hlo.analyse(line).flops == 2 * 4 * 3 * 5 * 7


def test_the_compiler_of_this_machine():
  """A scan of products: XLA itself counts its body once."""
  n, layers = 64, 5

  def f(x, ws):
    return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, ws)[0]

  compiled = (
    jax.jit(f)
    .lower(
      jax.ShapeDtypeStruct((n, n), jnp.float32),
      jax.ShapeDtypeStruct((layers, n, n), jnp.float32),
    )
    .compile()
  )
  text = compiled.as_text()
  cost = hlo.analyse(text)
  custom = "custom-call" in text  # oneDNN's product, if XLA calls it
  if not custom:
    assert cost.flops == layers * 2 * n**3
  assert cost.unknown_loops == 0
  assert cost.bytes >= layers * 3 * 4 * n * n


def test_collectives_of_this_machine():
  mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
  rows = NamedSharding(mesh, P("data"))
  whole = NamedSharding(mesh, P())
  compiled = (
    jax.jit(lambda x: x * 2, in_shardings=rows, out_shardings=whole)
    .lower(jax.ShapeDtypeStruct((16, 4), jnp.float32))
    .compile()
  )
  found = hlo.analyse(compiled.as_text()).collectives
  assert found["all-gather"].count == 1
  assert found["all-gather"].bytes == 16 * 4 * 4
  np.testing.assert_allclose(found["all-gather"].sent, 16 * 4 * 4 * 7 / 8)


def test_what_is_no_program():
  with pytest.raises(ValueError, match="no ENTRY"):
    hlo.analyse("HloModule m\n")
