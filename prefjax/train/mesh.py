# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Devices on named axes, and where every array of a run lies.

Rows of a batch are spread over ("data", "fsdp"), weights over "fsdp" and
"tensor" by the objective's rules. The axis "sequence" is reserved.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from prefjax.checkpoint import processes
from prefjax.core import errors
from prefjax.core import sharding as sharding_lib
from prefjax.train import optim

AXES = ("data", "fsdp", "tensor")
BATCH_AXES = ("data", "fsdp")

Rules = Sequence[tuple[str, tuple[str | None, ...]]]


def make_mesh(
  data: int = -1,
  fsdp: int = 1,
  tensor: int = 1,
  *,
  devices: Sequence[Any] | None = None,
) -> Mesh:
  """A mesh with the axes data, fsdp and tensor.

  Args:
    data: size of the axis; one of the three may be -1, for what is left.
    fsdp: rows and weights are spread over it.
    tensor: weights are spread over it.
    devices: default all.

  Raises:
    ConfigError: the sizes do not multiply to the number of devices, or data
      does not divide over the slices of a TPU.
  """
  devices = list(jax.devices() if devices is None else devices)
  sizes = {"data": data, "fsdp": fsdp, "tensor": tensor}
  free = [axis for axis, size in sizes.items() if size == -1]
  for axis, size in sizes.items():
    if size != -1 and size < 1:
      raise errors.ConfigError(f"mesh.{axis}: {size} is not 1 or more, or -1")
  if len(free) > 1:
    raise errors.ConfigError(f"mesh.{free[1]}: only one axis may be -1")
  known = math.prod(size for size in sizes.values() if size != -1)
  if free:
    sizes[free[0]] = len(devices) // known
  if math.prod(sizes.values()) != len(devices) or 0 in sizes.values():
    raise errors.ConfigError(
      f"mesh: data={data}, fsdp={fsdp}, tensor={tensor} do not multiply to the"
      f" {len(devices)} devices"
    )
  devices = by_slice(devices, sizes["data"])
  grid = np.asarray(devices).reshape(tuple(sizes.values()))
  return Mesh(grid, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def by_slice(devices: Sequence[Any], data: int) -> list[Any]:
  """Devices slice after slice, so that only the axis data crosses slices.

  Slices of a TPU are joined by the network of the data centre, which is far
  slower than their own links: gradients may go over it, weights may not.

  Args:
    devices: in any order.
    data: size of the axis.

  Raises:
    ConfigError: data does not divide over the slices.
  """
  # Devices that know of no slices are of one.
  slices = [getattr(device, "slice_index", 0) or 0 for device in devices]
  number = len(set(slices))
  if number == 1:
    return list(devices)
  if data % number or len({slices.count(s) for s in set(slices)}) > 1:
    raise errors.ConfigError(
      f"mesh.data: {data} is not a multiple of the {number} slices (of like"
      " size), over which only this axis may go; lower mesh.fsdp or mesh.tensor"
    )
  order = sorted(range(len(devices)), key=lambda i: slices[i])
  return [devices[i] for i in order]


def tree_shardings(mesh: Mesh, tree: Any, rules: Rules) -> Any:
  """NamedShardings for a tree of arrays or ShapeDtypeStructs.

  Args:
    mesh: the devices.
    tree: e.g. a TrainState; optimiser moments have the paths of their
      parameters at their end and follow the same rules.
    rules: (regular expression, axes of the last dimensions); the first whose
      expression matches the end of the path, after a '/', decides. A leaf
      without a rule is replicated.
  """
  compiled = [(re.compile(pattern), axes) for pattern, axes in rules]

  def one(path: str, leaf: Any) -> NamedSharding:
    for pattern, axes in compiled:
      if pattern.fullmatch(path) and len(axes) <= len(leaf.shape):
        spec = sharding_lib.fitting_spec(mesh, leaf.shape, axes)
        return NamedSharding(mesh, spec)
    return NamedSharding(mesh, PartitionSpec())

  return jax.tree.map(one, optim.tree_paths(tree), tree)


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """Rows over data and fsdp, everything else whole."""
  return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def batch_ways(mesh: Mesh) -> int:
  """In how many parts the rows of a batch are cut."""
  return math.prod(mesh.shape[axis] for axis in BATCH_AXES)


def check_batch(mesh: Mesh, batch_size: int, micro_batches: int) -> None:
  """Checks that rows divide evenly.

  Raises:
    ConfigError: they do not.
  """
  ways = batch_ways(mesh)
  if micro_batches < 1 or batch_size % (ways * micro_batches):
    raise errors.ConfigError(
      f"data.batch_size: {batch_size} rows are not a multiple of"
      f" train.micro_batches={micro_batches} times the {ways} parts of"
      " mesh.data x mesh.fsdp"
    )


def own_rows(mesh: Mesh, batch_size: int) -> np.ndarray:
  """int64 [b]: which rows of a global batch this process makes, ascending.

  Processes that share rows, because weights are spread over them, make the
  same ones. The batch must divide over the devices.
  """
  here = jax.process_index()
  places = batch_sharding(mesh).devices_indices_map((batch_size,))
  parts = {
    index[0].indices(batch_size)[:2]
    for device, index in places.items()
    if device.process_index == here
  }
  return np.concatenate([np.arange(*part) for part in sorted(parts)])


def counts_rows(mesh: Mesh) -> bool:
  """Whether no process before this one makes this one's rows.

  Sums over the rows of processes leave out what the others have again.
  """
  here = jax.process_index()
  first: dict[tuple[int, int], int] = {}
  own = set()
  ways = batch_ways(mesh)
  places = batch_sharding(mesh).devices_indices_map((ways,))
  for device, index in places.items():
    part, process = index[0].indices(ways)[:2], device.process_index
    first[part] = min(first.get(part, process), process)
    if process == here:
      own.add(part)
  return all(first[part] == here for part in own)


def to_global(mesh: Mesh, batch: Any) -> Any:
  """This process's rows as parts of global arrays."""
  sharding = batch_sharding(mesh)
  return jax.tree.map(
    lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)),
    batch,
  )


def spread(mesh: Mesh, batch: Any) -> Any:
  """Rows that every process has, all of them, as global arrays.

  For evaluation: each process puts its part on its devices, and `gather`
  brings back what became of all rows.
  """
  sharding = batch_sharding(mesh)

  def one(x):
    x = np.asarray(x)
    return jax.make_array_from_callback(x.shape, sharding, lambda i: x[i])

  return jax.tree.map(one, batch)


def for_first(tree: Any) -> Any:
  """A tree that process 0 can read alone; all must call it.

  With several processes NumPy arrays on process 0 and None elsewhere, one
  leaf at a time; else the tree as it is.
  """
  if jax.process_count() == 1:
    return tree
  keep = jax.process_index() == 0

  def one(leaf):
    value = processes.whole(leaf)
    return value if keep else None

  return jax.tree.map(one, tree)


def gather(tree: Any) -> Any:
  """NumPy arrays of a tree, whole on every process; all must call it."""
  return jax.tree.map(processes.whole, tree)
