# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The scan over layers for CPUs that compute in bfloat16.

A scan stacks what its backward pass needs. XLA's CPU compiler has no
bfloat16 update of a slice: it turns the whole stack into float32 and back
for every layer, at a cost that grows with the square of the depth and was
half of a train step. Here each layer is differentiated inside the scan, and
what it leaves behind is stacked as 16-bit words, which the compiler moves as
they are. Values and gradients are those of `jax.lax.scan`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from prefjax.kernels import select

Block = Callable[[jax.Array, Any], tuple[jax.Array, Any]]


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class _Plan:
  """How a layer's pullback is put together again.

  Attributes:
    tree: of the pullback.
    places: for each of its leaves the index among the layer's slices and
      constants, or -1 if it is stacked.
    dtypes: of those that are stacked.
    live: which of the carry, slices and constants take a gradient.
  """

  tree: Any
  places: tuple[int, ...]
  dtypes: tuple[Any, ...]
  live: tuple[bool, ...]


def to_words(x: jax.Array) -> jax.Array:
  """bfloat16 as uint16, bit by bit; others as they are."""
  if x.dtype == jnp.bfloat16:
    return lax.bitcast_convert_type(x, jnp.uint16)
  return x


def from_words(x: jax.Array, dtype) -> jax.Array:
  """`to_words` undone."""
  return x if x.dtype == dtype else lax.bitcast_convert_type(x, dtype)


def _split(values, live):
  """(the live ones, the others)."""
  pairs = list(zip(values, live, strict=True))
  return [v for v, on in pairs if on], [v for v, on in pairs if not on]


def _join(live_values, others, live):
  """`_split` undone."""
  first, second = iter(live_values), iter(others)
  return [next(first) if on else next(second) for on in live]


def scan(block: Block, x: jax.Array, inputs: Any) -> tuple[jax.Array, Any]:
  """`jax.lax.scan(block, x, inputs)`, differentiated layer by layer.

  Only in reverse mode, and once.

  Args:
    block: (x, one slice of inputs) -> (x, what to keep); it may close over
      traced arrays.
    x: the carry.
    inputs: pytree of arrays that lead with the number of layers.

  Returns:
    (the last carry, what was kept).
  """
  slices, tree = jax.tree.flatten(inputs)
  count = len(slices)

  def flat(x, *slices):
    return block(x, jax.tree.unflatten(tree, slices))

  def one(value):
    return jax.ShapeDtypeStruct(value.shape[1:], value.dtype)

  closed, (_, kept) = jax.make_jaxpr(flat, return_shape=True)(
    x, *map(one, slices)
  )
  if jax.tree.leaves(kept):  # a cache is made, for decoding

    def step(x, slices):
      return flat(x, *map(from_words, slices, dtypes))

    dtypes = [leaf.dtype for leaf in slices]
    return lax.scan(step, x, [to_words(leaf) for leaf in slices])
  consts = closed.consts

  def layer(x, *rest):
    slices, consts = rest[:count], rest[count:]
    return jax.core.eval_jaxpr(closed.jaxpr, consts, x, *slices)[0]

  @jax.custom_vjp
  def run(x, slices, consts):
    def body(x, slices):
      return layer(x, *slices, *consts), None

    return lax.scan(body, x, slices)[0]

  def forward(x, slices, consts):
    live = (True, *(p.perturbed for p in (*slices, *consts)))
    x, slices, consts = jax.tree.map(
      lambda p: p.value,
      (x, slices, consts),
      is_leaf=lambda p: isinstance(p, jax.custom_derivatives.CustomVJPPrimal),
    )
    plans: list[_Plan] = []

    def body(x, slices):
      given = [x, *slices, *consts]
      moving, still = _split(given, live)
      out, pull = jax.vjp(
        lambda *moving: layer(*_join(moving, still, live)), *moving
      )
      leaves, pull_tree = jax.tree.flatten(pull)
      known = {id(value): i for i, value in enumerate(given) if i}
      places = tuple(known.get(id(leaf), -1) for leaf in leaves)
      stacked = [
        leaf for leaf, at in zip(leaves, places, strict=True) if at < 0
      ]
      dtypes = tuple(leaf.dtype for leaf in stacked)
      plans.append(_Plan(pull_tree, places, dtypes, live))
      return out, [to_words(leaf) for leaf in stacked]

    last, stacks = lax.scan(body, x, slices)
    return last, (slices, consts, stacks, plans[-1])

  def backward(residuals, dx):
    slices, consts, stacks, plan = residuals
    live_slices, live_consts = plan.live[1 : 1 + count], plan.live[1 + count :]

    def body(carry, inputs):
      dx, totals = carry
      slices, stacked = inputs
      given = [None, *slices, *consts]
      saved = map(from_words, stacked, plan.dtypes)
      leaves = [next(saved) if at < 0 else given[at] for at in plan.places]
      dx, *rest = jax.tree.unflatten(plan.tree, leaves)(dx)
      mine = sum(live_slices)
      totals = [a + b for a, b in zip(totals, rest[mine:], strict=True)]
      return (dx, totals), rest[:mine]

    totals = [jnp.zeros_like(c) for c in _split(consts, live_consts)[0]]
    (dx, totals), dslices = lax.scan(
      body, (dx, totals), (slices, stacks), reverse=True
    )
    return (
      dx,
      _join(dslices, [None] * (count - len(dslices)), live_slices),
      _join(totals, [None] * (len(consts) - len(totals)), live_consts),
    )

  run.defvjp(forward, backward, symbolic_zeros=True)
  return run(x, slices, consts), kept


def pays(dtype) -> bool:
  """Whether activations of this dtype are better stacked as words."""
  is_cpu = select.target_device().platform == "cpu"
  return is_cpu and jnp.dtype(dtype) == jnp.bfloat16
