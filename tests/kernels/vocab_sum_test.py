# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Whole-vocabulary sums: against float64 NumPy, both implementations."""

import jax
import jax.numpy as jnp
import kernel_oracle
import numpy as np
import pytest

from prefjax import kernels
from prefjax.kernels import integrands

TILINGS = (
  {"impl": "reference"},
  {"impl": "chunked", "block_vocab": 128},
  {"impl": "chunked", "block_vocab": 128, "block_rows": 8},
)
N, V, SIZES = 13, 301, (24, 16, 8)
TEMPERATURES = (0.7, 1.0, 2.0)


def streams(count, dtype=np.float64, n=N, v=V, seed=0):
  """Hidden states, matrices (the second stored transposed), bias, targets."""
  rng = np.random.default_rng(seed)
  xs = [rng.normal(size=(n, d)).astype(dtype) for d in SIZES[:count]]
  ws = [
    rng.normal(size=(v, d) if i == 1 else (d, v)).astype(dtype)
    for i, d in enumerate(SIZES[:count])
  ]
  bias = rng.normal(size=(v,)).astype(dtype)
  return xs, ws, bias, rng.integers(0, v, n).astype(np.int32)


def heads_of(ws, bias):
  return [
    kernels.Head(w, bias if i == 0 else None, 5.0 if i == 0 else None, i == 1)
    for i, w in enumerate(ws)
  ]


def oracle_logps(xs, ws, bias):
  options = (dict(bias=bias, softcap=5.0), dict(transposed=True), {})
  return [
    kernel_oracle.log_softmax(kernel_oracle.logits(x, w, temperature=t, **o))
    for x, w, t, o in zip(xs, ws, TEMPERATURES, options, strict=False)
  ]


def _jsd(student, teacher, beta=0.3):
  p, q = np.exp(student), np.exp(teacher)
  m = np.log(beta * q + (1 - beta) * p)
  return (beta * q * (teacher - m) + (1 - beta) * p * (student - m)).sum(-1)


def _lse(values):
  top = values.max(-1, keepdims=True)
  return (top + np.log(np.exp(values - top).sum(-1, keepdims=True)))[:, 0]


# name -> integrand, streams, reduction, what it must equal.
CASES = {
  "forward_kl": (
    integrands.forward_kl,
    2,
    "sum",
    lambda a, b: (np.exp(b) * (b - a)).sum(-1),
  ),
  "reverse_kl": (
    integrands.reverse_kl,
    2,
    "sum",
    lambda a, b: (np.exp(a) * (a - b)).sum(-1),
  ),
  "jsd": (integrands.jsd(0.3), 2, "sum", _jsd),
  "expected_advantage": (
    integrands.expected_advantage,
    3,
    "sum",
    lambda a, b, c: (np.exp(a) * (b - c)).sum(-1),
  ),
  "entropy": (
    integrands.entropy,
    1,
    "sum",
    lambda a: -(np.exp(a) * a).sum(-1),
  ),
  "log_collision": (
    integrands.log_collision,
    1,
    "logsumexp",
    lambda a: np.log((np.exp(a) ** 2).sum(-1)),
  ),
  "difference": (
    integrands.difference,
    2,
    "logsumexp",
    lambda a, b: _lse(a - b),
  ),
}


def run(case, xs, ws, bias, targets, **options):
  integrand, count, reduce, _ = CASES[case]
  return kernels.vocab_sum(
    integrand,
    xs[:count],
    heads_of(ws[:count], bias),
    targets,
    reduce=reduce,
    temperature=TEMPERATURES[:count],
    **options,
  )


