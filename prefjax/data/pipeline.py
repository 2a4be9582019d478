# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`Source.batch(step)`: the host's batch as a pure function of the step.

There is no iterator state. Which examples a step holds, in which order and in
which bucket follows from the step and from numbers every host has in memory,
so hosts agree on shapes, a run may resume on another number of hosts, and
restarting at step one million costs what restarting at step one costs.
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from prefjax.core import errors, types
from prefjax.data import (
  batches,
  examples,
  indexes,
  order,
  packing,
  permutation,
  schema,
)
from prefjax.data import store as store_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """How batches are cut from a store.

  Attributes:
    batch_size: rows of a batch over all processes.
    seed: of the order.
    shuffle: a new order every epoch, or the order of the file.
    epochs: how often every example comes; None for no end.
    remainder: 'wrap', 'drop' or 'fill'; see `order.Order`.
    window: batches that are sorted by bucket together; 1 is none.
    buckets: (prompt, response) slots, small to large; None picks three.
    num_responses: K, if more than the data's largest.
  """

  batch_size: int
  seed: int = 0
  shuffle: bool = True
  epochs: int | None = None
  remainder: str = "wrap"
  window: int = 16
  buckets: tuple[tuple[int, int], ...] | None = None
  num_responses: int | None = None


class Source:
  """Batches of NumPy arrays by step.

  Args:
    store: tokenised examples.
    options: how to cut batches.
    process_index: which slice of a batch this process makes.
    process_count: how many processes share a batch.
    select: example ids to use, in this order where `shuffle` is False; None
      for all. Stages and curricula choose their data so.

  Attributes:
    num_examples: examples in use.
    steps_per_epoch: batches of an epoch ('wrap' rounds up).
    num_steps: batches in all, or None without end.
    global_batch_size: rows of a batch over all processes.

  Raises:
    ConfigError: the processes do not divide the batch, or an option is wrong.
  """

  def __init__(
    self,
    store: store_lib.Store,
    options: Options,
    *,
    process_index: int = 0,
    process_count: int = 1,
    select: Sequence[int] | None = None,
  ):
    size = options.batch_size
    if size < 1 or size % process_count:
      raise errors.ConfigError(
        f"data.batch_size: {size} is not a positive multiple of the"
        f" {process_count} processes"
      )
    if not 0 <= process_index < process_count:
      raise errors.ConfigError(
        f"process_index={process_index} is outside 0..{process_count - 1}"
      )
    self._store = store
    self._options = options
    self._rows_of_store = _selected(store.index, select)
    self._index = indexes.select(store.index, self._rows_of_store)
    self._levels = batches.levels(
      # Shapes come from the whole store: stages share compiled steps.
      store.index,
      options.buckets,
      num_responses=options.num_responses,
    )
    self._needed = batches.needed(self._index, self._levels)
    self._order = order.Order(
      self._needed,
      size,
      seed=options.seed,
      shuffle=options.shuffle,
      epochs=options.epochs,
      remainder=options.remainder,
      window=options.window if options.shuffle else 1,
    )
    self._packer: packing.Packer | None = None
    self._process_count = process_count
    local = size // process_count
    first = process_index * local
    self._own: np.ndarray = np.arange(first, first + local)
    self.global_batch_size = size
    self.num_examples = len(self._index)
    self.steps_per_epoch = self._order.steps_per_epoch
    self.num_steps = self._order.num_steps

  @property
  def fingerprint(self) -> str:
    """SHA-256 over examples and order, the same on every process."""
    parts = {
      "store": self._store.fingerprint,
      "options": dataclasses.asdict(self._options),
      "mismatched": self._store.mismatched,
      "select": hashlib.sha256(self._rows_of_store.tobytes()).hexdigest(),
    }
    return hashlib.sha256(schema.json_bytes(_lists(parts))).hexdigest()

  @property
  def mismatched(self) -> str | None:
    """Name of the group that every batch makes anew, or None."""
    return self._store.mismatched

  @property
  def report(self):
    """What became of the records; see `encoding.EncodeReport`."""
    return self._store.report

  def make_only(self, places: Sequence[int]) -> None:
    """Chooses the rows of every global batch that `batch` makes.

    Args:
      places: of the rows, ascending; as `mesh.own_rows` gives them.
    """
    self._own = np.asarray(places, np.int64)

  def pack(self, cells: packing.Cells) -> None:
    """Packs batches from here on; they hold the same examples as before.

    Args:
      cells: how a step cuts batches.

    Raises:
      ConfigError: the cells do not divide the batch, or examples borrow
        responses from their neighbours in it.
    """
    if self._store.mismatched:
      raise errors.ConfigError(
        f"data.pack: the group {self._store.mismatched!r} follows from the"
        " order of a batch, which packing changes; set it to False"
      )
    if self.global_batch_size % cells.count:
      raise errors.ConfigError(
        f"data.pack: {self.global_batch_size} rows are not a multiple of"
        f" {cells.devices} devices times {cells.parts} micro-batches"
      )
    if cells.devices % self._process_count:
      raise errors.ConfigError(
        f"data.pack: {cells.devices} devices are not a multiple of"
        f" {self._process_count} processes"
      )
    self._packer = packing.Packer(
      self._index,
      self._levels,
      self._needed,
      cells,
      self._order.rows,
      self.num_steps,
      self._index.groups,
    )

  def _rows(self, step: int) -> tuple[np.ndarray, np.ndarray]:
    """(example rows [B], which of them count) of a step, in their places."""
    rows, real = self._order.rows(step)
    return (
      (rows, real) if self._packer is None else self._packer.arrange(rows, real)
    )

  def example_ids(self, step: int) -> np.ndarray:
    """int32 [B]: the examples of a step over all processes."""
    rows, _ = self._rows(step)
    return self._index.example_id[rows]

  def level(self, step: int) -> int:
    """Which of `batch_shapes()` the batch of a step has."""
    rows, _ = self._order.rows(step)
    return int(self._needed[rows].max())

  def batch_shapes(self) -> list[dict[str, tuple[int, int, int, int]]]:
    """Group -> (B, K, P, R) over all processes, for every level."""
    out = []
    for level in self._levels:
      shapes = {
        name: (self.global_batch_size, s.k, s.p, s.r)
        for name, s in level.items()
      }
      if self._store.mismatched:
        shapes[self._store.mismatched] = shapes[self._index.groups[0]]
      out.append(shapes)
    return out

  def media(self) -> dict[str, dict[str, tuple[int, ...]]]:
    """Group -> 'images' or 'frames' -> (most of them, H, W, C)."""
    out = dict(self._index.media)
    if self._store.mismatched and self._index.groups[0] in out:
      out[self._store.mismatched] = out[self._index.groups[0]]
    return out

  def _partners(self, rows: np.ndarray, real: np.ndarray) -> np.ndarray:
    """int64 [B]: for every row another example with another prompt.

    The next such row of the global batch, cyclically; where there is none,
    the next such example of the data set from a place drawn from the ids.
    """
    own = rows[real]
    ids, prompts = self._index.example_id, self._index.prompt_hash
    out = np.full(len(rows), -1, np.int64)
    for shift in range(1, len(own)):
      other = np.roll(own, -shift)
      free = out[: len(own)] < 0
      good = (ids[other] != ids[own]) & (prompts[other] != prompts[own])
      take = free & good
      out[: len(own)][take] = other[take]
      if not (out[: len(own)] < 0).any():
        break
    for place in np.flatnonzero(out[: len(own)] < 0):
      out[place] = self._stranger(int(own[place]))
    out[len(own) :] = out[0]  # rows that only fill up
    return out

  def _stranger(self, row: int) -> int:
    """Another example of the data set, with another prompt if there is one."""
    n = self.num_examples
    ids, prompts = self._index.example_id, self._index.prompt_hash
    key = permutation.key(self._options.seed, int(ids[row]))
    others = (row + key % n + np.arange(n)) % n
    others = others[ids[others] != ids[row]]
    if not len(others):
      raise errors.DataError(
        "a mismatched group needs two examples, the data set has one"
      )
    different = others[prompts[others] != prompts[row]]
    return int(different[0] if len(different) else others[0])

  def _get(self, rows: np.ndarray) -> list[examples.Example]:
    return self._store.get(self._rows_of_store[rows])

  def batch(self, step: int) -> types.Batch:
    """This process's rows of the batch of a step; calls do not interact.

    Args:
      step: from 0; the state's step before the update.

    Returns:
      NumPy arrays, by default with B / process_count rows. Rows that only
      fill up repeat another row and have example_weight 0.

    Raises:
      ValueError: the step is outside the epochs asked for.
    """
    return self._made(step, self._own)

  def whole(self, step: int) -> types.Batch:
    """All rows of the batch of a step, as one process would make them."""
    return self._made(step, np.arange(self.global_batch_size))

  def _made(self, step: int, places: np.ndarray) -> types.Batch:
    """The rows of a step's batch at some places."""
    rows, real = self._rows(step)
    level = self._levels[int(self._needed[rows].max())]
    packed = {} if self._packer is None else self._packer.slots(rows)
    own, counts = rows[places], real[places]
    parts = self._get(own)
    groups = {
      name: batches.group(
        [part.groups[name] for part in parts],
        shape,
        self._index.has[name],
        self._index.media.get(name),
      )
      for name, shape in level.items()
    }
    for name, slots in packed.items():
      groups[name] = dataclasses.replace(groups[name], packed=slots)
    if self._store.mismatched:
      first = self._index.groups[0]
      others = self._get(self._partners(rows, real)[places])
      groups[self._store.mismatched] = batches.mismatch(
        groups[first],
        [part.groups[first] for part in others],
        level[first],
        self._index.has[first],
      )
    weight = np.where(counts, self._index.weight[own], 0.0)
    return types.Batch(
      groups=groups,
      example_id=self._index.example_id[own].astype(np.int32),
      example_weight=weight.astype(np.float32),
      extras=batches.extras(self._index, parts),
    )


