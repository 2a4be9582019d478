# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The TPU kernels, interpreted: against float64 NumPy and the jnp version."""

import functools

import hypothesis
import jax
import jax.numpy as jnp
import kernel_oracle
import numpy as np
import pytest
from hypothesis import strategies as st
from jax.experimental.pallas import tpu as pltpu
from jax.test_util import check_grads

from prefjax import kernels
from prefjax.kernels import pallas_tpu, problem, vjp

BLOCKS = {"block_rows": 128, "block_vocab": 128}
TPU = {"impl": "pallas_tpu", **BLOCKS}
ALL = {"softcap": 9.0, "temperature": 0.7, "transposed": True, "bias": True}

# What each compiled shape shows: (N, D, V), dtype of the matrices, options.
# Ragged in rows and ids, several blocks of both; all options; bfloat16; one
# row and V < block; sizes that divide; one block. In "plain" and "options"
# the head is transposed on the way, for so it lies in memory.
SHAPES = {
  "plain": ((200, 128, 301), np.float32, {}),
  "options": ((130, 40, 389), np.float32, ALL),
  "bfloat16": ((130, 40, 389), jnp.bfloat16, ALL),
  "one row": ((1, 8, 5), np.float32, {"bias": True}),
  "multiples": ((256, 128, 256), jnp.bfloat16, {}),
  "one block": ((7, 128, 100), np.float32, {"transposed": True}),
}


def example(name, seed, scale=1.0):
  """x, w, b or None, targets and options of a shape, rounded to its dtype."""
  (n, d, v), dtype, options = SHAPES[name]
  options = dict(options)
  rng = np.random.default_rng(seed)
  x = jnp.asarray(scale * rng.normal(size=(n, d)), dtype)
  w = jnp.asarray(rng.normal(size=(d, v)), dtype)
  w = w.T if options.get("transposed") else w
  b = np.asarray(rng.normal(size=v), np.float32)
  b = b if options.pop("bias", False) else None
  return x, w, b, rng.integers(0, v, n).astype(np.int32), options


@functools.partial(jax.jit, static_argnames=("options", "how"))
def value_and_grad(x, w, b, targets, mask, coefficients, options, how):
  """Three outputs and the gradients of a mix of them."""

  def total(x, w, b):
    out = kernels.token_logps(
      x, w, targets, bias=b, mask=mask, **dict(options), **dict(how)
    )
    return sum(
      jnp.sum(c * o) for c, o in zip(coefficients, out, strict=True)
    ), out

  wanted = (0, 1) if b is None else (0, 1, 2)
  (_, out), grads = jax.value_and_grad(total, wanted, has_aux=True)(x, w, b)
  return out, grads


def in_float64(x, w, b, targets, mask, coefficients, options):
  """The same from the specification, in float64."""
  with jax.enable_x64(True):
    arrays = [
      None if a is None else jnp.asarray(np.asarray(a, np.float64))
      for a in (x, w, b, coefficients)
    ]
    x, w, b, coefficients = arrays
    return value_and_grad(
      x, w, b, targets, mask, coefficients, options, (("impl", "reference"),)
    )


