# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What the processes of a run tell each other, a few words an update.

With several processes nobody may decide alone: one that stopped, saved or
evaluated at another update than the others would leave them waiting forever.
So after each step every process says what it knows (a signal it got, what
process 0's clock says, how long it waited for input, what its rows of the
batch hold), one small all-gather runs behind the step on the devices, and
everybody reads the answer together with the metrics of that step. No host
waits for another because of it; a decision holds from the next update on.

A lone process talks to nobody and decides at once.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from prefjax.checkpoint import processes
from prefjax.core import errors, types
from prefjax.train import mesh as mesh_lib
from prefjax.train import signals

# Process 0's orders, bits.
_SAVE, _STOP = 1, 2
# Updates over which waits are added up before somebody is called slow.
_WINDOW = 20
_LEAST_SECONDS = 1.0  # of waiting in a window; less is no matter


class Facts(NamedTuple):
  """What one process knows after a step.

  Attributes:
    tokens: of its rows.
    weight: sum of its example weights.
    square: sum of their squares.
    ids: sum of hashes of its example ids, modulo 2^32.
    waited: seconds it waited for the batch.
  """

  tokens: int
  weight: float
  square: float
  ids: int
  waited: float


class Slow(NamedTuple):
  """A process that the others waited for.

  Attributes:
    process: its index.
    seconds: that it waited for input in a window of updates.
    others: the same, median over all processes.
    updates: of the window.
  """

  process: int
  seconds: float
  others: float
  updates: int


def about(slow: Slow, step: int) -> str:
  """A line about a process that holds the others up."""
  return (
    f"step {step}: process {slow.process} waited {slow.seconds:.1f} s for its"
    f" input in {slow.updates} updates, the median process"
    f" {slow.others:.1f} s: all wait for it (its disk, its network, or raise"
    " data.prefetch)"
  )


class Heard(NamedTuple):
  """What all processes said after a step.

  Attributes:
    row: numbers for the row of the step.
    slow: a process that holds the others up, named once a window.
  """

  row: dict[str, Any]
  slow: Slow | None


def facts(batch: Any, tokens: int, waited: float) -> Facts:
  """The facts of this process's rows of a batch."""
  ids = np.asarray(types.batch_field(batch, "example_id"))
  weights = np.asarray(types.batch_field(batch, "example_weight"), np.float64)
  # Any mixing will do: a sum of hashes does not care who has which row.
  mixed = (ids.astype(np.uint64) + 1) * np.uint64(0x9E3779B97F4A7C15)
  mixed ^= mixed >> np.uint64(29)
  return Facts(
    tokens,
    float(np.sum(weights)),
    float(np.sum(weights**2)),
    int(np.sum(mixed & np.uint64(0xFFFFFFFF))) % (1 << 32),
    waited,
  )


class Hosts:
  """The processes of a run; see the module's text.

  Args:
    stop: this process's signals.
    save_seconds: a save is due when so much time has passed; 0 for never.
    stop_seconds: the run stops, as at a signal, when so much time has
      passed; 0 for never.
    clock: seconds; process 0's counts.
    where: told of the update that this process is at, and what it does.
  """

  def __init__(
    self,
    stop: Any,
    *,
    save_seconds: float = 0.0,
    stop_seconds: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
    where: Callable[[int, str], None] = lambda step, what: None,
  ):
    self._stop = stop
    self._save_seconds, self._stop_seconds = save_seconds, stop_seconds
    self._clock = clock
    self._begin = self._saved = clock()
    self._many = jax.process_count() > 1
    self._save = False
    self._stopping = 0
    self._waits: list[np.ndarray] = []
    self._counts = True
    self.at = where

  def place(self, mesh: Any) -> None:
    """Tells of the mesh: processes may make the same rows."""
    self._counts = mesh_lib.counts_rows(mesh)

  # --- decisions -------------------------------------------------------------

  @property
  def stopping(self) -> int:
    """The signal that ends the run after this update, 0 for none."""
    if not self._many and not self._stop.received and self._orders() & _STOP:
      self._take(signals.DEADLINE)
    return self._stopping if self._many else self._received()

  @property
  def save_due(self) -> bool:
    """Whether it is time for a save."""
    return self._save if self._many else bool(self._orders() & _SAVE)

  def saved(self) -> None:
    """A save was made: the next is due so much later."""
    self._saved, self._save = self._clock(), False

  def _orders(self) -> int:
    now = self._clock()
    orders = 0
    if self._save_seconds and now - self._saved >= self._save_seconds:
      orders |= _SAVE
    if self._stop_seconds and now - self._begin >= self._stop_seconds:
      orders |= _STOP
    return orders

  def ask_now(self) -> int:
    """The signal that some process got, 0 for none; waits for all."""
    self._take(processes.largest(self._received()))
    return self._stopping

  def _received(self) -> int:
    """This process's signal, or that of which it was told."""
    return self._stop.received or self._stopping

  def _take(self, signal: int) -> None:
    if signal and not self._stopping:
      self._stopping = signal
      # So that every process ends with the same status.
      if hasattr(self._stop, "tell"):
        self._stop.tell(signal)

  # --- words -----------------------------------------------------------------

  def tell(self, own: Facts) -> Any:
    """Says what this process knows; returns a ticket for `hear`."""
    if not self._many:
      return own
    if not self._counts:
      own = Facts(0, 0.0, 0.0, 0, own.waited)
    words = _pack(self._stop.received, self._orders(), own)
    return _gather(words)

  def hear(self, ticket: Any) -> Heard:
    """What all said; every process must call it for the same tickets."""
    if not self._many:
      return Heard(_row([ticket]), None)
    said = [_unpack(words) for words in _of_processes(ticket)]
    _, orders, _ = said[0]
    self._take(max(signal for signal, _, _ in said))
    if orders & _STOP:
      self._take(signals.DEADLINE)
    self._save = self._save or bool(orders & _SAVE)
    every = [own for _, _, own in said]
    waits = np.asarray([own.waited for own in every])
    row = _row(every)
    row["hosts/input_s_max"] = float(waits.max())
    row["hosts/input_s_median"] = float(np.median(waits))
    row["hosts/slowest"] = int(waits.argmax())
    return Heard(row, self._slow(waits))

  def _slow(self, waits: np.ndarray) -> Slow | None:
    self._waits.append(waits)
    if len(self._waits) < _WINDOW:
      return None
    total, self._waits = np.sum(self._waits, axis=0), []
    worst, others = int(total.argmax()), float(np.median(total))
    if len(total) == 2:
      others = float(total.min())
    if total[worst] < max(_LEAST_SECONDS, 2 * others):
      return None
    return Slow(worst, float(total[worst]), others, _WINDOW)