@pytest.mark.parametrize("tiles", TILINGS, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_match_numpy(case, tiles):
  integrand, count, _, expected = CASES[case]
  rng = np.random.default_rng(9)
  with jax.enable_x64(True):
    xs, ws, bias, targets = streams(count)
    c = rng.normal(size=(2 + count, N))
    rows = np.arange(N)

    @jax.jit
    def total(xs, ws, bias):
      out = run(case, xs, ws, bias, targets, **tiles)
      flat = (out.total, out.at_target, *out.logps)
      return sum(jnp.sum(ci * o) for ci, o in zip(c, flat, strict=True)), flat

    def oracle(*arrays):
      arrays = list(arrays)
      lps = oracle_logps(arrays[:count], arrays[count:-1], arrays[-1])
      taken = [lp[rows, targets] for lp in lps]
      at_target = np.asarray(integrand(*[jnp.asarray(t) for t in taken]))
      return (expected(*lps), at_target, *taken)

    arrays = [*xs, *ws, bias]
    (_, got), grads = jax.value_and_grad(total, (0, 1, 2), has_aux=True)(
      xs, ws, bias
    )
    for e, g in zip(oracle(*arrays), got, strict=True):
      np.testing.assert_allclose(g, e, atol=1e-11)
    directions = [rng.normal(size=a.shape) for a in arrays]
    slope = kernel_oracle.slope(
      lambda *a: sum(
        (ci * o).sum() for ci, o in zip(c, oracle(*a), strict=True)
      ),
      arrays,
      directions,
    )
    flat_grads = [*grads[0], *grads[1], grads[2]]
    dot = sum(
      np.vdot(g, d) for g, d in zip(flat_grads, directions, strict=True)
    )
    np.testing.assert_allclose(dot, slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("reduce", ("sum", "logsumexp"))
def test_integrands_with_several_values(reduce):
  def both(a, b):
    return integrands.forward_kl(a, b), a - 2 * b

  with jax.enable_x64(True):
    xs, ws, bias, targets = streams(2)
    c = np.random.default_rng(2).normal(size=(2, N))

    def total(xs, **options):
      out = kernels.vocab_sum(
        both, xs, heads_of(ws, bias), targets, reduce=reduce, **options
      )
      assert isinstance(out.total, tuple) and isinstance(out.at_target, tuple)
      return sum(jnp.sum(k * t) for k, t in zip(c, out.total, strict=True))

    grad = jax.jit(
      jax.value_and_grad(total),
      static_argnames=("impl", "block_vocab", "block_rows"),
    )
    want = grad(xs, impl="reference")
    for tiles in TILINGS[1:]:
      got = grad(xs, **tiles)
      jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10), got, want
      )
    # One of the two alone is the same number.
    alone = kernels.vocab_sum(
      lambda a, b: a - 2 * b, xs, heads_of(ws, bias), reduce=reduce
    )
    pair = kernels.vocab_sum(both, xs, heads_of(ws, bias), reduce=reduce)
    np.testing.assert_allclose(alone.total, pair.total[1], atol=1e-12)
    assert alone.at_target is None and alone.logps is None


def test_difference_gives_the_causal_effect():
  """at_target - total is log softmax(z1 - z2)[y]."""
  xs, ws, _, targets = streams(2, np.float32)
  out = kernels.vocab_sum(
    integrands.difference,
    xs,
    heads_of(ws, None),
    targets,
    reduce="logsumexp",
    impl="chunked",
    block_vocab=128,
  )
  z1 = kernel_oracle.logits(xs[0], ws[0], softcap=5.0)
  z2 = kernel_oracle.logits(xs[1], ws[1], transposed=True)
  expected = kernel_oracle.log_softmax(z1 - z2)[np.arange(N), targets]
  np.testing.assert_allclose(out.at_target - out.total, expected, atol=2e-5)


@pytest.mark.parametrize("tiles", TILINGS[::2], ids=str)
@pytest.mark.parametrize("case", ("forward_kl", "difference"))
def test_masked_rows(case, tiles):
  count = CASES[case][1]
  xs, ws, bias, targets = streams(count, np.float32)
  mask = np.arange(N) % 4 != 2
  dirty = [np.where(mask[:, None], x, np.nan).astype(x.dtype) for x in xs]
  wild = np.where(mask, targets, -100)

  def total(xs, ws, targets):
    out = run(case, xs, ws, bias, targets, mask=mask, **tiles)
    return sum(jnp.sum(o) for o in jax.tree.leaves(out)), out

  grad = jax.jit(jax.value_and_grad(total, (0, 1), has_aux=True))
  clean, other = grad(xs, ws, targets), grad(dirty, ws, wild)
  jax.tree.map(np.testing.assert_array_equal, clean, other)
  for leaf in jax.tree.leaves(other[0][1]):
    assert np.all(np.asarray(leaf)[~mask] == 0)


