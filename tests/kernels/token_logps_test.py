# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Token log-probs: every implementation against float64 NumPy."""

import functools
import logging

import hypothesis
import jax
import jax.numpy as jnp
import kernel_oracle
import numpy as np
import pytest
from hypothesis import strategies as st
from jax.test_util import check_grads

from prefjax import kernels
from prefjax.kernels import chunked, problem, select, tiling

# Tiles that divide, tiles that do not, one tile, rows in blocks.
TILINGS = (
  {"impl": "reference"},
  {"impl": "chunked"},
  {"impl": "chunked", "block_vocab": 128},
  {"impl": "chunked", "block_vocab": 128, "block_rows": 8},
)
N, D, V = 13, 24, 301
OPTIONS = {"softcap": 5.0, "temperature": 0.7}


def example(seed=0, n=N, d=D, v=V, dtype=np.float32, scale=1.0):
  rng = np.random.default_rng(seed)
  x = (scale * rng.normal(size=(n, d))).astype(dtype)
  w = rng.normal(size=(d, v)).astype(dtype)
  b = rng.normal(size=(v,)).astype(dtype)
  return x, w, b, rng.integers(0, v, n).astype(np.int32)


def mixed_sum(outputs, seed=1):
  """A scalar that gives all three outputs cotangents of both signs."""
  rng = np.random.default_rng(seed)
  return sum(
    jnp.sum(o * rng.normal(size=o.shape)) for o in outputs if o is not None
  )


@pytest.mark.parametrize("tiles", TILINGS, ids=str)
@pytest.mark.parametrize("transposed", (False, True))
def test_matches_numpy_in_float64(tiles, transposed):
  with jax.enable_x64(True):
    x, w, b, t = example(dtype=np.float64)
    expected = kernel_oracle.token_stats(x, w, t, bias=b, **OPTIONS)
    got = kernels.token_logps(
      x,
      w.T if transposed else w,
      t,
      bias=b,
      transposed=transposed,
      **OPTIONS,
      **tiles,
    )
    for e, g in zip(expected, got, strict=True):
      assert g.dtype == jnp.float64
      np.testing.assert_allclose(g, e, rtol=0, atol=1e-12)


@pytest.mark.parametrize("tiles", TILINGS, ids=str)
@pytest.mark.parametrize("transposed", (False, True))
def test_gradient_matches_differences_of_the_oracle(tiles, transposed):
  rng = np.random.default_rng(3)
  with jax.enable_x64(True):
    x, w, b, t = example(dtype=np.float64)
    coefficients = rng.normal(size=(3, N))
    directions = [rng.normal(size=a.shape) for a in (x, w, b)]

    def oracle(x, w, b):
      stats = kernel_oracle.token_stats(x, w, t, bias=b, **OPTIONS)
      return sum(
        (c * s).sum() for c, s in zip(coefficients, stats, strict=True)
      )

    @jax.jit
    @functools.partial(jax.grad, argnums=(0, 1, 2))
    def gradient(x, w, b):
      out = kernels.token_logps(
        x,
        w.T if transposed else w,
        t,
        bias=b,
        transposed=transposed,
        **OPTIONS,
        **tiles,
      )
      return sum(jnp.sum(c * o) for c, o in zip(coefficients, out, strict=True))

    got = sum(
      np.vdot(g, d) for g, d in zip(gradient(x, w, b), directions, strict=True)
    )
    expected = kernel_oracle.slope(oracle, (x, w, b), directions)
    np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("which", (0, 1, 2))
def test_each_cotangent_alone(which):
  with jax.enable_x64(True):
    x, w, b, t = example(n=3, d=4, v=260, dtype=np.float64)

    def one(x, w, b):
      return kernels.token_logps(
        x, w, t, bias=b, impl="chunked", block_vocab=128
      )[which]

    check_grads(one, (x, w, b), order=1, modes=["rev"], atol=1e-6, rtol=1e-6)


