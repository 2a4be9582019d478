# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Axes of a mesh for the dimensions of an array."""

import math
from collections.abc import Sequence

from jax.sharding import Mesh, PartitionSpec

# None, one mesh axis, or several over which a dimension is cut.
Axis = str | tuple[str, ...] | None


def fitting_spec(
  mesh: Mesh, shape: Sequence[int], axes: Sequence[Axis]
) -> PartitionSpec:
  """The axes for the last dimensions of an array, as far as they divide it.

  Args:
    mesh: the devices.
    shape: of the array; leading dimensions beyond `axes` stay whole.
    axes: one entry a dimension. An axis of one device, or whose size does
      not divide the dimension, is left out.
  """
  axes = (None,) * (len(shape) - len(axes)) + tuple(axes)
  axes = axes[len(axes) - len(shape) :]
  kept = []
  for axis, size in zip(axes, shape, strict=True):
    names = () if axis is None else (axis,) if isinstance(axis, str) else axis
    ways = math.prod(mesh.shape[name] for name in names)
    kept.append(axis if ways > 1 and size % ways == 0 else None)
  return PartitionSpec(*kept)