def _row(every: Sequence[Facts]) -> dict[str, Any]:
  """Numbers of the whole batch from those of its parts."""
  weight = sum(own.weight for own in every)
  square = sum(own.square for own in every)
  return {
    "tokens": sum(own.tokens for own in every),
    "batch/effective": weight**2 / square if square else 0.0,
    "batch/ids": sum(own.ids for own in every) % (1 << 32),
  }


# --- uint32 words -------------------------------------------------------------


def _pack(signal: int, orders: int, own: Facts) -> np.ndarray:
  """uint32 [9]; doubles travel as two words each, bit by bit."""
  doubles = np.asarray([own.weight, own.square], np.float64).view(np.uint32)
  waited = np.asarray([own.waited], np.float32).view(np.uint32)
  numbers = np.asarray([signal, orders, own.tokens, own.ids], np.uint32)
  return np.concatenate([numbers, doubles, waited])


def _unpack(words: np.ndarray) -> tuple[int, int, Facts]:
  """(signal, orders, facts)."""
  signal, orders, tokens, ids = (int(word) for word in words[:4])
  weight, square = words[4:8].copy().view(np.float64)
  waited = words[8:9].copy().view(np.float32)[0]
  return (
    signal,
    orders,
    Facts(tokens, float(weight), float(square), ids, float(waited)),
  )


@dataclasses.dataclass(frozen=True)
class _Wire:
  """How words travel: each device holds those of its process."""

  sharding: NamedSharding
  gather: Any
  first: tuple[int, ...]  # of each process, the place of its first device


_WIRES: dict[tuple, _Wire] = {}


def _wire() -> _Wire:
  devices = tuple(jax.devices())
  if devices not in _WIRES:
    mesh = Mesh(np.asarray(devices), ("all",), axis_types=(AxisType.Auto,))
    owners = [device.process_index for device in devices]
    missing = set(range(jax.process_count())) - set(owners)
    if missing:
      raise errors.TrainingError(
        f"process {min(missing)} has no device; give every process one"
      )
    _WIRES[devices] = _Wire(
      NamedSharding(mesh, PartitionSpec("all")),
      jax.jit(
        lambda words: words,
        out_shardings=NamedSharding(mesh, PartitionSpec()),
      ),
      tuple(owners.index(i) for i in range(jax.process_count())),
    )
  return _WIRES[devices]


def _gather(words: np.ndarray) -> jax.Array:
  """uint32 [devices, n] on all devices; returns before it is there."""
  wire = _wire()
  number = len(jax.local_devices())
  local = np.tile(words, (number, 1))
  return wire.gather(
    jax.make_array_from_process_local_data(wire.sharding, local)
  )


def _of_processes(gathered: jax.Array) -> np.ndarray:
  """uint32 [processes, n]."""
  return np.asarray(gathered)[list(_wire().first)]
