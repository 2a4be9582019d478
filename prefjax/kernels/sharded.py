# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Token log-probs over a mesh: rows, vocabulary or both split over devices.

Each device walks its own rows and its own slice of the head with the plan
of one device, once in each direction. Across slices of the vocabulary the
forward pass takes one maximum and one sum of three numbers a row (sum of
exponentials, target logit, entropy moment); the backward pass needs none
for the logits again, since every device has each row's logsumexp. Then dx
is summed over the vocabulary's axes, dw over those of the rows, in float32.

A head whose hidden size is spread too is gathered piece by piece of the
vocabulary, and the gradient of a piece is scattered before the next is made:
a whole one, in float32, would take gigabytes on every device.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from prefjax.kernels import chunked, tiling, vjp
from prefjax.kernels import problem as problem_lib

_PIECE_BYTES = 1 << 28
_MOST_PIECES = 64


def _names(axes: str | tuple[str, ...] | None) -> tuple[str, ...]:
  return () if axes is None else (axes,) if isinstance(axes, str) else axes


@dataclasses.dataclass(frozen=True)
class Sharding:
  """How hidden states and head lie on a mesh.

  Attributes:
    mesh: devices, attached or described by a topology.
    rows: mesh axes that split the first axis of the hidden states.
    vocab: mesh axes that split the head's vocabulary.
    hidden: mesh axes that split the head's hidden size (fully sharded data
      parallelism), among those of the rows. The head is gathered over them
      before use, its gradient is scattered over them.

  Where axes do not divide the vocabulary or hidden size, that stays whole.

  Raises:
    ValueError: an axis is not in the mesh, or used twice.
  """

  mesh: jax.sharding.Mesh
  rows: str | tuple[str, ...] | None = None
  vocab: str | tuple[str, ...] | None = None
  hidden: str | tuple[str, ...] | None = None

  def __post_init__(self):
    for field in ("rows", "vocab", "hidden"):
      object.__setattr__(self, field, _names(getattr(self, field)))
      for axis in getattr(self, field):
        if axis not in self.mesh.shape:
          raise ValueError(
            f"Sharding: {field} names mesh axis {axis!r}, the mesh has"
            f" {', '.join(map(repr, self.mesh.shape))}"
          )
    used = (*self.rows, *self.vocab)
    if len(set(used)) < len(used):
      raise ValueError(
        f"Sharding: rows {self.rows} and vocab {self.vocab} share a mesh axis"
      )
    if not set(self.hidden) <= set(self.rows):
      raise ValueError(
        f"Sharding: hidden {self.hidden} must be among the axes of rows"
        f" {self.rows}"
      )

  def count(self, axes: tuple[str, ...]) -> int:
    """Number of parts that mesh axes make."""
    return math.prod(self.mesh.shape[a] for a in axes)


def _spec(*axes) -> PartitionSpec:
  return PartitionSpec(*(a or None for a in axes))


def fitting(
  sharding: Sharding, problem: problem_lib.Problem, weight
) -> tuple[Sharding, list[str]]:
  """The sharding less what does not divide, and what that is, in words.

  An axis of an array that mesh axes do not divide cannot be split over
  them, so it is whole already.
  """
  dropped = []
  sizes = {
    "vocab": problem.vocab_of(weight),
    "hidden": weight.shape[1 - problem.vocab_axis],
  }
  for field, size in sizes.items():
    axes = getattr(sharding, field)
    count = sharding.count(axes)
    if size % count:
      sharding = dataclasses.replace(sharding, **{field: None})
      dropped.append(
        f"{field} of the head stays whole: mesh axes {axes} make {count}"
        f" parts, its size is {size}"
      )
  return sharding, dropped


def pieces(sharding: Sharding, problem: problem_lib.Problem, weight) -> int:
  """In how many pieces of the vocabulary a device gathers its head."""
  if sharding.count(sharding.hidden) == 1:
    return 1
  vocab = problem.vocab_of(weight) // sharding.count(sharding.vocab)
  size = 4 * weight.shape[1 - problem.vocab_axis]  # of an id's gradient
  for count in range(1, _MOST_PIECES + 1):
    if vocab % count == 0 and vocab // count * size <= _PIECE_BYTES:
      return count
  return 1


