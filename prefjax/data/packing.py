# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""How many slots layers need for the tokens of a batch, pads left out.

A batch is cut into cells, one a device and part of a step, and the tokens of
a cell are packed into one row (`prefjax/models/packing.py`). Rows of the
batch change places so that all cells hold about as many tokens. Their slots
come from a short list, made once from the batches of the first steps, so
that few programs are compiled; a batch that fits none is not packed.
Everything follows from the step and the index, so hosts agree.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from prefjax.data import batches, indexes

_LOOK = 64  # steps that the list is made from
_MULTIPLE = 8  # slots of a cell are a multiple of this
_SHARES = (0.6, 1.0)  # of those steps that an entry of the list holds
_SAVES = 0.92  # an entry must lower the slots to this share of the next

Slots = tuple[int, int]
Rows = Callable[[int], tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Cells:
  """How a step cuts the rows of a batch.

  Attributes:
    devices: consecutive parts, one a device.
    parts: of each of them, strided: part j has its rows j, j + parts, ...
  """

  devices: int = 1
  parts: int = 1

  @property
  def count(self) -> int:
    return self.devices * self.parts

  def of_rows(self, size: int) -> np.ndarray:
    """int [B]: the cell of every row of a batch."""
    row = np.arange(size)
    own = size // self.devices
    return row // own * self.parts + row % own % self.parts


def totals(index: indexes.Index) -> np.ndarray:
  """int32 [N, G, 2]: tokens of the prompt, and of all responses."""
  return index.sizes[:, :, [0, 4]]


class Packer:
  """Places and slots for the batches of a source.

  Args:
    index: sizes of the examples in use.
    levels: the shapes that batches may have.
    needed: int [N], the level of every example.
    cells: how batches are cut; the number divides the batch.
    rows: step -> (example rows [B], which of them count).
    steps: number of steps there are, None for no end.
    groups: names of the groups that are packed.
  """

  def __init__(
    self,
    index: indexes.Index,
    levels: Sequence[Mapping[str, batches.Shape]],
    needed: np.ndarray,
    cells: Cells,
    rows: Rows,
    steps: int | None,
    groups: Sequence[str],
  ):
    self._totals = totals(index)
    self._groups = {name: index.groups.index(name) for name in groups}
    self._cells = cells
    self._needed = needed
    self._levels = levels
    self._choices = self._choose(rows, min(_LOOK, steps or _LOOK))

  def arrange(
    self, rows: np.ndarray, real: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    """The same rows of a batch in an order in which cells are alike."""
    if self._cells.count == 1:
      return rows, real
    sizes = self._totals[rows].sum(axis=(1, 2))
    largest = np.argsort(-sizes, kind="stable")
    # Each cell's places, taken in turn there and back.
    places = np.argsort(self._cells.of_rows(len(rows)), kind="stable")
    places = places.reshape(self._cells.count, -1).T.copy()
    places[1::2] = places[1::2, ::-1]
    order = np.empty(len(rows), np.int64)
    order[places.reshape(-1)] = largest
    return rows[order], real[order]

  def need(self, rows: np.ndarray) -> np.ndarray:
    """int [G, 2]: slots of each group that the fullest cell needs."""
    cell = self._cells.of_rows(len(rows))
    each = len(rows) // self._cells.count
    sums = np.zeros((self._cells.count, *self._totals.shape[1:]), np.int64)
    np.add.at(sums, cell, self._totals[rows])
    most = sums.max(axis=0)
    most = -(-most // _MULTIPLE) * _MULTIPLE  # slots of a cell
    return np.maximum(-(-most // each), 1)

  def slots(self, rows: np.ndarray) -> dict[str, Slots]:
    """Group -> (prompt, response) slots for arranged rows; {} for none."""
    need = self.need(rows)
    for choice in self._choices[int(self._needed[rows].max())]:
      if (need <= choice).all():
        return {
          name: (int(choice[g, 0]), int(choice[g, 1]))
          for name, g in self._groups.items()
        }
    return {}

  def _choose(self, rows: Rows, steps: int) -> list[list[np.ndarray]]:
    """For each level the slots to choose from, few first."""
    found: list[list[np.ndarray]] = [[] for _ in self._levels]
    for step in range(steps):
      own, _ = self.arrange(*rows(step))
      found[int(self._needed[own].max())].append(self.need(own))
    out = []
    for level, needs in zip(self._levels, found, strict=True):
      out.append(self._choices_of(level, needs))
    return out

  def _choices_of(self, level, needs) -> list[np.ndarray]:
    if not needs:
      return []
    whole = np.zeros_like(needs[0])
    for name, g in self._groups.items():
      shape = level[name]
      whole[g] = shape.p, shape.k * shape.r
    kept: list[np.ndarray] = []
    above = whole.sum()
    for share in reversed(_SHARES):
      choice = np.quantile(
        np.stack(needs), share, axis=0, method="higher"
      ).astype(np.int64)
      used = choice[list(self._groups.values())]
      if used.sum() <= _SAVES * above:
        kept.insert(0, choice)
        above = used.sum()
    return kept
