# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Where a decoder's weights and activations lie on a mesh.

XLA splits a program over devices by itself, but it only knows what it is
told. Told nothing but where the weights lie, it may leave them there and
send activations around instead, which costs many times the memory and the
traffic. So the rows of activations are pinned to the batch's axes, and a
layer's weights are gathered over the axes of fully sharded data parallelism
just before they are used, in the dtype of the arithmetic; their gradients
are summed in float32 and scattered back.
"""

import dataclasses
import functools
import math
import re

import jax
from jax.sharding import Mesh, NamedSharding

from prefjax.core import sharding as sharding_lib

# Mesh axes for the last dimensions of a weight, by the end of its path.
# Leading dimensions that a rule does not name are those of stacked layers.
RULES = (
  (r"(.*/)?embed/tokens", ("tensor", "fsdp")),
  (r"(.*/)?embed/positions", (None, "fsdp")),
  (r"(.*/)?head/weight", ("tensor", "fsdp")),
  (r"(.*/)?attention/[qkv]/kernel", ("fsdp", "tensor")),
  (r"(.*/)?attention/o/kernel", ("tensor", "fsdp")),
  (r"(.*/)?mlp/(gate|up)/kernel", ("fsdp", "tensor")),
  (r"(.*/)?mlp/down/kernel", ("tensor", "fsdp")),
  (r"(.*/)?(attention/[qkv]|mlp/(gate|up))/bias", ("tensor",)),
  (r"(.*/)?(attention|mlp)/[a-z]+/a", ("fsdp", None)),
  (r"(.*/)?(attention|mlp)/[a-z]+/b", (None, "fsdp")),
)


@dataclasses.dataclass(frozen=True)
class Gather:
  """How one weight is stored, and how it is used."""

  stored: NamedSharding
  used: NamedSharding

  def weight(self, w: jax.Array, dtype) -> jax.Array:
    """The weight as it is used; cast first, so that less is sent."""
    w = jax.lax.with_sharding_constraint(w.astype(dtype), self.stored)
    return jax.lax.with_sharding_constraint(w, self.used)

  def gradient(self, dw: jax.Array) -> jax.Array:
    """A gradient where the weight is stored."""
    return jax.lax.with_sharding_constraint(dw, self.stored)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def gathered(w: jax.Array, gather: Gather) -> jax.Array:
  """`gather.weight` in the weight's own dtype, differentiable."""
  return gather.weight(w, w.dtype)


def _gathered_forward(w, gather):
  return gather.weight(w, w.dtype), None


def _gathered_backward(gather, residuals, g):
  del residuals
  return (gather.gradient(g),)


gathered.defvjp(_gathered_forward, _gathered_backward)


@dataclasses.dataclass(frozen=True)
class Spread:
  """A mesh and what its axes mean.

  Attributes:
    mesh: devices, attached or described by a topology.
    rows: axes that cut the rows of a batch.
    tensor: axes that cut heads and inner sizes.
    fsdp: axes that cut weights where they are stored, and only there.
  """

  mesh: Mesh
  rows: tuple[str, ...]
  tensor: tuple[str, ...]
  fsdp: tuple[str, ...]

  def pin(self, x: jax.Array) -> jax.Array:
    """The same values, with the first dimension cut over the rows' axes."""
    axes = (self.rows, *[None] * (x.ndim - 1))
    spec = sharding_lib.fitting_spec(self.mesh, x.shape, axes)
    return jax.lax.with_sharding_constraint(x, NamedSharding(self.mesh, spec))

  def heads(self, count: int) -> tuple[str, ...]:
    """The axes that cut this many heads: `tensor`, or none."""
    return self.tensor if count % self.count(self.tensor) == 0 else ()

  def count(self, axes: tuple[str, ...]) -> int:
    """Number of parts that mesh axes make."""
    return math.prod(self.mesh.shape[axis] for axis in axes)

  def gather(self, path: str, shape: tuple[int, ...]) -> Gather | None:
    """How the weight of a path such as 'attention/q/kernel' is gathered.

    None where no rule cuts it over `fsdp`.
    """
    for pattern, axes in RULES:
      if re.fullmatch(pattern, path) and len(axes) <= len(shape):
        stored = self._sharding(axes, shape, fsdp=self.fsdp)
        used = self._sharding(axes, shape, fsdp=None)
        return None if stored == used else Gather(stored, used)
    return None

  def _sharding(self, axes, shape, fsdp) -> NamedSharding:
    named = {"tensor": self.tensor or None, "fsdp": fsdp or None, None: None}
    spec = sharding_lib.fitting_spec(
      self.mesh, shape, [named[axis] for axis in axes]
    )
    return NamedSharding(self.mesh, spec)
