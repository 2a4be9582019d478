# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The GPU kernels: interpreted, and lowered for CUDA without a GPU."""

import contextlib
import dataclasses
import functools

import jax
import jax.numpy as jnp
import kernel_oracle
import numpy as np
import pytest
from jax import export

from prefjax import kernels
from prefjax.kernels import pallas_gpu, problem, vjp

GPU = {"impl": "pallas_gpu", "block_vocab": 256}
ALL = {"softcap": 9.0, "temperature": 0.7, "transposed": True, "bias": True}

# (N, D, V), dtype of the matrices, options: ragged in every direction, all
# options, one row with V < block, several tiles of the backward pass.
SHAPES = {
  "plain": ((70, 40, 301), np.float32, {}),
  "options": ((130, 72, 389), np.float32, ALL),
  "bfloat16": ((130, 72, 389), jnp.bfloat16, ALL),
  "one row": ((1, 8, 5), np.float32, {"bias": True}),
  "multiples": ((128, 64, 512), jnp.bfloat16, {}),
}


def example(name, seed=0):
  (n, d, v), dtype, options = SHAPES[name]
  options = dict(options)
  rng = np.random.default_rng(seed)
  x = jnp.asarray(rng.normal(size=(n, d)), dtype)
  w = jnp.asarray(rng.normal(size=(d, v)), dtype)
  w = w.T if options.get("transposed") else w
  b = np.asarray(rng.normal(size=v), np.float32)
  b = b if options.pop("bias", False) else None
  return x, w, b, rng.integers(0, v, n).astype(np.int32), options


@pytest.mark.parametrize("name", SHAPES)
def test_matches_the_specification_and_numpy(name):
  x, w, b, targets, options = example(name)
  n = len(targets)
  mask = np.arange(n) % 5 != 1 if n > 1 else np.ones(1, bool)
  c = np.random.default_rng(1).normal(size=(3, n)).astype(np.float32)

  @functools.partial(jax.jit, static_argnames="impl")
  def run(x, w, b, impl):
    how = GPU if impl == "pallas_gpu" else {"impl": impl}

    def total(x, w, b):
      out = kernels.token_logps(
        x, w, targets, bias=b, mask=mask, **options, **how
      )
      return sum(jnp.sum(k * o) for k, o in zip(c, out, strict=True)), out

    wanted = (0, 1) if b is None else (0, 1, 2)
    (_, out), grads = jax.value_and_grad(total, wanted, has_aux=True)(x, w, b)
    return out, grads

  exact = [None if a is None else np.asarray(a, np.float64) for a in (x, w, b)]
  got, grads = run(x, w, b, "pallas_gpu")
  with jax.enable_x64(True):
    want, want_grads = run(*exact, "reference")
  oracle = kernel_oracle.token_stats(*exact[:2], targets, bias=b, **options)
  for g, e, o in zip(got, want, oracle, strict=True):
    np.testing.assert_allclose(g, e, atol=1e-4)
    np.testing.assert_allclose(g, np.where(mask, o, 0.0), atol=1e-4)
  for g, e, primal in zip(grads, want_grads, (x, w, b), strict=False):
    assert g.dtype == primal.dtype
    share = 1e-2 if x.dtype == jnp.bfloat16 else 1e-4
    np.testing.assert_allclose(
      np.asarray(g, np.float64), e, atol=share * np.abs(e).max()
    )


def test_impossible_tokens_and_targets_outside():
  x, w, b, targets, _ = example("options")
  b[::2] = -np.inf
  b[:256] = -np.inf  # whole blocks
  targets = np.where(targets < 257, 257, targets | 1).astype(np.int32)
  targets[[0, 5]] = (-100, 389)

  def results(**how):
    def total(x, w):
      out = kernels.token_logps(x, w, targets, bias=b, transposed=True, **how)
      return jnp.nansum(jnp.stack(out)), out

    grad = jax.value_and_grad(total, (0, 1), has_aux=True)
    (_, out), grads = jax.jit(grad)(x, w)
    return out, grads

  got, grads = results(**GPU)
  want, want_grads = results(impl="reference")
  assert np.isnan(got.logps[np.array([0, 5])]).all()
  for g, e in zip((*got, *grads), (*want, *want_grads), strict=True):
    np.testing.assert_allclose(g, e, atol=1e-4)


