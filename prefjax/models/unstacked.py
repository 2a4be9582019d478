# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Layers beside one another instead of stacked, for decoding on CPUs.

A scan cuts each layer's weights out of a stack. XLA's CPU compiler copies
them before it multiplies (and bfloat16 by way of float32), which takes longer
than to multiply them with the few rows of a decoding step. Here every layer
has arrays of its own, and matrices lie [outputs, inputs], the order in which
few rows are multiplied fastest.
"""

from typing import Any

import jax
import jax.numpy as jnp

from prefjax.kernels import select


def pays() -> bool:
  """Whether decoding is faster so, where the program is to run."""
  return select.target_device().platform == "cpu"


def _apart(stacks: Any, count: int) -> tuple[Any, ...]:
  """A pytree of arrays [L, ...] as L trees."""
  return tuple(
    jax.tree.map(lambda leaf, i=i: leaf[i], stacks) for i in range(count)
  )


def _transposed(tree: Any) -> Any:
  return jax.tree.map(lambda a: a.T if a.ndim == 2 else a, tree)


def apart(tree: Any, count: int) -> Any:
  """A tree laid out like the parameters, its "blocks" a tuple of layers."""
  if not tree:
    return tree
  return {**tree, "blocks": _apart(tree.get("blocks", {}), count)}


def weights(params: Any, count: int) -> Any:
  """The parameters as `decoder.run` takes them unstacked.

  Args:
    params: of a decoder.
    count: blocks in the stack.
  """
  laid = apart(params, count)
  layers = {part: laid[part] for part in ("blocks", "rest") if part in laid}
  return {**laid, **_transposed(layers)}


def pinned(params: Any, x: jax.Array) -> tuple[Any, jax.Array]:
  """Both as they are, for the body of a loop that draws x in every step.

  The compiler sees no constant of the loop in these parameters. From a
  constant it would make a transposed copy in front of the loop, the order
  that few rows are multiplied slowly in.
  """
  return jax.lax.optimization_barrier((params, x)) if pays() else (params, x)


def run(block: Any, x: jax.Array, inputs: Any) -> tuple[jax.Array, Any]:
  """`jax.lax.scan` over inputs that are tuples of layers.

  Args:
    block: (x, (index, weights, adapters, cache)) -> (x, what to keep).
    x: the carry.
    inputs: four tuples, or {} where there is nothing.

  Returns:
    (the last carry, what was kept, a tuple).
  """
  kept = []
  for layer in range(len(inputs[0])):
    one = tuple(part[layer] if part else {} for part in inputs)
    x, new = block(x, (jnp.int32(one[0]), *one[1:]))
    kept.append(new)
  return x, tuple(kept)
