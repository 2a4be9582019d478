# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Batches for the loop: rounds of rollouts, cut into updates.

A round is a function of (parameters when it was sampled, seed, round). It is
written with its digest before any update uses it, so a run that is killed in
the middle of a round goes on with the same rollouts. With `overlap` the next
round is sampled in a thread while this one trains, from parameters copied at
the beginning of this one; a save waits for it.
"""

import concurrent.futures
import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from prefjax.core import errors, prng, types
from prefjax.runs.online import collecting, stored, telemetry
from prefjax.train import writers

KEY = "rollouts"  # in a checkpoint's metadata


@dataclasses.dataclass(frozen=True)
class Plan:
  """How rounds become updates.

  Attributes:
    start: updates of the run before the stage.
    rows: of an update.
    prompts: of a round.
    epochs: passes over a round.
    seed: of the order of the rows.
    kl_coef: price of the divergence in the first round.
    overlap: sample a round ahead.
  """

  start: int
  rows: int
  prompts: int
  epochs: int
  seed: int
  kl_coef: float
  overlap: bool

  @property
  def updates(self) -> int:
    """Updates of a round."""
    return self.epochs * (self.prompts // self.rows)

  def rows_of(self, index: int, update: int) -> np.ndarray:
    """Which rows of round `index` its update number `update` takes."""
    pieces = self.prompts // self.rows
    epoch, piece = divmod(update, pieces)
    if pieces == 1:
      return np.arange(self.rows)
    key = prng.host_generator(self.seed, f"rounds/{index}/{epoch}")
    order = key.permutation(self.prompts)
    return np.sort(order[piece * self.rows : (piece + 1) * self.rows])


def _take(batch: types.Batch, rows: np.ndarray) -> types.Batch:
  return jax.tree.map(lambda x: np.asarray(x)[rows], batch)


class Rounds:
  """Iterates as (update of the run, batch); see the module.

  Args:
    plan: how rounds become updates.
    collector: makes rounds.
    folder: where they are kept.
    still: frozen roles that never change.
    writer: takes a row of numbers a round.
    table: takes the rows of the table of rollouts, or None.
    alarms: watches the rounds, or None.
    note: shows a remark to a person.
    tag: fields of every row.
  """

  def __init__(
    self,
    plan: Plan,
    collector: collecting.Collector,
    folder: pathlib.Path,
    *,
    still: Mapping[str, Any],
    writer: writers.Writer,
    table: writers.Writer | None = None,
    alarms: telemetry.Alarms | None = None,
    note: Callable[[str], None] = lambda text: None,
    tag: Mapping[str, Any] | None = None,
  ):
    self._plan, self._collector, self._folder = plan, collector, folder
    self._still, self._writer, self._table = still, writer, table
    self._alarms, self._note, self._tag = alarms, note, dict(tag or {})
    self._state: Any = None
    self._current: collecting.Round | None = None
    self._pending: concurrent.futures.Future | None = None
    self._digests: dict[int, str] = {}
    self._cursor, self._kl_coef = 0, plan.kl_coef
    self._next = plan.start
    self._announced = -1
    self._threads = (
      concurrent.futures.ThreadPoolExecutor(1) if plan.overlap else None
    )

  # --- where a run goes on ---------------------------------------------------

  def begin(self, state: Any, step: int, metadata: Mapping[str, Any]) -> None:
    """Starts at an update of the run, with what a checkpoint said.

    Args:
      state: TrainState.
      step: updates of the run done.
      metadata: of the checkpoint; {} at the beginning of the stage.

    Raises:
      CheckpointError: rollouts are missing or damaged.
    """
    self._state, self._next = state, step
    saved = metadata.get(KEY)
    if saved is None:
      if step > self._plan.start:
        raise errors.CheckpointError(
          "the checkpoint names no rollouts: it is of another kind of run"
        )
      return
    self._cursor = int(saved["cursor"])
    self._kl_coef = float(saved["kl_coef"])
    if self._alarms is not None and saved.get("alarms"):
      self._alarms = telemetry.Alarms(**saved["alarms"])
    index, update = divmod(step - self._plan.start, self._plan.updates)
    for name, digest in sorted(saved["files"].items()):
      number = int(name)
      made = stored.read(self._folder, number, digest)
      self._digests[number] = digest
      if number == index and update:
        self._current, self._announced = made, index
      elif number in (index, index + 1):
        self._pending = concurrent.futures.Future()
        self._pending.set_result(made)

  def metadata(self, step: int) -> dict[str, Any]:
    """What a checkpoint after `step` updates must say; JSON values.

    Raises:
      TrainingError: the round that is being sampled failed.
    """
    if self._pending is not None:
      self._absorb(self._pending.result())
    index = (step - self._plan.start) // self._plan.updates
    out = {
      "cursor": self._cursor,
      "kl_coef": self._kl_coef,
      "files": {
        str(number): digest
        for number, digest in self._digests.items()
        if number >= index
      },
    }
    if self._alarms is not None:
      out["alarms"] = self._alarms.state()
    if self._table is not None:
      self._table.flush()
    return {KEY: out}

  def _absorb(self, made: collecting.Round) -> None:
    """Takes over what a sampled round says about the next one."""
    self._cursor = max(self._cursor, made.cursor)
    self._kl_coef = made.kl_coef

  # --- sampling --------------------------------------------------------------

  def _collect(self, index, cursor, kl_coef, params, frozen):
    made = self._collector.collect(index, cursor, kl_coef, params, frozen)
    self._digests[index] = stored.write(self._folder, made)
    return made

  def _sample(self, index: int) -> collecting.Round:
    made = self._collect(
      index,
      self._cursor,
      self._kl_coef,
      self._state.params,
      {**self._state.frozen, **self._still},
    )
    self._absorb(made)
    return made

  def _sample_ahead(self, index: int) -> None:
    """Begins round `index` from a copy of the present parameters."""
    copied = jax.tree.map(
      lambda x: x.copy(), (self._state.params, self._state.frozen)
    )
    params, frozen = jax.block_until_ready(copied)
    self._pending = self._threads.submit(
      self._collect,
      index,
      self._cursor,
      self._kl_coef,
      params,
      {**frozen, **self._still},
    )

  def _round(self, index: int) -> collecting.Round:
    if self._pending is not None:
      made, self._pending = self._pending.result(), None
      self._absorb(made)
      if made.index != index:
        raise AssertionError(f"round {made.index} came where {index} was due")
      return made
    return self._sample(index)

  def _announce(self, made: collecting.Round) -> None:
    step = self._plan.start + made.index * self._plan.updates + 1
    row = {"step": step, **self._tag, "round": made.index, **made.metrics}
    self._writer.write(row)
    if self._table is not None:
      for line in made.table:
        self._table.write(
          {"step": step, **self._tag, "round": made.index, **line}
        )
    if self._alarms is not None:
      for remark in self._alarms.see(made.metrics):
        self._note(f"step {step}: {remark}")
    self._announced = made.index

  # --- the loop's side -------------------------------------------------------

  def watch(self, step: Callable[..., Any]) -> Callable[..., Any]:
    """The train step, seen by this iterator, which needs its state."""

    def watched(state, batch):
      new, metrics = step(state, batch)
      self._state = new
      return new, metrics

    return watched

  def __iter__(self) -> Iterator[tuple[int, types.Batch]]:
    return self

  def __next__(self) -> tuple[int, types.Batch]:
    plan = self._plan
    index, update = divmod(self._next - plan.start, plan.updates)
    if self._current is None or self._current.index != index:
      self._current = self._round(index)
    if self._announced < index:
      self._announce(self._current)
    if plan.overlap and self._pending is None:
      self._sample_ahead(index + 1)
    rows = plan.rows_of(index, update)
    batch = _take(self._current.batch, rows)
    self._next += 1
    return self._next - 1, batch

  def prune(self, steps: list[int]) -> None:
    """Removes rounds that no checkpoint can ask for any more."""
    if steps:
      oldest = max(min(steps) - self._plan.start, 0) // self._plan.updates
      stored.prune(self._folder, oldest)

  def close(self) -> None:
    """Waits for what is being sampled."""
    if self._threads is not None:
      self._threads.shutdown(wait=True, cancel_futures=True)
