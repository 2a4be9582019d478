# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The loop around the step: time, files and signals, but no mathematics.

Order, every step: batch -> step -> metrics of the step before -> guard ->
evaluation if due -> checkpoint if due -> signal. The metrics of step t are
read after step t + 1 was dispatched, so devices do not wait for the host;
before an evaluation or a save the loop catches up first, and rows are on
disk before the checkpoint that vouches for them.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from prefjax.core import errors, types
from prefjax.train import metrics as metrics_lib
from prefjax.train import progress as progress_lib
from prefjax.train import signals, writers
from prefjax.train import state as state_lib

TrainState = state_lib.TrainState
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
  """When things happen; all numbers are updates of the whole run.

  Attributes:
    start: updates done already.
    stop: updates to be done.
    eval_every: 0 only at the end.
    save_every: 0 only at the end.
    max_bad_steps: non-finite updates in a row that end the run.
  """

  start: int
  stop: int
  eval_every: int = 0
  save_every: int = 0
  max_bad_steps: int = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hooks:
  """What the loop calls.

  Attributes:
    batch: iterates as (step, host batch) from plan.start.
    step: (state, host batch) -> (state, metrics).
    save: (state, step, row) -> None; the row holds the step's numbers.
    evaluate: state -> numbers by name, or None.
    writer: takes the rows.
    progress: shown to a person.
    stop: asked after every step.
    tag: fields of every row (the stage).
  """

  batch: Any
  step: Callable[[TrainState, Any], tuple[TrainState, Any]]
  save: Callable[[TrainState, int, Row], None]
  writer: writers.Writer
  evaluate: Callable[[TrainState], Mapping[str, float]] | None = None
  progress: progress_lib.Progress = dataclasses.field(
    default_factory=progress_lib.Silent
  )
  stop: signals.StopSignal = dataclasses.field(
    default_factory=signals.StopSignal
  )
  tag: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Goodput:
  """Where the wall-clock time went, seconds."""

  compile: float = 0.0
  step: float = 0.0
  input: float = 0.0
  eval: float = 0.0
  checkpoint: float = 0.0

  def row(self) -> Row:
    total = sum(dataclasses.asdict(self).values())
    out = {f"goodput/{k}_s": v for k, v in dataclasses.asdict(self).items()}
    out["goodput/step_share"] = self.step / total if total else 0.0
    return out


@dataclasses.dataclass(frozen=True)
class Result:
  """Where the loop ended.

  Attributes:
    state: after the last step.
    step: updates done.
    interrupted: a signal ended it.
    goodput: where the time went.
  """

  state: TrainState
  step: int
  interrupted: bool
  goodput: Goodput


def tokens(batch: Any) -> int:
  """Real tokens of a language batch; rows of anything else."""
  if not isinstance(batch, types.Batch):
    return int(types.batch_field(batch, "example_id").shape[0])
  count = 0
  for group in batch.groups.values():
    count += int(np.sum(group.prompt_mask)) + int(np.sum(group.token_mask))
  return count


def shape_of(batch: Any) -> tuple:
  """What decides whether a step must be compiled anew."""
  return tuple((leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(batch))


class _Guard:
  """Counts updates that were not applied, and gives up in the end."""

  def __init__(self, limit: int):
    self._limit = limit
    self._bad: list[tuple[int, list[int]]] = []

  def see(self, step: int, skipped: bool, ids: np.ndarray) -> None:
    if not skipped:
      self._bad = []
      return
    self._bad.append((step, ids.tolist()))
    if len(self._bad) >= self._limit:
      first, last = self._bad[0][0], self._bad[-1][0]
      raise errors.TrainingError(
        f"updates {first} to {last} were not finite and were not applied; the"
        f" last batch holds the examples {self._bad[-1][1][:16]}: lower"
        " opt.learning_rate, set opt.clip_norm, or look at these records"
      )


def run(state: TrainState, plan: Plan, hooks: Hooks) -> Result:
  """Trains from plan.start to plan.stop, or until a signal.

  Raises:
    TrainingError: too many updates in a row were not finite, or the batches
      ended before plan.stop.
    CheckpointError: a save failed.
  """
  goodput, guard = Goodput(), _Guard(plan.max_bad_steps)
  alarm = metrics_lib.StuckAlarm()
  seen: set[tuple] = set()
  pending = None
  clock = time.perf_counter

  def finish(item) -> Row:
    """Reads a step's metrics, judges them, writes its row."""
    number, metrics, facts = item
    values = metrics_lib.finish(metrics)
    row = {"step": number, **hooks.tag, **values, **facts}
    ids = row.pop("ids")
    hooks.writer.write(row)
    hooks.progress.update(row)
    guard.see(number, bool(values.get("train/skipped", 0.0)), ids)
    if alarm.see(values.get("loss", 0.0)):
      hooks.progress.note(
        f"step {number}: the loss has been log 2 for 50 updates: nothing is"
        " being learned (learning rate, labels, or equal sides?)"
      )
    return row

  done = plan.start
  last = clock()
  batches = iter(hooks.batch)
  while done < plan.stop:
    index, batch = next(batches, (None, None))
    if index is None:
      raise errors.TrainingError(
        f"the batches ended after update {done}, {plan.stop} were planned:"
        " give more records or epochs, or fewer steps"
      )
    if index != done:
      raise AssertionError(f"batch {index} came where {done} was due")
    waited = clock() - last
    shape = shape_of(batch)
    state, metrics = hooks.step(state, batch)
    if shape not in seen:
      # Compilation happens in this call; later ones only dispatch.
      jax.block_until_ready(metrics)
    if pending is not None:
      finish(pending)
    spent = clock() - last - waited
    facts = {
      "tokens": tokens(batch),
      "batch/effective": metrics_lib.effective_batch(
        types.batch_field(batch, "example_weight")
      ),
      "time/step_s": spent,
      "time/input_s": waited,
      "ids": np.asarray(types.batch_field(batch, "example_id")),
    }
    if shape in seen:
      goodput.step += spent
      facts["time/tokens_per_s"] = facts["tokens"] / max(spent + waited, 1e-9)
    else:
      goodput.compile += spent
      facts["time/compile_s"] = spent
      seen.add(shape)
    goodput.input += waited
    done += 1
    pending = (done, metrics, facts)

    due_eval = hooks.evaluate is not None and (
      done == plan.stop or (plan.eval_every > 0 and done % plan.eval_every == 0)
    )
    interrupted = bool(hooks.stop.received)
    due_save = done == plan.stop or (
      plan.save_every > 0 and done % plan.save_every == 0
    )
    if due_eval or due_save or interrupted:
      row = finish(pending)
      pending = None
      if due_eval and (not interrupted or done == plan.stop):
        begin = clock()
        numbers = dict(hooks.evaluate(state))
        goodput.eval += clock() - begin
        hooks.writer.write({"step": done, **hooks.tag, **numbers})
        row = {**row, **numbers}
      if due_save or interrupted:
        begin = clock()
        hooks.writer.flush()
        hooks.save(state, done, row)
        goodput.checkpoint += clock() - begin
    if interrupted:
      return Result(state, done, True, goodput)
    last = clock()
  return Result(state, done, False, goodput)