@hypothesis.settings(max_examples=500)
@hypothesis.given(
  name=st.sampled_from(sorted(SHAPES)),
  seed=st.integers(0, 2**31 - 1),
  scale=st.sampled_from((1e-3, 1.0, 30.0, 1e4)),
  kept=st.sampled_from((0.0, 0.5, 1.0)),
)
def test_property_matches_the_specification_and_numpy(name, seed, scale, kept):
  x, w, b, targets, options = example(name, seed, scale)
  rng = np.random.default_rng(seed)
  mask = rng.random(len(targets)) < kept
  c = rng.normal(size=(3, len(targets))).astype(np.float32)
  static = tuple(options.items())
  out, grads = value_and_grad(
    x, w, b, targets, mask, c, static, tuple(TPU.items())
  )
  want, want_grads = in_float64(x, w, b, targets, mask, c, static)
  oracle = kernel_oracle.token_stats(
    np.asarray(x, np.float64),
    np.asarray(w, np.float64),
    targets,
    bias=b,
    **options,
  )
  # float32 rounds the product in proportion to its largest entries.
  raw = kernel_oracle.logits(
    np.asarray(x, np.float64),
    np.asarray(w, np.float64),
    transposed=options.get("transposed", False),
  )
  rounding = 1e-5 + 2e-6 * np.abs(raw).max()
  for got, spec, exact in zip(out, want, oracle, strict=True):
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, spec, rtol=1e-6, atol=rounding)
    np.testing.assert_allclose(
      got, np.where(mask, exact, 0.0), rtol=1e-6, atol=rounding
    )
  # Beyond, the last bits of logits decide which token is the likely one.
  if scale <= 30:
    for got, spec, primal in zip(grads, want_grads, (x, w, b), strict=False):
      assert got.dtype == primal.dtype
      is_half = x.dtype == jnp.bfloat16
      size = np.abs(spec).max(initial=0.0)
      np.testing.assert_allclose(
        np.asarray(got, np.float64),
        np.asarray(spec),
        rtol=0,
        atol=1e-6 + size * ((1e-2 if is_half else 0) + rounding),
      )
  assert all(np.isfinite(np.asarray(g, np.float32)).all() for g in grads)
  if kept == 0:
    for leaf in jax.tree.leaves((out, grads)):
      assert np.all(np.asarray(leaf, np.float32) == 0)


@pytest.mark.parametrize("name", ("plain", "options"))
def test_poisoned_memory_reaches_no_result(name):
  """Scratch, and what blocks hold past the end, start as NaN."""
  x, w, b, targets, options = example(name, 1)
  transposed = options.pop("transposed", False)
  static = problem.Problem(**options, transposed=transposed)
  c = np.random.default_rng(2).normal(size=(3, len(targets)))
  c = c.astype(np.float32)

  def run(interpret):
    plan = pallas_tpu.make_plan(static, x, w, interpret=interpret, **BLOCKS)

    def total(x, w, b):
      out = vjp.checked(plan, x, w, b, targets)
      return sum(jnp.sum(k * o) for k, o in zip(c, out, strict=True)), out

    wanted = (0, 1) if b is None else (0, 1, 2)
    return jax.jit(jax.value_and_grad(total, wanted, has_aux=True))(x, w, b)

  poison = pltpu.InterpretParams(
    uninitialized_memory="nan",
    out_of_bounds_reads="uninitialized",
    random_seed=3,
  )
  clean, dirty = run(True), run(poison)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), clean, dirty
  )


def test_check_grads():
  x, w, b, targets, options = example("options", 0, 0.3)

  @jax.jit
  def total(x, w, b):
    out = kernels.token_logps(x, w, targets, bias=b, **options, **TPU)
    return out.logps[::7], out.logsumexp[::9], out.entropy[::11]

  check_grads(
    total, (x, w, b), order=1, modes=["rev"], eps=1e-2, atol=2e-2, rtol=2e-2
  )


@pytest.mark.parametrize(
  "change",
  (
    {"softcap": 3.0},
    {"softcap": None},
    {"temperature": 1.5},
    {"bias": None},
    {"transposed": True},
    {"mask": np.arange(5) != 2},
  ),
  ids=str,
)
def test_every_option_changes_the_result(change):
  rng = np.random.default_rng(0)
  x, w = rng.normal(size=(2, 5, 140)).astype(np.float32)[0], None
  w = rng.normal(size=(140, 140)).astype(np.float32)
  b = rng.normal(size=140).astype(np.float32)
  targets = rng.integers(0, 140, 5)
  base = dict(softcap=5.0, temperature=0.7, bias=b)
  one = kernels.token_logps(x, w, targets, **base, **TPU)
  options = {**base, **change}
  other = kernels.token_logps(x, w, targets, **options, **TPU)
  mask = options.pop("mask", np.ones(5, bool))
  exact = kernel_oracle.token_stats(x, w, targets, **options)
  for a, o, e in zip(one, other, exact, strict=True):
    assert np.abs(a - o).max() > 1e-3
    np.testing.assert_allclose(o, np.where(mask, e, 0.0), atol=1e-4)


