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
from prefjax.train import events as events_lib
from prefjax.train import hosts as hosts_lib
from prefjax.train import metrics as metrics_lib
from prefjax.train import profiling, signals, writers
from prefjax.train import progress as progress_lib
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
    events: told what happens besides: compilations, saves, signals, alarms.
    profiler: traces some of the updates.
    hosts: agrees with the other processes when to save and stop; None asks
      `stop` alone.
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
  events: events_lib.Events = dataclasses.field(
    default_factory=events_lib.Silent
  )
  profiler: profiling.Profiler = dataclasses.field(
    default_factory=profiling.Off
  )
  hosts: hosts_lib.Hosts | None = None


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


class _Watch:
  """Wall-clock time of steps that run behind the host.

  Dispatching returns at once, so a step lasts from the moment at which the
  one before it was seen to be done to the moment at which it is.
  """

  def __init__(self):
    self._mark = time.perf_counter()
    self._waited = 0.0

  def restart(self) -> None:
    """Leaves out what happened since the last step."""
    self._mark, self._waited = time.perf_counter(), 0.0

  def wait(self, seconds: float) -> None:
    self._waited += seconds

  def lap(self) -> tuple[float, float]:
    """Seconds since the last lap, and those of them spent on input."""
    begin, waited = self._mark, self._waited
    self.restart()
    return self._mark - begin, waited


class _Guard:
  """Counts updates that were not applied, and gives up in the end."""

  def __init__(self, limit: int, events: events_lib.Events):
    self._limit = limit
    self._events = events
    self._bad: list[tuple[int, list[int]]] = []

  def see(self, step: int, skipped: bool, ids: np.ndarray) -> None:
    if not skipped:
      self._bad = []
      return
    self._bad.append((step, ids.tolist()))
    self._events.write("skipped", step=step, examples=ids.tolist()[:16])
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
  events = hooks.events
  goodput, guard = Goodput(), _Guard(plan.max_bad_steps, events)
  alarm = metrics_lib.StuckAlarm()
  seen: set[tuple] = set()
  pending = None
  watch = _Watch()
  clock = time.perf_counter
  hosts = hooks.hosts or hosts_lib.Hosts(hooks.stop)

  def alert(number: int, text: str) -> None:
    hooks.progress.note(text)
    events.write("alarm", step=number, message=text)

  def finish(item) -> Row:
    """Waits for a step, judges its metrics, writes its row."""
    number, metrics, ticket, ids, is_new = item
    values = metrics_lib.finish(metrics)
    heard = hosts.hear(ticket)
    spent, waited = watch.lap()
    goodput.input += waited
    if is_new:
      goodput.compile += spent - waited
      times = {"time/compile_s": spent - waited}
      events.write("compile", step=number, seconds=round(spent - waited, 3))
    else:
      goodput.step += spent - waited
      rate = heard.row["tokens"] / max(spent, 1e-9)
      times = {"time/step_s": spent, "time/tokens_per_s": rate}
    row = {"step": number, **hooks.tag, **values, **heard.row, **times}
    row["time/input_s"] = waited
    hooks.writer.write(row)
    hooks.progress.update(row)
    guard.see(number, bool(values.get("train/skipped", 0.0)), ids)
    if alarm.see(values.get("loss", 0.0)):
      alert(
        number,
        f"step {number}: the loss has been log 2 for 50 updates: nothing is"
        " being learned (learning rate, labels, or equal sides?)",
      )
    if heard.slow is not None:
      alert(number, hosts_lib.about(heard.slow, number))
    return row

  done = plan.start
  batches = iter(hooks.batch)
  while done < plan.stop:
    if hooks.profiler.due(done):
      if pending is not None:
        finish(pending)
        pending = None
      hooks.profiler.turn(done)
      watch.restart()
    hosts.at(done, "waiting for input")
    begin = clock()
    index, batch = next(batches, (None, None))
    waited = clock() - begin
    watch.wait(waited)
    if index is None:
      raise errors.TrainingError(
        f"the batches ended after update {done}, {plan.stop} were planned:"
        " give more records or epochs, or fewer steps"
      )
    if index != done:
      raise AssertionError(f"batch {index} came where {done} was due")
    shape = shape_of(batch)
    is_new = shape not in seen
    seen.add(shape)
    if is_new and pending is not None:
      # The next call compiles, which is no part of the step before it.
      finish(pending)
      pending = None
    hosts.at(done + 1, "computing")
    state, metrics = hooks.step(state, batch)
    ticket = hosts.tell(hosts_lib.facts(batch, tokens(batch), waited))
    if pending is not None:
      finish(pending)
    done += 1
    ids = np.asarray(types.batch_field(batch, "example_id"))
    pending = (done, metrics, ticket, ids, is_new)

    due_eval = hooks.evaluate is not None and (
      done == plan.stop or (plan.eval_every > 0 and done % plan.eval_every == 0)
    )
    interrupted = bool(hosts.stopping)
    due_save = (
      done == plan.stop
      or (plan.save_every > 0 and done % plan.save_every == 0)
      or hosts.save_due
    )
    if interrupted:
      events.write("signal", step=done, number=hosts.stopping)
    if due_eval or due_save or interrupted:
      row = finish(pending)
      pending = None
      if due_eval and (not interrupted or done == plan.stop):
        hosts.at(done, "evaluating")
        begin = clock()
        numbers = dict(hooks.evaluate(state))
        goodput.eval += clock() - begin
        hooks.writer.write({"step": done, **hooks.tag, **numbers})
        row = {**row, **numbers}
      if due_save or interrupted:
        begin = clock()
        hosts.at(done, "saving")
        hooks.writer.flush()
        hooks.save(state, done, row)
        hosts.saved()
        goodput.checkpoint += clock() - begin
        events.write("save", step=done, seconds=round(clock() - begin, 3))
    if interrupted:
      return Result(state, done, True, goodput)
    if pending is None:
      watch.restart()
  return Result(state, done, False, goodput)
