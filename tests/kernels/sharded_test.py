# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Token log-probs over a mesh of eight devices equal those of one."""

import collections
import functools
import re

import jax
import jax.numpy as jnp
import kernel_oracle
import numpy as np
import pytest
import tpu_topology
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from prefjax import kernels
from prefjax.kernels import problem, select, sharded

N, D, V = 24, 16, 320
OPTIONS = {"softcap": 5.0, "temperature": 0.7}


def mesh_of(types=AxisType.Auto, devices=None):
  return jax.make_mesh(
    (2, 2, 2),
    ("data", "fsdp", "tensor"),
    axis_types=(types,) * 3,
    devices=devices,
  )


def arrays(seed=0, n=N, dtype=np.float32):
  rng = np.random.default_rng(seed)
  return (
    rng.normal(size=(n, D)).astype(dtype),
    rng.normal(size=(D, V)).astype(dtype),
    rng.normal(size=V).astype(np.float32),
    rng.integers(0, V, n),
    rng.normal(size=(3, n)).astype(np.float32),
  )


def run(x, w, b, targets, c, **options):
  """Outputs and gradients of a mix of them."""

  @jax.jit
  def both(x, w, b, targets):
    def total(x, w, b):
      out = kernels.token_logps(x, w, targets, bias=b, **OPTIONS, **options)
      return sum(jnp.sum(k * o) for k, o in zip(c, out, strict=True)), out

    (_, out), grads = jax.value_and_grad(total, (0, 1, 2), has_aux=True)(
      x, w, b
    )
    return out, grads

  return both(x, w, b, targets)


LAYOUTS = (
  dict(rows=("data", "fsdp", "tensor")),
  dict(vocab=("data", "fsdp", "tensor")),
  dict(rows="data", vocab="tensor"),
  dict(rows=("data", "fsdp"), vocab="tensor", hidden="fsdp"),
  dict(rows=("data", "fsdp"), hidden=("data", "fsdp")),
)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_equals_one_device(layout):
  x, w, b, targets, c = arrays()
  transposed = "hidden" in layout
  head = w.T if transposed else w
  want, want_grads = run(
    x, head, b, targets, c, impl="reference", transposed=transposed
  )
  oracle = kernel_oracle.token_stats(x, w, targets, bias=b, **OPTIONS)
  got, grads = run(
    x,
    head,
    b,
    targets,
    c,
    impl="chunked",
    transposed=transposed,
    sharding=kernels.Sharding(mesh_of(), **layout),
  )
  for g, e, o in zip(got, want, oracle, strict=True):
    np.testing.assert_allclose(g, e, atol=1e-5)
    np.testing.assert_allclose(g, o, atol=1e-5)
  for g, e in zip(grads, want_grads, strict=True):
    np.testing.assert_allclose(g, e, atol=1e-5)