def test_second_order_gradient_matches_reference():
  with jax.enable_x64(True):
    x, w, b, t = example(n=4, d=5, v=300, dtype=np.float64)

    def hessian_trace_part(impl, **tiles):
      def inner(x):
        return mixed_sum(
          kernels.token_logps(x, w, t, bias=b, softcap=3.0, impl=impl, **tiles)
        )

      return jax.jit(jax.grad(lambda x: jnp.sum(jax.grad(inner)(x) ** 2)))(x)

    np.testing.assert_allclose(
      hessian_trace_part("chunked", block_vocab=128, block_rows=2),
      hessian_trace_part("reference"),
      atol=1e-10,
    )


def test_second_order_gradient_in_bfloat16():
  """Tiles of bfloat16 are sliced as integers, and differentiated all the
  same."""
  x, w, _, t = example(n=4, d=5, v=300)
  x, w = jnp.asarray(x, jnp.bfloat16), jnp.asarray(w, jnp.bfloat16)

  def curvature(**how):
    def inner(x, w):
      return mixed_sum(kernels.token_logps(x, w, t, **how))

    def slope(x, w):
      return sum(
        jnp.sum(jnp.square(g.astype(jnp.float32)))
        for g in jax.grad(inner, (0, 1))(x, w)
      )

    return jax.jit(jax.grad(slope, (0, 1)))(x, w)

  got = curvature(impl="chunked", block_vocab=128, block_rows=2)
  want = curvature(impl="reference")
  for g, e in zip(got, want, strict=True):
    g, e = np.asarray(g, np.float32), np.asarray(e, np.float32)
    np.testing.assert_allclose(g, e, atol=0.05 * np.abs(e).max())


def test_no_wide_copy_of_a_bfloat16_head():
  """The compiler must not make the whole head float32 to slice it."""
  n, d, v = 64, 64, 16_384
  compiled = (
    jax.jit(
      lambda x, w, t: (
        kernels.token_logps(
          x, w, t, impl="chunked", entropy=False, block_vocab=256
        ).logps
      )
    )
    .lower(
      jax.ShapeDtypeStruct((n, d), jnp.bfloat16),
      jax.ShapeDtypeStruct((d, v), jnp.bfloat16),
      jax.ShapeDtypeStruct((n,), jnp.int32),
    )
    .compile()
  )
  assert compiled.memory_analysis().temp_size_in_bytes < 3 * d * v


@functools.partial(jax.jit, static_argnames=("impl", "tile"))
def _value_and_grad(x, w, b, t, coefficients, impl, tile=None):
  def total(x, w, b):
    out = kernels.token_logps(
      x, w, t, bias=b, softcap=20.0, impl=impl, block_vocab=tile
    )
    return sum(
      jnp.sum(c * o) for c, o in zip(coefficients, out, strict=True)
    ), out

  return jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True)(x, w, b)


