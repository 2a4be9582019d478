# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Which examples are in the batch of a step: a pure function of the step.

The stream of examples is epoch after epoch, each in its own permutation. To
waste less padding, the full batches of an epoch are rearranged inside windows
of a few batches by the bucket of their examples; the order of the batches in a
window is permuted again. Everything follows from the global position, so
hosts agree without talking and a resumed run needs no replay.
"""

import functools

import numpy as np

from prefjax.core import errors
from prefjax.data import permutation

REMAINDERS = ("wrap", "drop", "fill")


class Order:
  """Example rows of each step.

  Args:
    levels: int [n], the bucket that each example needs.
    batch_size: B, over all processes.
    seed: of the permutations.
    shuffle: permute every epoch anew, or keep the order.
    epochs: how often each example comes, or None for no end.
    remainder: what happens where n is no multiple of B: 'wrap' lets a batch
      run into the next epoch, 'drop' leaves the rest of an epoch out, 'fill'
      fills the last batch of an epoch with rows that do not count.
    window: batches that are sorted by bucket together; 1 is none.
  """

  def __init__(
    self,
    levels: np.ndarray,
    batch_size: int,
    *,
    seed: int,
    shuffle: bool,
    epochs: int | None,
    remainder: str,
    window: int,
  ):
    self._levels = np.asarray(levels)
    self._n = len(self._levels)
    self._batch = batch_size
    self._seed = seed
    self._shuffle = shuffle
    self._remainder = remainder
    self._window = window
    if remainder not in REMAINDERS:
      raise errors.ConfigError(
        f"data.remainder: {remainder!r} is not one of {', '.join(REMAINDERS)}"
      )
    for name, value in (("batch_size", batch_size), ("window", window)):
      if value < 1:
        raise errors.ConfigError(f"data.{name}: {value} must be 1 or more")
    if epochs is not None and epochs < 1:
      raise errors.ConfigError(f"data.epochs: {epochs} must be 1 or more")
    if self._n == 0:
      raise errors.DataError("there is no example to make batches of")
    if remainder == "drop" and self._n < batch_size:
      raise errors.ConfigError(
        f"data.batch_size: {batch_size} is more than the {self._n} examples;"
        " lower it or set data.remainder to 'wrap' or 'fill'"
      )
    if remainder == "drop":
      self.steps_per_epoch = self._n // batch_size
    else:
      self.steps_per_epoch = -(-self._n // batch_size)
    if epochs is None:
      self.num_steps = None
    elif remainder == "wrap":
      self.num_steps = -(-epochs * self._n // batch_size)
    else:
      self.num_steps = epochs * self.steps_per_epoch
    self._end = None if epochs is None else epochs * self._n
    self._arranged = functools.lru_cache(maxsize=8)(self._arrange)
    self._permutation = functools.lru_cache(maxsize=4)(self._epoch)

  def _epoch(self, epoch: int) -> permutation.Permutation:
    key = permutation.key(self._seed, epoch)
    return permutation.Permutation(self._n, key)

  def _rows(self, epoch: int, offsets: np.ndarray) -> np.ndarray:
    if not self._shuffle:
      return offsets
    return self._permutation(epoch)(offsets)

  def _arrange(self, epoch: int, start: int, batches: int, number: int):
    """int64 [batches, B]: the rows of one window, by bucket.

    Args:
      epoch: which permutation.
      start: first offset inside the epoch.
      batches: how many batches the window has.
      number: of the window in its epoch, for the order of its batches.
    """
    offsets = np.arange(start, start + batches * self._batch)
    rows = self._rows(epoch, offsets)
    if batches > 1:
      rows = rows[np.argsort(self._levels[rows], kind="stable")]
    rows = rows.reshape(batches, self._batch)
    if self._shuffle and batches > 1:
      key = permutation.key(self._seed, epoch, number, 1)
      rows = rows[permutation.Permutation(batches, key)(np.arange(batches))]
    return rows

  def _full(self, epoch: int, head: int, batch: int) -> np.ndarray:
    """Rows [B] of a batch that lies in one epoch, after `head` offsets."""
    body = (self._n - head) // self._batch
    number = batch // self._window
    first = number * self._window
    size = min(self._window, body - first)
    start = head + first * self._batch
    return self._arranged(epoch, start, size, number)[batch - first]

  def rows(self, step: int) -> tuple[np.ndarray, np.ndarray]:
    """(int64 [B] example rows, bool [B] False where a row only fills up).

    Raises:
      ValueError: the step is negative or after the last one.
    """
    if step < 0 or (self.num_steps is not None and step >= self.num_steps):
      raise ValueError(f"step {step} is outside 0..{self.num_steps}")
    if self._remainder == "wrap":
      return self._wrapped(step)
    epoch, batch = divmod(step, self.steps_per_epoch)
    real = np.ones(self._batch, bool)
    if (batch + 1) * self._batch <= self._n:
      return self._full(epoch, 0, batch), real
    rest = self._rows(epoch, np.arange(batch * self._batch, self._n))
    return self._fill(rest)

  def _fill(self, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Repeats the first row up to B, as rows that do not count."""
    more = self._batch - len(rest)
    rows = np.concatenate([rest, np.repeat(rest[:1], more)])
    return rows, np.arange(self._batch) < len(rest)

  def _wrapped(self, step: int) -> tuple[np.ndarray, np.ndarray]:
    start = step * self._batch
    end = start + self._batch
    epoch = start // self._n
    begin = epoch * self._n
    if end <= begin + self._n:
      # The first batches of an epoch may still belong to the one before.
      head = -begin % self._batch
      return self._full(epoch, head, (start - begin - head) // self._batch), (
        np.ones(self._batch, bool)
      )
    if self._end is not None:
      end = min(end, self._end)
    positions = np.arange(start, end)
    epochs, offsets = np.divmod(positions, self._n)
    rows = np.concatenate(
      [self._rows(int(e), offsets[epochs == e]) for e in np.unique(epochs)]
    )
    return self._fill(rows)
