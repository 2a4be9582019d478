# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Trains any Objective on any source of batches, with exact resume.

What whole runs of language models do from a config, for everything else: a
diffusion model, a recommender, a classifier in a notebook.

  tx = optim.make_optimizer("adamw")
  state = fit.fit(objective, batch_of, tx, 1e-3, 500, workdir="runs/mine")
"""

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import jax
import optax
from jax.sharding import Mesh

from prefjax import checkpoint
from prefjax.core import errors
from prefjax.methods import objective as objective_lib
from prefjax.train import events as events_lib
from prefjax.train import gradient, loop, placement, signals, writers
from prefjax.train import mesh as mesh_lib
from prefjax.train import progress as progress_lib
from prefjax.train import state as state_lib
from prefjax.train import step as step_lib

TrainState = state_lib.TrainState
BatchOf = Callable[[int], Any]


class Source(Protocol):
  """Batches as a function of the update; `fingerprint` may be left out."""

  def batch(self, step: int) -> Any: ...


def fit(
  objective: objective_lib.Objective,
  source: Source | BatchOf,
  tx: optax.GradientTransformation,
  learning_rate: float | step_lib.Schedule,
  steps: int,
  *,
  workdir: str | os.PathLike | None = None,
  seed: int = 0,
  config: Mapping[str, Any] | None = None,
  micro_batches: int = 1,
  mesh: Mesh | None = None,
  parallel: str = "jit",
  save_every: int = 0,
  keep: int = 2,
  eval_every: int = 0,
  evaluate: Callable[[TrainState], Mapping[str, float]] | None = None,
  writer: writers.Writer | None = None,
  progress: progress_lib.Progress | None = None,
  max_bad_steps: int = 20,
) -> TrainState:
  """Trains until `steps` updates are done, or until SIGTERM or SIGINT.

  With a work directory, a call goes on from the newest good checkpoint in
  it: the result is that of a call that was never interrupted, bit for bit.

  Args:
    objective: what is minimised.
    source: step -> host batch (this process's rows), or an object with such
      a method `batch`. It must give the same batch for the same step.
    tx: updates without a learning rate, see `optim.make_optimizer`.
    learning_rate: a number, or a function of the number of updates done.
    steps: updates of the whole run.
    workdir: for checkpoints/, metrics.jsonl and events.jsonl; None writes
      nothing.
    seed: of initial parameters and every draw.
    config: what else makes this run what it is, such as hyper-parameters;
      a resume with other values is refused.
    micro_batches: parts of a batch run one after the other.
    mesh: the devices; None for all of them on the axis data.
    parallel: "jit" or "pmap".
    save_every: updates between two saves; 0 only at the end.
    keep: newest checkpoints that stay.
    eval_every: updates between two evaluations; 0 only at the end.
    evaluate: state -> numbers by name.
    writer: takes the rows besides the file.
    progress: shown to a person.
    max_bad_steps: non-finite updates in a row that end the run.

  Returns:
    The state after the last update; `state.step` is less than `steps` if a
    signal ended it.

  Raises:
    ConfigError: rows do not divide over devices and micro-batches.
    CheckpointError: the work directory belongs to another run, or cannot be
      written.
    TrainingError: too many updates in a row were not finite.
  """
  batch_of = getattr(source, "batch", source)
  place = placement.Placement(mesh or mesh_lib.make_mesh(), parallel)
  rules = objective.sharding_rules
  state, still = state_lib.split_frozen(
    state_lib.create(objective, tx, seed), objective.moving
  )
  # Copied: the step donates its buffers, which may be the objective's own.
  state = place.copy(place.put(state, rules))
  still = place.put(still, rules)
  facts = {
    "config": {
      "objective": type(objective).__name__,
      "seed": seed,
      **{f"run.{key}": value for key, value in (config or {}).items()},
    },
    "data_fingerprint": getattr(source, "fingerprint", None),
  }

  def whole(state: TrainState) -> TrainState:
    return state_lib.join_frozen(state, still)

  with contextlib.ExitStack() as stack:
    save, start, rows = _no_save, 0, []
    events: Any = events_lib.Silent()
    if workdir is not None:
      folder = pathlib.Path(workdir)
      _make(folder)
      events = stack.enter_context(
        events_lib.EventLog(events_lib.path_of(folder, jax.process_index()))
      )
      checkpointer = stack.enter_context(
        checkpoint.Checkpointer(folder / "checkpoints", keep=keep)
      )
      events.start(steps=steps)
      state, start = _resume(checkpointer, state, still, facts, events)
      save = _saver(checkpointer, still, facts)
      rows = [_metrics_file(folder, start)]
      stack.callback(rows[0].close)
    result = loop.run(
      state,
      loop.Plan(
        start=start,
        stop=max(steps, start),
        eval_every=eval_every,
        save_every=save_every,
        max_bad_steps=max_bad_steps,
      ),
      loop.Hooks(
        batch=_batches(batch_of, start, place.mesh, micro_batches),
        step=place.train_step(
          objective,
          tx,
          learning_rate,
          micro_batches=micro_batches,
          still=still,
        ),
        save=save,
        evaluate=evaluate and (lambda state: evaluate(whole(state))),
        writer=writers.MultiWriter([*rows, *([writer] if writer else [])]),
        progress=progress or progress_lib.Silent(),
        stop=stack.enter_context(signals.StopSignal()),
        events=events,
      ),
    )
    if workdir is not None:
      events.ends("signal" if result.interrupted else "done", step=result.step)
  return whole(result.state)


def _make(folder: pathlib.Path) -> None:
  try:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
  except OSError as error:
    raise errors.CheckpointError(
      f"{folder}: cannot be used as a work directory ({error.strerror}); choose"
      " a writable one"
    ) from error


def _no_save(state: TrainState, step: int, row: loop.Row) -> None:
  del state, step, row


def _batches(
  batch_of: BatchOf, start: int, mesh: Mesh, micro_batches: int
) -> Iterator[tuple[int, Any]]:
  """(step, batch) from `start` on, each checked to divide evenly."""
  step = start
  while True:
    batch = batch_of(step)
    rows = gradient.rows(batch) * jax.process_count()
    mesh_lib.check_batch(mesh, rows, micro_batches)
    yield step, batch
    step += 1


def _resume(
  checkpointer, state, still, facts, events
) -> tuple[TrainState, int]:
  """(state, updates done) of the newest good checkpoint, or as given."""
  if not checkpointer.steps():
    return state, 0
  restored = checkpoint.restore(checkpointer.directory, state, frozen=still)
  for passed in restored.skipped:
    events.write("fallback", step=passed.step, reason=passed.reason)
  checkpoint.check_compatible(restored.manifest, **facts, tokenizer_hash=None)
  events.write("resume", step=restored.step)
  return restored.tree, restored.step


def _saver(checkpointer, still, facts):
  def save(state: TrainState, step: int, row: loop.Row) -> None:
    checkpointer.save(
      step,
      state,
      metadata=facts,
      metrics={k: v for k, v in row.items() if isinstance(v, float)},
      frozen=still,
    )

  return save


def _metrics_file(folder: pathlib.Path, start: int) -> writers.JsonlWriter:
  """metrics.jsonl on process 0; others write theirs beside it."""
  number = jax.process_index()
  name = "metrics.jsonl" if number == 0 else f"metrics-{number}.jsonl"
  return writers.JsonlWriter(folder / name, keep_to=start or -1)