@hypothesis.settings(max_examples=25, deadline=None, derandomize=True)
@hypothesis.given(
  shape=st.sampled_from(((1, 8, 130), (7, 16, 256), (9, 8, 389))),
  seed=st.integers(0, 2**31 - 1),
  scale=st.sampled_from((1e-3, 1.0, 30.0)),
)
def test_property_chunked_equals_reference(shape, seed, scale):
  n, d, v = shape
  x, w, b, t = example(seed, n, d, v, scale=scale)
  c = np.random.default_rng(seed).normal(size=(3, n)).astype(np.float32)
  (_, want), want_grads = _value_and_grad(x, w, b, t, c, "reference")
  (_, got), got_grads = _value_and_grad(x, w, b, t, c, "chunked", 128)
  oracle = kernel_oracle.token_stats(x, w, t, bias=b, softcap=20.0)
  for o, e, g in zip(oracle, want, got, strict=True):
    np.testing.assert_allclose(e, o, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(g, o, rtol=2e-5, atol=2e-5)
  assert np.all(got.logps <= 0) and np.all(got.entropy >= -1e-5)
  for e, g in zip(want_grads, got_grads, strict=True):
    np.testing.assert_allclose(g, e, rtol=1e-4, atol=1e-4 * max(1, scale))


@pytest.mark.parametrize("tiles", TILINGS, ids=str)
def test_masked_rows_are_zero_and_give_no_gradient(tiles):
  x, w, b, t = example()
  mask = np.arange(N) % 3 != 1
  poisoned, wild = x.copy(), t.copy()
  poisoned[~mask] = np.nan
  wild[~mask] = np.array([-100, V, 10**6, -1])[: (~mask).sum()]

  def total(x, w, b, t):
    out = kernels.token_logps(x, w, t, bias=b, mask=mask, **tiles)
    return mixed_sum(out), out

  grad = jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True)
  (_, clean), clean_grads = grad(x, w, b, t)
  (_, dirty), dirty_grads = grad(poisoned, w, b, wild)
  for c, d in zip(clean, dirty, strict=True):
    assert np.all(np.asarray(d)[~mask] == 0)
    assert np.all(np.asarray(d)[mask] != 0)
    np.testing.assert_array_equal(c, d)
  for c, d in zip(clean_grads, dirty_grads, strict=True):
    np.testing.assert_array_equal(c, d)
  assert np.all(np.asarray(dirty_grads[0])[~mask] == 0)
  # The kept rows are what they would be alone.
  alone = kernels.token_logps(x[mask], w, t[mask], bias=b, **tiles)
  np.testing.assert_allclose(dirty.logps[mask], alone.logps, atol=1e-5)


def test_all_rows_masked():
  x, w, _, t = example()
  for tiles in TILINGS:
    out, pull = jax.vjp(
      lambda x, w, tiles=tiles: kernels.token_logps(
        x, w, t, mask=np.zeros(N, bool), **tiles
      ),
      np.full_like(x, np.nan),
      w,
    )
    grads = pull(jax.tree.map(jnp.ones_like, out))
    for leaf in jax.tree.leaves((out, grads)):
      assert np.all(np.asarray(leaf) == 0)


@pytest.mark.parametrize("tiles", TILINGS, ids=str)
def test_a_target_outside_the_vocabulary_is_nan(tiles):
  x, w, _, t = example()
  t[[0, 5]] = (-100, V)
  logps = np.asarray(kernels.token_logps(x, w, t, **tiles).logps)
  assert np.isnan(logps[[0, 5]]).all()
  assert np.isfinite(np.delete(logps, [0, 5])).all()


@pytest.mark.parametrize("tiles", TILINGS, ids=str)
def test_huge_logits_stay_exact(tiles):
  x, w, _, t = example(scale=1e4)
  expected = kernel_oracle.token_stats(x, w, t)
  got = kernels.token_logps(x, w, t, **tiles)
  for e, g in zip(expected, got, strict=True):
    np.testing.assert_allclose(g, e, rtol=2e-6, atol=1e-2)
  # A row sure of its target: log-prob 0, not the rounding of 1e5 - 1e5.
  best = kernel_oracle.logits(x, w).argmax(axis=1).astype(np.int32)
  sure = kernels.token_logps(x, w, best, **tiles).logps
  np.testing.assert_array_equal(sure, np.zeros(N, np.float32))