def _selected(index: indexes.Index, select: Sequence[int] | None) -> np.ndarray:
  """int64 [n]: rows of the store for example ids."""
  if select is None:
    return np.arange(len(index))
  wanted = np.asarray(select, np.int64)
  rows = np.searchsorted(index.example_id, wanted)
  inside = np.minimum(rows, len(index) - 1)
  missing = wanted[index.example_id[inside] != wanted]
  if len(wanted) == 0 or len(missing):
    raise errors.DataError(
      "select: holds no example id"
      if len(wanted) == 0
      else f"select: example {int(missing[0])} is not in the store (it may"
      f" have been dropped); {len(missing)} such ids"
    )
  return inside


def _lists(value: Any) -> Any:
  if isinstance(value, dict):
    return {name: _lists(item) for name, item in value.items()}
  if isinstance(value, (list, tuple)):
    return [_lists(item) for item in value]
  return value


class Prefetch:
  """Iterates over (step, batch), making the next batches in threads.

  Batches are the same as from `source.batch`, in order; an error in a thread
  is raised here. Use it as a context manager, or call `close`.

  Args:
    source: anything with `batch(step)` and `num_steps`.
    start_step: the first step.
    depth: batches made ahead.
    threads: how many make them.
  """

  def __init__(
    self, source: Source, start_step: int = 0, depth: int = 2, threads: int = 2
  ):
    import grain

    if depth < 1 or threads < 1:
      raise errors.ConfigError(
        f"data.prefetch: depth={depth} and threads={threads} must be 1 or more"
      )
    end = source.num_steps
    # Grain wants a length; nobody takes 2^40 steps.
    steps = grain.MapDataset.range(start_step, 2**40 if end is None else end)
    reading = grain.ReadOptions(
      num_threads=threads, prefetch_buffer_size=max(depth, threads)
    )
    self._empty = end is not None and start_step >= end
    if not self._empty:
      made = steps.map(lambda step: (int(step), source.batch(int(step))))
      self._iterator = iter(made.to_iter_dataset(reading))

  def __iter__(self) -> Iterator[tuple[int, types.Batch]]:
    return self

  def __next__(self) -> tuple[int, types.Batch]:
    if self._empty:
      raise StopIteration
    return next(self._iterator)

  def close(self) -> None:
    """Stops the threads."""
    if not self._empty:
      self._iterator.close()
    self._empty = True

  def __enter__(self) -> "Prefetch":
    return self

  def __exit__(self, *exception: object) -> None:
    self.close()


def prefetch(
  source: Source, start_step: int = 0, depth: int = 2, threads: int = 2
) -> Prefetch:
  """`Prefetch` as a function."""
  return Prefetch(source, start_step, depth, threads)