def test_sums_and_gradient_of_a_gradient():
  x, w, _, targets, _ = example("plain")
  weights = np.random.default_rng(0).normal(size=70).astype(np.float32)
  how = dict(segments=np.arange(70) // 9, num_segments=6)

  def curvature(**impl):
    def inner(x):
      sums = kernels.sequence_logps(x, w, targets, weights, **how, **impl)
      return jnp.sum(jnp.sin(sums))

    slope = jax.grad(inner)
    return jax.jit(jax.grad(lambda x: jnp.sum(slope(x) ** 2)))(x)

  want = curvature(impl="reference")
  np.testing.assert_allclose(
    curvature(**GPU), want, atol=1e-4 * np.abs(want).max()
  )


def _for_a_gpu():
  """Newer JAX asks which GPU a program is for, where there is none."""
  about = dict(device_kind="NVIDIA H100 80GB HBM3", num_cores=None)
  names = {f.name for f in dataclasses.fields(jax.sharding.AbstractDevice)}
  if "platform" not in names:
    return contextlib.nullcontext()
  device = jax.sharding.AbstractDevice(**about, platform="gpu")
  mesh = jax.sharding.AbstractMesh((), (), abstract_device=device)
  return jax.sharding.use_abstract_mesh(mesh)


@pytest.mark.parametrize("dtype", (np.float32, jnp.bfloat16))
@pytest.mark.parametrize("options", ({}, ALL), ids=("plain", "options"))
def test_lowers_for_cuda(dtype, options):
  """Forward and backward become Triton programs, on a machine without GPU."""
  n, d, v = 1000, 200, 50_257
  transposed = options.get("transposed", False)
  head = (v, d) if transposed else (d, v)
  x, w = jax.ShapeDtypeStruct((n, d), dtype), jax.ShapeDtypeStruct(head, dtype)
  b = jax.ShapeDtypeStruct((v,), jnp.float32) if options else None
  static = problem.Problem(
    softcap=options.get("softcap"),
    temperature=options.get("temperature", 1.0),
    transposed=transposed,
    entropy=bool(options),
  )
  plan = pallas_gpu.make_plan(static, x, w)

  def total(x, w, b, targets):
    out = vjp.checked(plan, x, w, b, targets)
    return sum(jnp.sum(o) for o in out if o is not None)

  with _for_a_gpu():
    exported = export.export(
      jax.jit(jax.grad(total, (0, 1, 2) if options else (0, 1))),
      platforms=["cuda"],
      disabled_checks=[
        export.DisabledSafetyCheck.custom_call("__gpu$xla.gpu.triton")
      ],
    )(x, w, b, jax.ShapeDtypeStruct((n,), jnp.int32))
  text = exported.mlir_module()
  assert text.count("custom_call @__gpu$xla.gpu.triton") == 2
  assert "token_logps_forward" in text and "token_logps_gradient" in text


def test_mistakes_are_named():
  x, w, _, targets, _ = example("plain")
  cases = (
    (dict(block_rows=64), "block_rows has no use"),
    (dict(block_vocab=-1), "block_vocab=-1"),
  )
  for options, words in cases:
    with pytest.raises(ValueError, match=words):
      kernels.token_logps(x, w, targets, impl="pallas_gpu", **options)
  with pytest.raises(ValueError, match="at least one row"):
    kernels.token_logps(x[:0], w, targets[:0], impl="pallas_gpu")
  with jax.enable_x64(True), pytest.raises(ValueError, match="no float64"):
    wide = np.asarray(x, np.float64)
    kernels.token_logps(wide, w, targets, impl="pallas_gpu")