def test_impossible_tokens_and_targets_outside():
  x, w, b, targets, options = example("options", 4)
  b[::2] = -np.inf
  targets = np.where(targets % 2 == 0, 1, targets).astype(np.int32)
  del options["softcap"]  # a soft cap makes -inf possible again
  targets[[0, 5]] = (-100, 389)

  def total(x, w):
    out = kernels.token_logps(x, w, targets, bias=b, **options, **TPU)
    rest = jnp.where(jnp.isnan(out.logps), 0.0, out.logps)
    return jnp.sum(rest + out.logsumexp + out.entropy), out

  (_, out), grads = jax.jit(jax.value_and_grad(total, (0, 1), has_aux=True))(
    x, w
  )
  assert np.isnan(out.logps[np.array([0, 5])]).all()
  good = np.delete(np.arange(len(targets)), [0, 5])
  exact = kernel_oracle.token_stats(
    x[good],
    w[1::2],
    targets[good] // 2,
    bias=b[1::2],
    temperature=0.7,
    transposed=True,
  )
  for e, g in zip(exact, out, strict=True):
    np.testing.assert_allclose(np.asarray(g)[good], e, atol=1e-4)
  assert all(np.isfinite(g).all() for g in grads)
  assert np.all(np.asarray(grads[1])[::2] == 0)


def _packed(seed=0):
  """Tokens of 5 segments in any order, some dropped, some not to look at."""
  x, w, b, targets, options = example("plain", seed)
  rng = np.random.default_rng(seed)
  segments = rng.integers(-2, 7, len(targets))
  weights = rng.normal(size=len(targets)).astype(np.float32)
  weights[::3] = 0
  return x, w, targets, segments, weights


def test_segment_sums_inside_the_kernel():
  x, w, targets, segments, weights = _packed()
  lp = kernel_oracle.token_stats(x, w, targets)[0]
  expected = [(weights * lp)[segments == s].sum() for s in range(5)]
  # Weight 0 or no segment: not looked at.
  hidden = (weights == 0) | (segments < 0) | (segments >= 5)
  x = np.where(hidden[:, None], np.nan, x)
  targets = np.where(hidden, -100, targets)

  @functools.partial(jax.jit, static_argnames="impl")
  def run(x, w, weights, impl):
    def total(x, w, weights):
      sums = kernels.sequence_logps(
        x,
        w,
        targets,
        weights,
        segments=segments,
        num_segments=5,
        impl=impl,
        **(BLOCKS if impl == "pallas_tpu" else {}),
      )
      return jnp.sum(sums * jnp.arange(1.0, 6.0)), sums

    return jax.value_and_grad(total, (0, 1, 2), has_aux=True)(x, w, weights)

  (_, want), want_grads = run(x, w, weights, "reference")
  (_, got), grads = run(x, w, weights, "pallas_tpu")
  np.testing.assert_allclose(want, expected, atol=1e-3)
  np.testing.assert_allclose(got, expected, atol=1e-3)
  for g, e in zip(grads, want_grads, strict=True):
    np.testing.assert_allclose(g, e, atol=1e-4)
  assert np.all(np.asarray(grads[0])[hidden] == 0)


def test_sums_of_the_last_axis_and_wrong_targets():
  rng = np.random.default_rng(0)
  x = rng.normal(size=(150, 2, 8)).astype(np.float32)
  w = rng.normal(size=(8, 30)).astype(np.float32)
  targets = rng.integers(0, 30, (150, 2))
  weights = rng.normal(size=(150, 2)).astype(np.float32)
  lp = kernel_oracle.token_stats(x.reshape(300, 8), w, targets.reshape(300))[0]
  expected = (weights * lp.reshape(150, 2)).sum(axis=-1)  # > 128 segments
  targets[3, 0], targets[4, 1] = 30, -1
  weights[4, 1] = 0
  expected[3], expected[4] = np.nan, weights[4, 0] * lp[8]
  sums = kernels.sequence_logps(x, w, targets, weights, **TPU)
  np.testing.assert_allclose(sums, expected, atol=1e-4)


