# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Layers beside one another instead of stacked, for decoding on CPUs.

A scan cuts each layer's weights out of a stack. XLA's CPU compiler copies
them before it multiplies (and bfloat16 by way of float32), which takes longer
than to multiply them with the few rows of a decoding step. Here every layer
has arrays of its own. Where a CPU has units for matrices, those of bfloat16
lie [outputs, inputs], the order in which they multiply few rows fastest.
"""

from typing import Any

import jax
import jax.numpy as jnp

from prefjax.core import host
from prefjax.kernels import select
from prefjax.models import layer_scan


def pays() -> bool:
  """Whether decoding is faster so, where the program is to run."""
  return select.target_device().platform == "cpu"


def _apart(stacks: Any, count: int) -> tuple[Any, ...]:
  """A pytree of arrays [L, ...] as L trees."""
  words = jax.tree.map(layer_scan.to_words, stacks)

  def layer(i: int) -> Any:
    return jax.tree.map(
      lambda leaf, like: layer_scan.from_words(leaf[i], like.dtype),
      words,
      stacks,
    )

  return tuple(map(layer, range(count)))


def lie_transposed(params: Any) -> bool:
  """Whether the layers' matrices are [outputs, inputs] in `weights`.

  Args:
    params: what `weights` returned.
  """
  matrices = [a for a in jax.tree.leaves(_layers(params)) if a.ndim == 2]
  is_low = all(a.dtype.itemsize < 4 for a in matrices)
  return is_low and host.has_matrix_units()


def _layers(params: Any) -> Any:
  return {part: params[part] for part in ("blocks", "rest") if part in params}


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
  if lie_transposed(laid):
    return {**laid, **_transposed(_layers(laid))}
  return laid


def pinned(tree: Any, x: jax.Array) -> tuple[Any, jax.Array]:
  """Both as they are, for the body of a loop that draws x in every step.

  The compiler sees no constant of the loop in the tree's matrices. From a
  constant it would make a transposed copy in front of the loop, the order
  that few rows are multiplied slowly in.
  """
  return jax.lax.optimization_barrier((tree, x)) if pays() else (tree, x)


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