def local_shapes(
  sharding: Sharding, problem: problem_lib.Problem, x, weight
) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
  """What one device has of x [N, D] and of a gathered piece of the head."""
  shape = list(weight.shape)
  shape[problem.vocab_axis] //= sharding.count(sharding.vocab)
  shape[problem.vocab_axis] //= pieces(sharding, problem, weight)
  rows = -(-x.shape[0] // sharding.count(sharding.rows))
  return (
    jax.ShapeDtypeStruct((rows, x.shape[1]), x.dtype),
    jax.ShapeDtypeStruct(tuple(shape), weight.dtype),
  )


@dataclasses.dataclass(frozen=True)
class Plan:
  """`local` on each device of a mesh, see the module's docstring.

  Attributes:
    local: plan for the shapes of one device; gives gradients in float32.
    sharding: where things are.
    pieces: of the vocabulary that a device takes one after the other.
  """

  local: Any
  sharding: Sharding
  pieces: int = 1

  @property
  def problem(self) -> problem_lib.Problem:
    return self.local.problem

  def _head(self, vocab, hidden) -> PartitionSpec:
    pair = (vocab, hidden) if self.problem.vocab_axis == 0 else (hidden, vocab)
    return _spec(*pair)

  def _map(self, function, rows, weight, bias, out_specs):
    """Runs function(rows, weight, bias) on each device's part."""
    sharding = self.sharding
    row_specs = jax.tree.map(
      lambda a: _spec(sharding.rows, *[()] * (a.ndim - 1)), rows
    )
    in_specs = (
      row_specs,
      self._head(sharding.vocab, sharding.hidden),
      None if bias is None else _spec(sharding.vocab),
    )
    args = (rows, weight, bias)
    if self._is_explicit:
      args = jax.tree.map(
        lambda a, s: jax.reshard(a, NamedSharding(sharding.mesh, s)),
        args,
        in_specs,
      )
    return jax.shard_map(
      function,
      mesh=sharding.mesh,
      in_specs=in_specs,
      out_specs=out_specs,
      check_vma=False,
    )(*args)

  @property
  def _is_explicit(self) -> bool:
    """Whether shardings are part of types, and must be changed in so many
    words."""
    return AxisType.Explicit in self.sharding.mesh.axis_types

  def _like(self, grad, primal):
    """A gradient where the argument lies, if that is part of its type."""
    if grad is None or not self._is_explicit:
      return grad
    spec = jax.typeof(primal).sharding.spec
    return jax.reshard(grad, NamedSharding(self.sharding.mesh, spec))

  def _piece(self, weight, bias, targets, index):
    """The gathered piece of a device's head, its bias and its targets.

    Targets are counted from the piece's first id, -1 if elsewhere.
    """
    axis = self.problem.vocab_axis
    part = self.problem.vocab_of(weight)
    size = part // self.pieces
    first = index * size
    if self.pieces > 1:
      weight = tiling.take(weight, first, size, axis)
      bias = tiling.take(bias, first, size)
    if self.sharding.hidden:
      weight = jax.lax.all_gather(
        weight, self.sharding.hidden, axis=1 - axis, tiled=True
      )
    if self.sharding.vocab:
      first = first + jax.lax.axis_index(self.sharding.vocab) * part
    elif self.pieces == 1:
      return weight, bias, targets
    column = targets - first
    here = (column >= 0) & (column < size)
    return weight, bias, jnp.where(here, column, -1)

  def _padded(self, rows):
    """Rows up to a multiple of the parts; those added change nothing."""
    count = self.sharding.count(self.sharding.rows)

    def pad(array):
      extra = -array.shape[0] % count
      return jnp.pad(array, [(0, extra)] + [(0, 0)] * (array.ndim - 1))

    return jax.tree.map(pad, rows)

  def stats(self, x, weight, bias, targets):
    backup = chunked.make_plan(
      self.problem, x.shape[0], self.problem.vocab_of(weight)
    )
    run = vjp.backed(self._stats, backup.stats)
    return run(x, weight, bias, targets)

  def _stats(self, x, weight, bias, targets):
    def local(rows, weight, bias):
      x, targets = rows

      def piece(index):
        return self.local.stats(x, *self._piece(weight, bias, targets, index))

      if self.pieces == 1:
        stats = piece(0)
      else:
        stats = vjp.combine(
          self.problem,
          jax.lax.map(piece, jnp.arange(self.pieces)),
          functools.partial(jnp.max, axis=-2),
          functools.partial(jnp.sum, axis=-2),
        )
      if not self.sharding.vocab:
        return stats
      axes = self.sharding.vocab
      return vjp.combine(
        self.problem,
        stats,
        functools.partial(jax.lax.pmax, axis_name=axes),
        functools.partial(jax.lax.psum, axis_name=axes),
      )

    spec = _spec(self.sharding.rows)
    stats = self._map(
      local, self._padded((x, targets)), weight, bias, (spec,) * 4
    )
    return tuple(s[: x.shape[0]] for s in stats)

  def gradients(self, needs, x, weight, bias, targets, stats, cotangents):
    backup = chunked.make_plan(
      self.problem, x.shape[0], self.problem.vocab_of(weight)
    )
    run = vjp.backed(
      functools.partial(self._gradients, needs),
      functools.partial(backup.gradients, needs),
    )
    return run(x, weight, bias, targets, stats, cotangents)

  def _gradients(self, needs, x, weight, bias, targets, stats, cotangents):
    sharding = self.sharding

    def local(rows, weight, bias):
      x, targets, stats, cotangents = rows

      def piece(dx, index):
        own = self._piece(weight, bias, targets, index)
        more, dw, db = self.local.gradients(needs, x, *own, stats, cotangents)
        dx = None if dx is None else dx + more.astype(dx.dtype)
        return dx, (self._sum_of_head(dw) if needs.weight else None, db)

      dx = jnp.zeros(x.shape, stats[0].dtype) if needs.x else None
      if self.pieces == 1:
        dx, (dw, db) = piece(dx, 0)
      else:
        dx, (dw, db) = jax.lax.scan(piece, dx, jnp.arange(self.pieces))
        dw, db = self._joined(dw), None if db is None else db.reshape(-1)
      if needs.x and sharding.vocab:
        dx = jax.lax.psum(dx, sharding.vocab)
      if needs.bias and sharding.rows:
        db = jax.lax.psum(db, sharding.rows)
      return dx, dw, db

    out_specs = (
      _spec(sharding.rows, ()) if needs.x else None,
      self._head(sharding.vocab, sharding.hidden) if needs.weight else None,
      _spec(sharding.vocab) if needs.bias else None,
    )
    rows = self._padded((x, targets, stats, cotangents))
    dx, dw, db = self._map(local, rows, weight, bias, out_specs)
    dx = None if dx is None else dx[: x.shape[0]]
    return tuple(map(self._like, (dx, dw, db), (x, weight, bias)))

  def _joined(self, dw):
    """[C, v, d] or [C, d, v] of pieces as one, None for None."""
    if dw is None or self.problem.vocab_axis == 0:
      return None if dw is None else dw.reshape(-1, dw.shape[-1])
    return jnp.moveaxis(dw, 0, 1).reshape(dw.shape[1], -1)

  def _sum_of_head(self, dw):
    """dw summed over the rows' axes, scattered over those of the hidden."""
    sharding = self.sharding
    if sharding.hidden:
      dw = jax.lax.psum_scatter(
        dw,
        sharding.hidden,
        scatter_dimension=1 - self.problem.vocab_axis,
        tiled=True,
      )
    rest = tuple(a for a in sharding.rows if a not in sharding.hidden)
    return jax.lax.psum(dw, rest) if rest else dw