def test_the_largest_thing_written_for_sums_is_a_row_of_tokens():
  x, w, targets, segments, weights = _packed()
  options = dict(segments=segments, num_segments=5, **TPU)
  jaxpr = jax.make_jaxpr(
    lambda x: kernels.sequence_logps(x, w, targets, weights, **options)
  )(x)
  shapes = [v.aval.shape for e in _kernels_of(jaxpr) for v in e.outvars]
  assert shapes == [(8, 200), (1, 128)]


def _kernels_of(jaxpr):
  """All kernel calls, in order."""
  found = []
  for eqn in jaxpr.jaxpr.eqns:
    if eqn.primitive.name == "pallas_call":
      found.append(eqn)
      continue
    for value in jax.tree.leaves(
      list(eqn.params.values()), is_leaf=lambda p: hasattr(p, "jaxpr")
    ):
      if hasattr(value, "jaxpr"):
        found += _kernels_of(value)
  return found


def test_unwanted_gradients_cost_no_kernel():
  x, w, _, targets, _ = example("plain", 0)

  def names(wanted):
    jaxpr = jax.make_jaxpr(
      jax.grad(
        lambda x, w: jnp.sum(kernels.token_logps(x, w, targets, **TPU).logps),
        wanted,
      )
    )(x, w)
    return [e.params["name"] for e in _kernels_of(jaxpr)]

  stem = "token_logps_"
  assert names(0) == [stem + "forward", stem + "dx"]
  assert names(1) == [stem + "forward", stem + "dw"]
  assert names((0, 1)) == [stem + "forward", stem + "dx", stem + "dw"]


def test_heads_are_taken_as_they_lie_in_memory():
  """Padded to tiles of 8 x 128, whichever way wastes less."""
  shapes = {
    (4096, 128_256): False,
    (4096, 50_257): True,
    (50_257, 4096): False,
    (49_152, 576): True,
    (576, 49_152): False,
  }
  static = problem.Problem()
  for shape, is_flipped in shapes.items():
    plan = pallas_tpu.Plan(static)
    head = np.broadcast_to(np.float32(0), shape)
    plan, head, flipped = pallas_tpu._as_stored(plan, head)
    assert flipped == is_flipped == plan.problem.transposed
    assert head.shape == (shape[::-1] if is_flipped else shape)


def test_gradient_of_a_gradient_matches_reference():
  rng = np.random.default_rng(0)
  x = rng.normal(size=(4, 5)).astype(np.float32)
  w = rng.normal(size=(5, 200)).astype(np.float32)
  targets = rng.integers(0, 200, 4)
  c = rng.normal(size=(3, 4)).astype(np.float32)

  def curvature(**how):
    def inner(x):
      out = kernels.token_logps(x, w, targets, softcap=3.0, **how)
      return sum(jnp.sum(k * o) for k, o in zip(c, out, strict=True))

    return jax.jit(jax.grad(lambda x: jnp.sum(jax.grad(inner)(x) ** 2)))(x)

  want = curvature(impl="reference")
  assert np.abs(want).max() > 0.1
  np.testing.assert_allclose(curvature(**TPU), want, atol=2e-4)


def test_mistakes_are_named():
  x, w, _, targets, _ = example("plain", 0)
  with pytest.raises(ValueError, match="block_rows=8 is not a multiple of 128"):
    kernels.token_logps(x, w, targets, impl="pallas_tpu", block_rows=8)
  with pytest.raises(ValueError, match="0 rows"):
    kernels.token_logps(x[:0], w, targets[:0], impl="pallas_tpu")
  with jax.enable_x64(True), pytest.raises(ValueError, match="no float64"):
    wide = np.asarray(x, np.float64)
    kernels.token_logps(wide, w, targets, impl="pallas_tpu")
  wide = jax.ShapeDtypeStruct((8, 1 << 20), np.float32)
  head = jax.ShapeDtypeStruct((1 << 20, 8), np.float32)
  with pytest.raises(ValueError, match="MiB of vector memory"):
    pallas_tpu.make_plan(problem.Problem(), wide, head)