@pytest.mark.parametrize("transposed", (False, True))
def test_a_head_gathered_in_pieces(transposed, monkeypatch):
  """Two or five pieces of each device's part of the vocabulary."""
  x, w, b, targets, c = arrays()
  head = w.T if transposed else w
  want, want_grads = run(
    x, head, b, targets, c, impl="reference", transposed=transposed
  )
  for vocab, parts in (("tensor", 2), (None, 5)):
    layout = kernels.Sharding(
      mesh_of(), rows=("data", "fsdp"), vocab=vocab, hidden="fsdp"
    )
    size = V // layout.count(layout.vocab)
    monkeypatch.setattr(sharded, "_PIECE_BYTES", 4 * D * size // parts)
    static = problem.Problem(transposed=transposed)
    assert sharded.pieces(layout, static, head) == parts
    got, grads = run(
      x,
      head,
      b,
      targets,
      c,
      impl="chunked",
      transposed=transposed,
      sharding=layout,
    )
    for g, e in zip((*got, *grads), (*want, *want_grads), strict=True):
      np.testing.assert_allclose(g, e, atol=2e-5)


def test_arrays_that_lie_on_the_mesh_stay_there():
  """Placed inputs, explicit or not; dw comes back where the head lies."""
  x, w, b, targets, c = arrays()
  want, want_grads = run(x, w, b, targets, c, impl="reference")
  mesh = mesh_of()
  layout = kernels.Sharding(
    mesh, rows=("data", "fsdp"), vocab="tensor", hidden="fsdp"
  )
  rows, head = P(("data", "fsdp")), P("fsdp", "tensor")
  placed = [
    jax.device_put(a, NamedSharding(mesh, s))
    for a, s in ((x, rows), (w, head), (b, P("tensor")), (targets, rows))
  ]
  got, grads = run(*placed, c, impl="chunked", sharding=layout)
  for g, e in zip((*got, *grads), (*want, *want_grads), strict=True):
    np.testing.assert_allclose(g, e, atol=1e-5)
  assert grads[1].sharding.is_equivalent_to(NamedSharding(mesh, head), 2)


def test_a_mesh_with_explicit_axes():
  x, w, b, targets, c = arrays()
  want, want_grads = run(x, w, b, targets, c, impl="reference")
  mesh = mesh_of(AxisType.Explicit)
  with jax.set_mesh(mesh):
    got, grads = run(
      jax.device_put(x, P("data")),
      jax.device_put(w, P(None, "tensor")),
      b,
      jax.device_put(targets, P("data")),
      c,
      impl="chunked",
      sharding=kernels.Sharding(mesh, rows="data", vocab="tensor"),
    )
  for g, e in zip((*got, *grads), (*want, *want_grads), strict=True):
    np.testing.assert_allclose(g, e, atol=1e-5)


def test_rows_that_do_not_divide_and_masks_and_sums():
  x, w, b, targets, c = arrays(n=21)
  mask = np.arange(21) % 3 != 1
  x = np.where(mask[:, None], x, np.nan)
  layout = kernels.Sharding(mesh_of(), rows=("data", "fsdp"), vocab="tensor")
  want, want_grads = run(x, w, b, targets, c, impl="reference", mask=mask)
  got, grads = run(
    x, w, b, targets, c, impl="chunked", mask=mask, sharding=layout
  )
  for g, e in zip((*got, *grads), (*want, *want_grads), strict=True):
    np.testing.assert_allclose(g, e, atol=1e-5)
  ids = np.arange(21) % 4
  weights = np.where(mask, c[0], 0)
  sums = [
    jax.jit(
      functools.partial(
        kernels.sequence_logps, segments=ids, num_segments=4, **how
      )
    )(x, w, targets, weights)
    for how in ({"impl": "reference"}, {"sharding": layout})
  ]
  np.testing.assert_allclose(*sums, atol=1e-5)


def test_a_slice_of_impossible_tokens_and_targets_outside():
  x, w, b, targets, _ = arrays()
  b[: V // 2] = -np.inf
  targets = np.where(targets < V // 2, targets + V // 2, targets)
  layout = kernels.Sharding(mesh_of(), vocab="tensor")
  targets[3] = V

  def results(**how):
    def total(x, w):
      out = kernels.token_logps(x, w, targets, bias=b, **how)
      return jnp.nansum(jnp.stack(out)), out

    grad = jax.value_and_grad(total, (0, 1), has_aux=True)
    (_, out), grads = jax.jit(grad)(x, w)
    return out, grads

  want, want_grads = results(impl="reference")
  got, grads = results(impl="chunked", sharding=layout)
  assert np.isnan(got.logps[3]) and np.isfinite(got.entropy).all()
  for g, e in zip((*got, *grads), (*want, *want_grads), strict=True):
    np.testing.assert_allclose(g, e, atol=1e-5)


@pytest.mark.parametrize("dtype", (np.float32, jnp.bfloat16))
def test_the_tpu_kernels_on_a_mesh(dtype):
  """Interpreted. Parts of sums are added in float32, then rounded once."""
  x, w, b, targets, c = arrays()
  x, w = jnp.asarray(x, dtype), jnp.asarray(w, dtype)
  want, want_grads = run(x, w, b, targets, c, impl="reference")
  got, grads = run(
    x,
    w,
    b,
    targets,
    c,
    impl="pallas_tpu",
    sharding=kernels.Sharding(mesh_of(), rows="data", vocab="tensor"),
  )
  for g, e in zip(got, want, strict=True):
    np.testing.assert_allclose(g, e, atol=1e-5)
  for g, e in zip(grads, want_grads, strict=True):
    assert g.dtype == e.dtype
    g, e = np.asarray(g, np.float32), np.asarray(e, np.float32)
    atol = 1e-5 if dtype == np.float32 else 1e-2 * np.abs(e).max()
    np.testing.assert_allclose(g, e, atol=atol)


def collectives(compiled) -> collections.Counter:
  found = re.findall(
    r" (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)"
    r"(?:-start)?\(",
    compiled.as_text(),
  )
  return collections.Counter(found)


def test_one_set_of_collectives():
  mesh = mesh_of()
  layout = kernels.Sharding(mesh, rows="data", vocab="tensor")

  def place(shape, spec, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(
      shape, dtype, sharding=NamedSharding(mesh, spec)
    )

  args = (
    place((N, D), P("data")),
    place((D, V), P(None, "tensor")),
    place((N,), P("data"), jnp.int32),
  )

  def total(x, w, t):
    out = kernels.token_logps(x, w, t, impl="chunked", sharding=layout)
    return jnp.sum(jnp.stack(out), axis=0)

  forward = jax.jit(total).lower(*args).compile()
  # The maximum, then everything else in one sum.
  assert collectives(forward) == {"all-reduce": 2}
  both = jax.jit(jax.grad(lambda *a: jnp.sum(total(*a)), (0, 1)))
  # dx over the vocabulary's axis, dw over that of the rows.
  assert collectives(both.lower(*args).compile()) == {"all-reduce": 4}


def test_what_does_not_divide_stays_whole(caplog):
  x, w, b, targets, c = arrays()
  x, w, b, targets = x[:, :15], w[:15, :319], b[:319], targets % 319
  layout = kernels.Sharding(
    mesh_of(), rows=("data", "fsdp"), vocab="tensor", hidden="fsdp"
  )
  want, want_grads = run(x, w, b, targets, c, impl="reference")
  select._SEEN.clear()
  with caplog.at_level("INFO", logger="prefjax.kernels"):
    got, grads = run(x, w, b, targets, c, impl="chunked", sharding=layout)
  for g, e in zip((*got, *grads), (*want, *want_grads), strict=True):
    np.testing.assert_allclose(g, e, atol=1e-5)
  vocab, hidden = (r.getMessage() for r in caplog.records)
  assert "vocab of the head stays whole" in vocab and "size is 319" in vocab
  assert "hidden of the head stays whole" in hidden


def test_gradient_of_a_gradient():
  x, w, b, targets, c = arrays()

  def curvature(**how):
    def inner(x):
      out = kernels.token_logps(x, w, targets, bias=b, **how)
      return sum(jnp.sum(k * o) for k, o in zip(c, out, strict=True))

    return jax.jit(jax.grad(lambda x: jnp.sum(jax.grad(inner)(x) ** 2)))(x)

  layout = kernels.Sharding(mesh_of(), rows="data", vocab="tensor")
  np.testing.assert_allclose(
    curvature(impl="chunked", sharding=layout),
    curvature(impl="reference"),
    rtol=1e-3,
    atol=1e-3,
  )


def test_compiles_for_a_tpu_slice():
  """Vocabulary over two chips, rows and hidden size over two, on a v5e."""
  mesh = jax.make_mesh(
    (2, 2),
    ("fsdp", "tensor"),
    axis_types=(AxisType.Auto,) * 2,
    devices=tpu_topology.devices("v5e"),
  )
  layout = kernels.Sharding(mesh, rows="fsdp", vocab="tensor", hidden="fsdp")

  def place(shape, spec, dtype=jnp.bfloat16):
    return jax.ShapeDtypeStruct(
      shape, dtype, sharding=NamedSharding(mesh, spec)
    )

  def total(x, w, t):
    out = kernels.token_logps(x, w, t, sharding=layout, entropy=False)
    return jnp.sum(out.logps)

  # "auto" looks at the mesh, not at the machine that compiles.
  compiled = (
    jax.jit(jax.grad(total, (0, 1)))
    .lower(
      place((4096, 256), P("fsdp")),
      place((256, 2048), P("fsdp", "tensor")),
      place((4096,), P("fsdp"), jnp.int32),
    )
    .compile()
  )
  assert compiled.as_text().count('target="tpu_custom_call"') == 3


def test_mistakes_are_named():
  x, w, b, targets, _ = arrays()
  mesh = mesh_of()
  cases = (
    (dict(rows="batch"), "rows names mesh axis 'batch'.*'tensor'"),
    (dict(rows="data", vocab="data"), "share a mesh axis"),
    (dict(rows="data", hidden="fsdp"), "hidden .'fsdp',. must be among"),
  )
  for layout, words in cases:
    with pytest.raises(ValueError, match=words):
      kernels.Sharding(mesh, **layout)
  layout = kernels.Sharding(mesh, vocab="tensor")
  with pytest.raises(ValueError, match="sharding does nothing"):
    kernels.token_logps(x, w, targets, impl="reference", sharding=layout)
