# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A decoder over a mesh: the same numbers, and weights that come to rows."""

import re

import jax
import jax.numpy as jnp
import model_support
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from prefjax import kernels, models
from prefjax.core import sharding as sharding_lib
from prefjax.models import base, spread
from prefjax.train import mesh as mesh_lib

CONFIG = model_support.config(
  hidden_size=32, intermediate_size=64, num_heads=8, num_kv_heads=4
)
MODEL = models.Model(CONFIG)


def _mesh():
  return jax.make_mesh(
    (2, 2, 2),
    ("data", "fsdp", "tensor"),
    axis_types=(AxisType.Auto,) * 3,
  )


def _sharding():
  return kernels.Sharding(
    _mesh(), rows=("data", "fsdp"), vocab="tensor", hidden="fsdp"
  )


def _group(b=8, slots=8):
  rng = np.random.default_rng(0)
  return model_support.group(
    rng.integers(1, slots + 1, b),
    rng.integers(1, slots + 1, (b, 2)),
    prompt_slots=slots,
    response_slots=slots,
    vocab=32,
  )


def _loss(group, sharding, **options):
  def loss(params):
    out = MODEL.hidden(params, group, sharding=sharding, **options)
    mask = group.token_mask[..., None]
    return jnp.sum(jnp.where(mask, jnp.sin(out.at), 0).astype(jnp.float32))

  return loss


@pytest.mark.parametrize("layout", base.LAYOUTS)
@pytest.mark.parametrize("dtype", (jnp.float32, jnp.bfloat16))
def test_equals_one_device(layout, dtype):
  params = MODEL.init(jax.random.key(0))
  options = dict(layout=layout, dtype=dtype, remat="full", attention="xla")
  want, want_grads = jax.jit(
    jax.value_and_grad(_loss(_group(), None, **options))
  )(params)
  placed = jax.device_put(
    params, mesh_lib.tree_shardings(_mesh(), params, spread.RULES)
  )
  got, grads = jax.jit(
    jax.value_and_grad(_loss(_group(), _sharding(), **options))
  )(placed)
  close = 1e-5 if dtype == jnp.float32 else 0.03
  np.testing.assert_allclose(got, want, rtol=close)
  assert model_support.tree_gap(grads, want_grads) < close


def test_the_kernel_over_a_mesh():
  """Interpreted; rows over four devices, heads over two."""
  params = MODEL.init(jax.random.key(0))
  want = _loss(_group(), None, attention="xla")(params)
  got = jax.jit(_loss(_group(), _sharding(), attention="splash"))(params)
  np.testing.assert_allclose(got, want, rtol=1e-5)


def test_weights_are_gathered_and_activations_stay():
  """What is sent over the axis of the rows is as large as weights are."""
  mesh = jax.make_mesh(
    (1, 8, 1), ("data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 3
  )
  sharding = kernels.Sharding(
    mesh, rows=("data", "fsdp"), vocab="tensor", hidden="fsdp"
  )
  group = _group(b=16, slots=32)
  shapes = MODEL.shapes()
  placed = jax.tree.map(
    lambda s, at: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=at),
    shapes,
    mesh_lib.tree_shardings(mesh, shapes, spread.RULES),
  )
  rows = NamedSharding(mesh, P(("data", "fsdp")))
  batch = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=rows), group
  )

  def sent(told):
    def loss(params, group):
      return _loss(group, told)(params)

    text = jax.jit(jax.grad(loss)).lower(placed, batch).compile().as_text()
    sizes = [0]
    for line in text.splitlines():
      found = re.search(
        r"= \(?f32\[([\d,]*)\].* (?:all-gather|all-reduce|all-to-all)\(", line
      )
      if found:
        sizes.append(np.prod([int(d) for d in found[1].split(",") if d]))
    return max(sizes)

  largest = 2 * CONFIG.hidden_size * CONFIG.intermediate_size  # 2 layers
  activations = 16 * (32 + 2 * 32) * CONFIG.hidden_size
  assert activations > 4 * largest
  # The embeddings of all rows change hands once, cut by device.
  assert sent(sharding) <= largest
  assert sent(None) > largest


def test_rules_of_use_and_what_does_not_divide():
  mesh = _mesh()
  where = spread.Spread(mesh, ("data", "fsdp"), ("tensor",), ("fsdp",))
  q = where.gather("attention/q/kernel", (32, 32))
  assert q.stored.spec == P("fsdp", "tensor")
  assert q.used.spec == P(None, "tensor")
  down = where.gather("mlp/down/kernel", (64, 32))
  assert down.stored.spec == P("tensor", "fsdp")
  assert down.used.spec == P("tensor", None)
  # 31 is not cut: nothing to gather.
  assert where.gather("attention/q/kernel", (31, 32)) is None
  assert where.gather("attention_norm/scale", (32,)) is None
  assert where.heads(4) == ("tensor",) and where.heads(3) == ()
  assert sharding_lib.fitting_spec(
    mesh, (2, 8, 6), (("data", "fsdp"), "tensor")
  ) == P(None, ("data", "fsdp"), "tensor")
  assert sharding_lib.fitting_spec(mesh, (6, 5), (("data", "fsdp"),) * 2) == P(
    None, None
  )
