# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The TPU kernels through the real TPU compiler, ahead of time."""

import jax
import jax.numpy as jnp
import pytest
import tpu_topology

from prefjax import kernels
from prefjax.kernels import blocks, select

MIB = 1 << 20


def compile_for(device, n, d, v, dtype, *, segments=None, bias=False, **how):
  """Forward and backward compiled for a device that need not be there."""
  sharding = jax.sharding.SingleDeviceSharding(device)

  def array(shape, dtype):
    return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)

  def total(x, w, b, targets, weights):
    if segments:
      sums = kernels.sequence_logps(
        x,
        w,
        targets,
        weights,
        bias=b,
        segments=targets,
        num_segments=segments,
        **how,
      )
      return jnp.sum(sums)
    out = kernels.token_logps(x, w, targets, bias=b, **how)
    return sum(jnp.sum(weights * o) for o in out if o is not None)

  head = (v, d) if how.get("transposed") else (d, v)
  with jax.default_device(device):
    lowered = jax.jit(jax.grad(total, (0, 1, 2) if bias else (0, 1))).lower(
      array((n, d), dtype),
      array(head, dtype),
      array((v,), jnp.float32) if bias else None,
      array((n,), jnp.int32),
      array((n,), jnp.float32),
    )
  return lowered.compile()


def count_kernels(compiled) -> int:
  return compiled.as_text().count('custom_call_target="tpu_custom_call"')


@pytest.mark.parametrize("name", tpu_topology.TOPOLOGIES)
def test_compiles_with_every_option(name):
  """Ragged in rows, ids and hidden size; bfloat16; sums inside."""
  device = tpu_topology.devices(name)[0]
  plain = compile_for(
    device, 300, 200, 1001, jnp.bfloat16, segments=5, impl="pallas_tpu"
  )
  assert count_kernels(plain) == 3
  options = dict(softcap=30.0, temperature=0.7, transposed=True, bias=True)
  full = compile_for(
    device, 1, 200, 1001, jnp.bfloat16, impl="pallas_tpu", **options
  )
  assert count_kernels(full) == 3


@pytest.mark.parametrize(
  "hidden,vocab,transposed",
  (
    (256, 5001, False),
    (256, 5001, True),
    (192, 5120, False),
    (192, 5120, True),
  ),
)
def test_a_head_is_never_copied(hidden, vocab, transposed):
  """However its default layout is padded, nor its gradient."""
  compiled = compile_for(
    tpu_topology.devices("v5e")[0],
    256,
    hidden,
    vocab,
    jnp.bfloat16,
    impl="pallas_tpu",
    transposed=transposed,
    entropy=False,
  )
  temporaries = compiled.memory_analysis().temp_size_in_bytes
  assert temporaries < hidden * vocab / 4


@pytest.mark.parametrize("name", ("v4", "v5e"))
def test_compiles_in_float32(name):
  device = tpu_topology.devices(name)[0]
  compiled = compile_for(
    device, 300, 200, 1001, jnp.float32, bias=True, impl="pallas_tpu"
  )
  assert count_kernels(compiled) == 3


def test_temporaries_at_the_size_of_an_8b_model():
  """At most 5% of what the logits would take, besides the gradients."""
  n, d, v = 16_384, 4096, 128_256
  device = tpu_topology.devices("v5e")[0]
  compiled = compile_for(
    device, n, d, v, jnp.bfloat16, impl="pallas_tpu", entropy=False
  )
  memory = compiled.memory_analysis()
  logits, gradients = 2 * n * v, 2 * d * (n + v)
  print(
    f"v5e N={n} D={d} V={v} bfloat16: temporaries"
    f" {memory.temp_size_in_bytes / MIB:.1f} MiB,"
    f" {memory.temp_size_in_bytes / logits:.2%} of naive logits"
    f" {logits / MIB:.0f} MiB; gradients"
    f" {memory.output_size_in_bytes / MIB:.0f} MiB"
  )
  assert memory.temp_size_in_bytes <= 0.05 * logits
  assert memory.output_size_in_bytes < gradients + MIB


def test_auto_picks_the_kernels_for_a_tpu_and_falls_back_loudly(caplog):
  device = tpu_topology.devices("v5e")[0]
  select._SEEN.clear()
  with caplog.at_level("INFO", logger="prefjax.kernels"):
    good = compile_for(device, 1200, 128, 1001, jnp.bfloat16, impl="auto")
    bad = compile_for(
      device, 1200, 128, 1001, jnp.bfloat16, impl="auto", block_vocab=200
    )
  assert count_kernels(good) == 3 and count_kernels(bad) == 0
  picked, fell_back = caplog.records
  assert "picked 'pallas_tpu' (platform tpu)" in picked.getMessage()
  assert fell_back.levelname == "WARNING"
  assert "block_vocab=200 is not a multiple" in fell_back.getMessage()


def test_auto_survives_a_compiler_that_refuses(monkeypatch, caplog):
  device = tpu_topology.devices("v4")[0]
  # Half a MiB must do, says the table; the kernels need more.
  monkeypatch.setitem(blocks.GENERATIONS, "TPU v4", blocks.Generation(MIB // 2))
  monkeypatch.setattr(blocks, "bytes_needed", lambda *_: 0)
  select._SEEN.clear()
  with caplog.at_level("WARNING", logger="prefjax.kernels"):
    compiled = compile_for(
      device,
      1100,
      512,
      1000,
      jnp.bfloat16,
      impl="auto",
      entropy=False,
      block_rows=128,
      block_vocab=128,
    )
  assert count_kernels(compiled) == 0
  (record,) = caplog.records
  assert "fell back from 'pallas_tpu'" in record.getMessage()
  assert "RESOURCE_EXHAUSTED" in record.getMessage()


@pytest.mark.slow
@pytest.mark.parametrize("name", tpu_topology.TOPOLOGIES)
@pytest.mark.parametrize(
  "hidden,dtype",
  (
    (576, jnp.bfloat16),
    (2048, jnp.bfloat16),
    (4096, jnp.bfloat16),
    (8192, jnp.bfloat16),
    (2048, jnp.float32),
  ),
)
def test_the_table_fits_real_sizes(name, hidden, dtype):
  device = tpu_topology.devices(name)[0]
  for transposed in (False, True):
    compiled = compile_for(
      device,
      4000,
      hidden,
      50_257,
      dtype,
      impl="pallas_tpu",
      transposed=transposed,
    )
    assert count_kernels(compiled) == 3
    assert compiled.memory_analysis().temp_size_in_bytes < 64 * MIB