@pytest.mark.parametrize("tiles", TILINGS, ids=str)
def test_impossible_tokens(tiles):
  x, w, b, t = example()
  b[::2] = -np.inf
  t = 2 * (t // 2) - 1 + 2 * (t < 2)  # odd ids only

  def total(x, w):
    out = kernels.token_logps(x, w, t, bias=b, **tiles)
    return mixed_sum(out), out

  (_, out), grads = jax.value_and_grad(total, (0, 1), has_aux=True)(x, w)
  half = kernel_oracle.token_stats(x, w[:, 1::2], t // 2, bias=b[1::2])
  for e, g in zip(half, out, strict=True):
    np.testing.assert_allclose(g, e, atol=1e-5)
  assert all(np.isfinite(g).all() for g in grads)
  assert np.all(np.asarray(grads[1])[:, ::2] == 0)


@pytest.mark.parametrize("tiles", TILINGS, ids=str)
@pytest.mark.parametrize("transposed", (False, True))
def test_bfloat16(tiles, transposed):
  x, w, b, t = example()
  x, w = jnp.asarray(x, jnp.bfloat16), jnp.asarray(w, jnp.bfloat16)
  exact_x, exact_w = (np.asarray(a, np.float64) for a in (x, w))
  w = w.T if transposed else w

  def total(x, w):
    out = kernels.token_logps(x, w, t, bias=b, transposed=transposed, **tiles)
    return mixed_sum(out), out

  (_, out), (dx, dw) = jax.value_and_grad(total, (0, 1), has_aux=True)(x, w)
  assert dx.dtype == dw.dtype == jnp.bfloat16
  # The operands are bfloat16, the sums are not: close to the float64 answer.
  expected = kernel_oracle.token_stats(exact_x, exact_w, t, bias=b)
  for e, g in zip(expected, out, strict=True):
    assert g.dtype == jnp.float32
    np.testing.assert_allclose(g, e, atol=2e-5)

  def exact(x, w):
    return mixed_sum(kernels.token_logps(x, w, t, bias=b, impl="reference"))

  want_x, want_w = jax.grad(exact, (0, 1))(
    exact_x.astype(np.float32), exact_w.astype(np.float32)
  )
  want_w = want_w.T if transposed else want_w
  scale = np.abs(want_x).max(), np.abs(want_w).max()
  np.testing.assert_allclose(
    np.asarray(dx, np.float32), want_x, atol=8e-3 * scale[0]
  )
  np.testing.assert_allclose(
    np.asarray(dw, np.float32), want_w, atol=8e-3 * scale[1]
  )


def test_mixed_dtypes_use_the_wider():
  x, w, _, t = example()
  x16 = jnp.asarray(x, jnp.bfloat16)
  expected = kernel_oracle.token_stats(np.asarray(x16, np.float64), w, t)
  for tiles in TILINGS:
    got = kernels.token_logps(x16, w, t, **tiles)
    np.testing.assert_allclose(got.logps, expected[0], atol=2e-5)


def test_one_row_and_no_rows():
  x, w, _, t = example()
  for tiles in TILINGS:
    one = kernels.token_logps(x[:1], w, t[:1], **tiles)
    np.testing.assert_allclose(
      one.logps, kernel_oracle.token_stats(x[:1], w, t[:1])[0], atol=1e-5
    )
    none = kernels.token_logps(x[:0], w, t[:0], **tiles)
    assert none.logps.shape == (0,)


def test_leading_axes_and_sequence_sum():
  x, w, _, t = example(n=12)
  x, t = x.reshape(2, 3, 2, D), t.reshape(2, 3, 2)
  weights = np.random.default_rng(5).normal(size=t.shape).astype(np.float32)
  weights[0, 1] = 0
  flat = kernel_oracle.token_stats(x.reshape(12, D), w, t.reshape(12))[0]
  expected = (weights * flat.reshape(2, 3, 2)).sum(axis=-1)
  x[0, 1], t[0, 1] = np.nan, -100  # weight 0: not looked at
  for tiles in TILINGS:
    got = kernels.sequence_logps(x, w, t, weights, **tiles)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert got[0, 1] == 0
  mask = np.ones(t.shape, bool)
  mask[1, 2] = False
  assert kernels.sequence_logps(x, w, t, weights, mask=mask)[1, 2] == 0


def test_head_object_equals_keywords():
  x, w, b, t = example()
  head = kernels.Head(jnp.asarray(w.T), jnp.asarray(b), 5.0, True)
  assert (head.vocab_size, head.hidden_size) == (V, D)
  got = kernels.token_logps(x, head, t)
  want = kernels.token_logps(x, w, t, bias=b, softcap=5.0)
  np.testing.assert_allclose(got.logps, want.logps, atol=1e-6)
  part = head.slice(100, 50)
  np.testing.assert_array_equal(part.weight, w.T[100:150])
  np.testing.assert_array_equal(part.bias, b[100:150])
  assert part.softcap == 5.0 and part.transposed
  # A pytree: gradients come back in its shape.
  grad = jax.grad(lambda h: jnp.sum(kernels.token_logps(x, h, t).logps))(head)
  assert isinstance(grad, kernels.Head) and grad.weight.shape == (V, D)


@pytest.mark.parametrize("impl", ("chunked", "pallas_tpu"))
def test_a_rounded_head_has_an_exact_gradient(impl):
  """Values are those of a bfloat16 head, dw is not rounded to bfloat16."""
  x, w, _, t = example()
  x = jnp.asarray(x, jnp.bfloat16)
  how = {"impl": impl, "block_vocab": 128}

  def value_and_grad(dtype, cast=None, **how):
    def total(x, w):
      head = kernels.Head(w if cast is None else w.astype(cast), dtype=dtype)
      return mixed_sum(kernels.token_logps(x, head, t, **how))

    return jax.jit(jax.value_and_grad(total, (0, 1)))(x, w)

  value, (dx, dw) = value_and_grad(jnp.bfloat16, **how)
  same, (same_dx, _) = value_and_grad(None, cast=jnp.bfloat16, **how)
  assert value == same and dx.dtype == jnp.bfloat16
  # Sums of more than one device round dx once, at the end.
  np.testing.assert_allclose(
    np.asarray(dx, np.float32), np.asarray(same_dx, np.float32), atol=0.1
  )
  low = jnp.asarray(w, jnp.bfloat16).astype(jnp.float32)
  _, (_, want) = jax.value_and_grad(
    lambda x, w: mixed_sum(kernels.token_logps(x, w, t, impl="reference")),
    (0, 1),
  )(x.astype(jnp.float32), low)
  assert dw.dtype == jnp.float32
  assert np.any(np.asarray(dw) != np.asarray(jnp.asarray(dw, jnp.bfloat16)))
  np.testing.assert_allclose(dw, want, atol=8e-3 * np.abs(want).max())
  # Its own dtype changes nothing, and other implementations agree.
  assert kernels.Head(w, dtype=jnp.float32).rounds_to is None
  wide, _ = value_and_grad(None, **how)
  assert wide != value
  reference, _ = value_and_grad(jnp.bfloat16, impl="reference")
  np.testing.assert_allclose(reference, value, rtol=1e-4)


@pytest.mark.parametrize(
  "change",
  (
    {"softcap": 3.0},
    {"softcap": None},
    {"temperature": 1.5},
    {"bias": None},
    {"mask": np.arange(N) != 2},
    {"transposed": True},
  ),
  ids=str,
)
@pytest.mark.parametrize("impl", ("reference", "chunked"))
def test_every_option_changes_the_result(impl, change):
  x, w, b, t = example(v=D, d=D)
  base = dict(softcap=5.0, temperature=0.7, bias=b, impl=impl)
  one = kernels.token_logps(x, w, t, **base)
  other = kernels.token_logps(x, w, t, **{**base, **change})
  for a, b in zip(one, other, strict=True):
    assert np.abs(a - b).max() > 1e-3


def test_entropy_only_on_request():
  x, w, _, t = example()
  for tiles in TILINGS:
    with_entropy = kernels.token_logps(x, w, t, **tiles)
    without = kernels.token_logps(x, w, t, entropy=False, **tiles)
    assert without.entropy is None and with_entropy.entropy is not None
    np.testing.assert_allclose(without.logps, with_entropy.logps, atol=1e-6)


def test_mistakes_are_named():
  x, w, b, t = example()
  head = kernels.Head(jnp.asarray(w))
  cases = (
    (dict(impl="chunky"), "did you mean 'chunked'"),
    (dict(impl="chunky"), "reference"),
    (dict(temperature=0.0), "temperature=0.0"),
    (dict(temperature=jnp.ones(())), "Python number"),
    (dict(softcap=-1.0), "softcap=-1.0"),
    (dict(bias=b[1:]), "bias has shape"),
    (dict(mask=np.ones(N - 1, bool)), "mask has shape"),
    (dict(transposed=True), "transposed=True"),
    (dict(block_vocab=0, impl="chunked"), "block_vocab=0"),
    (dict(block_rows=8, impl="reference"), "block_rows does nothing"),
  )
  for options, words in cases:
    with pytest.raises(ValueError, match=words):
      kernels.token_logps(x, w, t, **options)
  with pytest.raises(ValueError, match="given twice"):
    kernels.token_logps(x, head, t, softcap=3.0)
  with pytest.raises(ValueError, match="targets has shape"):
    kernels.token_logps(x, w, t[1:])
  with pytest.raises(ValueError, match="not integer"):
    kernels.token_logps(x, w, t.astype(np.float32))
  with pytest.raises(ValueError, match="weights has shape"):
    kernels.sequence_logps(x, w, t, np.ones(N - 1))
  with pytest.raises(ValueError, match="entropy"):
    kernels.sequence_logps(x, w, t, np.ones(N), entropy=True)


def test_auto_says_once_what_it_picked(caplog):
  select._SEEN.clear()
  x, w, _, t = example()
  with caplog.at_level(logging.INFO, logger="prefjax.kernels"):
    for _ in range(2):
      kernels.token_logps(x, w, t)
    assert select.pick("token_logps", "auto", 4096, 50_000) == "chunked"
  messages = [r.getMessage() for r in caplog.records]
  assert len(messages) == 2
  assert "picked 'reference'" in messages[0]
  assert "picked 'chunked'" in messages[1]


def test_logits_never_exist():
  """The compiled program's temporaries are far below [N, V]."""
  n, d, v = 1024, 64, 32_768
  plan = chunked.make_plan(problem.Problem(), n, v)
  assert plan.vocab.size < v

  def total(x, w, t):
    return mixed_sum(kernels.token_logps(x, w, t, impl="chunked"))

  compiled = (
    jax.jit(jax.grad(total, (0, 1)))
    .lower(
      jax.ShapeDtypeStruct((n, d), jnp.float32),
      jax.ShapeDtypeStruct((d, v), jnp.float32),
      jax.ShapeDtypeStruct((n,), jnp.int32),
    )
    .compile()
  )
  temporaries = compiled.memory_analysis().temp_size_in_bytes
  gradients = 4 * (n * d + d * v)
  assert temporaries < 4 * n * v / 2 + gradients


def test_unwanted_gradients_are_not_computed():
  x, w, _, t = example(n=64, d=32, v=1024)

  def flops(argnums):
    def total(x, w):
      return jnp.sum(
        kernels.token_logps(
          x, w, t, impl="chunked", block_vocab=1024, entropy=False
        ).logps
      )

    compiled = jax.jit(jax.grad(total, argnums)).lower(x, w).compile()
    return compiled.cost_analysis()["flops"]

  one_dot = 2 * 64 * 32 * 1024
  assert flops((0, 1)) - flops((0,)) > 0.9 * one_dot
  assert flops((0, 1)) - flops((1,)) > 0.9 * one_dot


@pytest.mark.parametrize("total", (1, 127, 128, 300, 2048, 50_257))
@pytest.mark.parametrize("wanted", (128, 256, 2048))
def test_tiles_cover_everything_once(total, wanted):
  tiles = tiling.balanced(total, wanted)
  seen = np.zeros(total, int)
  for i in range(tiles.count):
    start = int(tiles.start(i))
    assert 0 <= start <= total - tiles.size
    fresh = tiles.fresh(i)
    fresh = np.ones(tiles.size, bool) if fresh is None else np.asarray(fresh)
    seen[start : start + tiles.size] += fresh
  assert np.all(seen == 1)