@pytest.mark.parametrize("tiles", TILINGS[::2], ids=str)
@pytest.mark.parametrize(
  "case", ("forward_kl", "reverse_kl", "jsd", "entropy", "log_collision")
)
def test_impossible_tokens_stay_finite(case, tiles):
  """Ids that a bias of -inf rules out in every stream add nothing."""
  count = CASES[case][1]
  xs, ws, bias, _ = streams(count, np.float32)
  bias[::2] = -np.inf
  flat = [w.T if i == 1 else w for i, w in enumerate(ws)]

  def total(xs, flat, bias, **options):
    out = kernels.vocab_sum(
      CASES[case][0],
      xs,
      [kernels.Head(w, bias) for w in flat],
      reduce=CASES[case][2],
      **options,
    )
    return jnp.sum(out.total), out.total

  grad = jax.jit(
    jax.value_and_grad(total, (0, 1), has_aux=True),
    static_argnames=("impl", "block_vocab", "block_rows"),
  )
  (_, got), grads = grad(xs, flat, bias, **tiles)
  (_, want), want_grads = grad(
    xs, [w[:, 1::2] for w in flat], bias[1::2], impl="reference"
  )
  np.testing.assert_allclose(got, want, atol=2e-5)
  for g, w in zip(grads[0], want_grads[0], strict=True):
    np.testing.assert_allclose(g, w, atol=1e-4)
  for g in grads[1]:
    assert np.all(np.asarray(g)[:, ::2] == 0)


def test_identities():
  xs, ws, bias, _ = streams(2, np.float32)
  heads = heads_of(ws, bias)
  same = [xs[0], xs[0]], [heads[0], heads[0]]
  for integrand in (
    integrands.forward_kl,
    integrands.reverse_kl,
    integrands.jsd(0.4),
  ):
    zero = kernels.vocab_sum(integrand, *same).total
    np.testing.assert_allclose(zero, np.zeros(N), atol=1e-5)
    assert np.all(kernels.vocab_sum(integrand, xs, heads).total > 0)
  swapped = kernels.vocab_sum(
    integrands.reverse_kl, xs[::-1], heads[::-1]
  ).total
  forward = kernels.vocab_sum(integrands.forward_kl, xs, heads).total
  np.testing.assert_allclose(swapped, forward, rtol=1e-5)
  near = [x / 10 for x in xs]
  small = kernels.vocab_sum(integrands.jsd(1e-3), near, heads).total / 1e-3
  limit = kernels.vocab_sum(integrands.forward_kl, near, heads).total
  np.testing.assert_allclose(small, limit, rtol=2e-2)
  entropy = kernels.vocab_sum(integrands.entropy, xs[:1], heads[:1]).total
  stats = kernels.token_logps(xs[0], heads[0], np.zeros(N, np.int32))
  np.testing.assert_allclose(entropy, stats.entropy, rtol=1e-5)
  with pytest.raises(ValueError, match="beta=1.0"):
    integrands.jsd(1.0)


def test_a_stopped_stream_gets_no_gradient_and_costs_none():
  xs, ws, _, _ = streams(2, np.float32, n=64, v=1024)

  def total(x, w, stop):
    head = jax.lax.stop_gradient(w) if stop else w
    out = kernels.vocab_sum(
      integrands.reverse_kl,
      [xs[0], x],
      [ws[0], kernels.Head(head, transposed=True)],
      impl="chunked",
      block_vocab=1024,
    )
    return jnp.sum(out.total)

  stopped = jax.grad(total, 1)(xs[1], ws[1], True)
  assert np.all(np.asarray(stopped) == 0)
  assert np.abs(jax.grad(total, 1)(xs[1], ws[1], False)).max() > 0

  def flops(stop):
    compiled = (
      jax.jit(jax.grad(total, (0, 1)), static_argnums=2)
      .lower(xs[1], ws[1], stop)
      .compile()
    )
    return compiled.cost_analysis()["flops"]

  assert flops(False) - flops(True) > 0.9 * (2 * 64 * 16 * 1024)


def test_bfloat16_and_leading_axes():
  xs, ws, bias, targets = streams(2, np.float32, n=12)
  half = [jnp.asarray(x, jnp.bfloat16).reshape(2, 3, 2, -1) for x in xs]
  half_w = [jnp.asarray(w, jnp.bfloat16) for w in ws]
  exact = oracle_logps(
    [np.asarray(h, np.float64).reshape(12, -1) for h in half],
    [np.asarray(w, np.float64) for w in half_w],
    bias,
  )
  expected = CASES["forward_kl"][3](*exact)
  for tiles in TILINGS:
    out = run(
      "forward_kl", half, half_w, bias, targets.reshape(2, 3, 2), **tiles
    )
    assert out.total.dtype == jnp.float32
    assert out.total.shape == (2, 3, 2) == out.at_target.shape
    np.testing.assert_allclose(
      out.total.reshape(12), expected, rtol=1e-4, atol=1e-4
    )
    grads = jax.jit(
      jax.grad(
        lambda h, tiles=tiles: jnp.sum(
          run("forward_kl", h, half_w, bias, None, **tiles).total
        )
      )
    )(half)
    assert all(g.dtype == jnp.bfloat16 for g in grads)


def test_every_option_changes_the_result():
  xs, ws, bias, targets = streams(2, np.float32)
  heads = heads_of(ws, bias)

  def result(**change):
    options = dict(reduce="sum", temperature=1.0, mask=None)
    return kernels.vocab_sum(
      integrands.difference, xs, heads, targets, **{**options, **change}
    ).total

  base = result()
  for change in (
    {"reduce": "logsumexp"},
    {"temperature": 2.0},
    {"temperature": (1.0, 2.0)},
    {"mask": np.arange(N) > 3},
  ):
    assert np.abs(base - result(**change)).max() > 1e-3, change


def test_mistakes_are_named():
  xs, ws, bias, targets = streams(2, np.float32)
  heads = heads_of(ws, bias)
  kl = integrands.forward_kl
  cases = (
    (dict(reduce="mean"), "reduce='mean'"),
    (dict(impl="pallas"), "reference, chunked"),
    (dict(temperature=(1.0,)), "1 entries for 2 streams"),
    (dict(mask=np.ones(3, bool)), "mask has shape"),
  )
  for options, words in cases:
    with pytest.raises(ValueError, match=words):
      kernels.vocab_sum(kl, xs, heads, targets, **options)
  with pytest.raises(ValueError, match="2 hiddens and 1 heads"):
    kernels.vocab_sum(kl, xs, heads[:1])
  with pytest.raises(ValueError, match="stream 1 has"):
    kernels.vocab_sum(kl, [xs[0], xs[0]], [ws[0], ws[0][:, 1:]])
  out = kernels.vocab_sum(kl, xs, heads, np.full(N, V))
  assert np.isnan(out.at_target).all() and np.isfinite(out.total).all()


@pytest.mark.parametrize("wants_gradient", (False, True))
def test_temporaries_are_a_fraction_of_the_logits(wants_gradient):
  """Three streams at a real size, from the compiler's own count of bytes."""
  n, d, v = 16_384, 576, 49_152

  def total(xs, ws):
    out = kernels.vocab_sum(
      integrands.expected_advantage, xs, ws, impl="chunked"
    )
    return jnp.sum(out.total)

  function = jax.grad(total, (0, 1)) if wants_gradient else total
  compiled = (
    jax.jit(function)
    .lower(
      [jax.ShapeDtypeStruct((n, d), jnp.float32)] * 3,
      [jax.ShapeDtypeStruct((d, v), jnp.float32)] * 3,
    )
    .compile()
  )
  memory = compiled.memory_analysis()
  assert memory.temp_size_in_bytes <= 4 * n * v / 3
