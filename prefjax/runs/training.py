# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A whole run: stages, evaluation, checkpoints, exact resume, report."""

import dataclasses
import functools
import json
import os
import pathlib
import shutil
import time
from collections.abc import Sequence
from typing import Any

import jax

from prefjax import checkpoint
from prefjax import config as config_lib
from prefjax.checkpoint import processes
from prefjax.core import errors, storage
from prefjax.models import base
from prefjax.models import lora as lora_lib
from prefjax.runs import (
  advice,
  distributed,
  mirror,
  stage_kinds,
  stage_run,
)
from prefjax.runs import resume as resume_lib
from prefjax.runs import run as run_lib
from prefjax.train import events as events_lib
from prefjax.train import hosts as hosts_lib
from prefjax.train import loop, profiling, progress, signals, writers
from prefjax.train import mesh as mesh_lib

Run = run_lib.Run


@dataclasses.dataclass(frozen=True)
class Outcome:
  """How a call of `train` ended.

  Attributes:
    workdir: of the run.
    step: updates done.
    interrupted: a signal ended it; call again to go on.
    exit_status: for the process: 0, or 128 + the signal.
    report: path of report.html, or None.
  """

  workdir: pathlib.Path
  step: int
  interrupted: bool
  exit_status: int
  report: pathlib.Path | None


def _make_workdir(path: pathlib.Path) -> None:
  """Makes the folder; checks that it can be written and all see it."""
  probe = path / f".writable-{processes.token()}"
  processes.first(functools.partial(_make_probe, path, probe))
  lost = processes.failed(_appears(probe))
  processes.first(lambda: probe.unlink(missing_ok=True))
  if lost:
    raise errors.CheckpointError(
      f"{path}: process {lost[0]} does not see what process 0 writes there;"
      " give a work directory that all processes share"
    )


def _appears(path: pathlib.Path, patience: float = 10.0) -> bool:
  """Whether a file is there, or comes in a while as on network drives."""
  end = time.monotonic() + patience
  while not path.exists():
    if time.monotonic() > end:
      return False
    time.sleep(0.2)
  return True


def _make_probe(path: pathlib.Path, probe: pathlib.Path) -> None:
  try:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    probe.write_text("")
  except OSError as error:
    raise errors.CheckpointError(
      f"{path}: cannot be used as a work directory ({error.strerror}); choose"
      " a writable one"
    ) from error


def _take_back(path: pathlib.Path) -> None:
  """Removes a folder that this process made, for a run that cannot begin."""
  if jax.process_index():
    return
  shutil.rmtree(path, ignore_errors=True)


def _check_same(config: config_lib.Config) -> None:
  """Checks that all processes were given the same config.

  Raises:
    ConfigError: they were not.
  """
  text = json.dumps(config_lib.to_json(config), sort_keys=True)
  if not processes.same_everywhere(text):
    raise errors.ConfigError(
      "--config: the processes were given different configs; start all of them"
      " with the same command"
    )


def _write_config(run: Run) -> None:
  if jax.process_index():
    return
  path = run.workdir / "config.json"
  text = json.dumps(config_lib.to_json(run.config), indent=2)
  scratch = path.with_suffix(".partial")
  scratch.write_text(text + "\n", encoding="utf-8")
  os.replace(scratch, path)


def train(
  config: config_lib.Config,
  workdir: str | os.PathLike,
  *,
  devices: Sequence[Any] | None = None,
  profile: tuple[int, int] | None = None,
) -> Outcome:
  """Trains, or goes on training, in a work directory.

  Writes config.json, metrics.jsonl (a line an update), events.jsonl (what
  happened, never rewritten), checkpoints/, eval.json, samples.jsonl, policy/
  and report.html. Called again it resumes from the newest good checkpoint,
  exactly: the same examples, draws and updates as without the interruption.

  Under `jax.distributed` every process makes the same call, on a work
  directory that all share. All stop at the same update; process 0 writes.

  Args:
    config: the run.
    workdir: its directory, or the URL of one, which is written in the
      background; see `mirror`.
    devices: to run on; default all.
    profile: (start, stop): traces the updates after `start` up to `stop` to
      the folder profile; default none.

  Raises:
    PrefjaxError: one line about what is wrong and what to do.
  """
  if not storage.is_remote(workdir):
    return _train(config, pathlib.Path(workdir), devices, profile)
  with mirror.Mirror(os.fspath(workdir)) as remote:
    return _train(config, remote.local, devices, profile, remote)


def _train(
  config: config_lib.Config,
  path: pathlib.Path,
  devices: Sequence[Any] | None,
  profile: tuple[int, int] | None,
  remote: mirror.Mirror | None = None,
) -> Outcome:
  """`train` in a local directory."""
  is_new = not path.exists()
  with signals.StopSignal() as stop:
    hosts = hosts_lib.Hosts(
      stop,
      save_seconds=60 * config.checkpoint.minutes,
      stop_seconds=60 * config.train.minutes,
      where=distributed.note,
    )
    _check_same(config)
    _make_workdir(path)
    try:
      driver = _Driver(Run(config, path, devices), stop, hosts, remote)
    except errors.PrefjaxError:
      if is_new:
        _take_back(path)
      raise
    log = events_lib.EventLog(events_lib.path_of(path, jax.process_index()))
    with log as events:
      outcome = driver.drive(events, profile)
      reason = "signal" if outcome.interrupted else "done"
      events.stop(reason, step=outcome.step, status=outcome.exit_status)
    return outcome


class _Driver:
  """Runs the stages one after the other."""

  def __init__(
    self,
    run: Run,
    stop: signals.StopSignal,
    hosts: hosts_lib.Hosts,
    remote: mirror.Mirror | None,
  ):
    self.run = run
    self.remote = remote
    self.stop = stop
    self.hosts = hosts
    hosts.place(run.place.mesh)
    self.directory = run.workdir / "checkpoints"
    options = run.config.checkpoint
    if options.keep_best and not options.best_metric:
      raise errors.ConfigError(
        "checkpoint.keep_best: needs checkpoint.best_metric, the metric to"
        " rank by"
      )
    self.parts = [stage_kinds.make(run, stage) for stage in run.stages]
    stage_run.check_kept_optimizers(self.parts)
    for part in self.parts:
      part.check()

  def drive(
    self, events: events_lib.EventLog, profile: tuple[int, int] | None
  ) -> Outcome:
    run = self.run
    self.events = events
    self.profiler: profiling.Profiler = profiling.Off()
    if profile is not None:
      self.profiler = profiling.Trace(profile, run.workdir / "profile", events)
    events.start(steps=run.stages[-1].stop, devices=run.place.mesh.size)
    position = resume_lib.resume(run, self.parts, self.directory, events)
    _write_config(run)
    sinks: list[writers.Writer] = []
    if jax.process_index() == 0:
      sinks.append(self._metrics(position))
      if run.config.log.tensorboard:
        sinks.append(writers.TensorBoardWriter(run.workdir / "tensorboard"))
    if self.remote is not None:
      sinks.append(mirror.Pushes(self.remote))
    self.writer = writers.MultiWriter(sinks)
    options = run.config.checkpoint
    self.checkpointer = checkpoint.Checkpointer(
      self.directory,
      keep=options.keep,
      keep_best=options.keep_best,
      best_metric=options.best_metric or None,
      best_mode=options.best_mode,
      store_frozen=any(
        s.config.train.reference_from == "previous" for s in run.stages
      ),
    )
    try:
      with self.checkpointer:
        result = self._stages(position)
    finally:
      self.profiler.close()
      self.writer.close()
    return result

  def _metrics(self, position: resume_lib.Position | None):
    """metrics.jsonl with the rows that the checkpoint stands for."""
    at, later = -1, set()
    if position is not None:
      at = position.step
      # At a border of stages the next one has begun with the same number.
      later = {s.name for s in self.run.stages[position.stage + 1 :]}
    return writers.JsonlWriter(
      self.run.workdir / "metrics.jsonl",
      keep_to=at,
      keep=lambda row: row.get("stage", "") not in later,
    )

  def _stages(self, position: resume_lib.Position | None) -> Outcome:
    run = self.run
    first = position.stage if position else 0
    policy = opt_state = None
    step = position.step if position else 0
    for own in self.parts[first:]:
      stage = own.stage
      metadata: dict[str, Any] = {}
      if position is not None and stage.index == position.stage:
        state, still = position.state, position.still
        metadata = position.metadata
        own.reopen(metadata)
      else:
        if policy is None:
          policy = run.first_policy()
        keep = not stage.config.train.reset_optimizer
        state, still = own.begin(policy, opt_state if keep else None)
      if step < stage.stop or stage is run.stages[-1]:
        outcome = self._stage(own, state, still, step, metadata)
        state, step = outcome.state, outcome.step
        if outcome.interrupted:
          return Outcome(run.workdir, step, True, self.stop.exit_status, None)
      policy, opt_state = state.params["policy"], state.opt_state
    report = self._finish(state)
    return Outcome(run.workdir, step, False, 0, report)

  def _stage(self, own: stage_run.StageRun, state, still, step, metadata):
    run, stage, config = self.run, own.stage, own.stage.config
    train_step = run.place.train_step(
      own.objective,
      own.tx,
      stage_run.make_schedule(stage),
      micro_batches=config.train.micro_batches,
      still=still,
    )
    self.events.write(
      "stage", name=stage.name, start=stage.start, stop=stage.stop, step=step
    )
    watcher = own.watcher(still)
    tag = {"stage": stage.name} if stage.name else {}
    show = progress.make(
      config.log.progress and jax.process_index() == 0,
      stage.name or config.method.name,
      step,
      stage.stop,
    )
    if step == stage.start:
      for note in (*stage.records.notes, *advice.notes(config)):
        show.note(note)
      numbers = watcher.evaluate(state)
      if numbers:
        self.writer.write({"step": step, **tag, **numbers})
      if stage is run.stages[-1]:
        watcher.before(state)
    if step < stage.stop and self.hosts.ask_now():
      # Nothing was done since the last save.
      show.close()
      return loop.Result(state, step, True, loop.Goodput())

    def save(state, number, row):
      self.checkpointer.save(
        number,
        state,
        metadata={
          "config": config_lib.to_json(run.config),
          "data_fingerprint": stage.source.fingerprint,
          "tokenizer_hash": run.source.tokenizer.fingerprint,
          "stage": {
            "index": stage.index,
            "name": stage.name,
            "start": stage.start,
          },
          **metadata,
          **feed.metadata(number),
        },
        metrics={k: v for k, v in row.items() if isinstance(v, float)},
        frozen=still,
      )
      feed.saved(self.checkpointer.steps())

    def remark(text: str) -> None:
      show.note(text)
      self.events.write("alarm", message=text)

    plan = loop.Plan(
      start=step,
      stop=stage.stop,
      eval_every=config.eval.every,
      save_every=config.checkpoint.every,
      max_bad_steps=config.train.max_bad_steps,
    )
    begin = stage_run.Start(
      state=state,
      still=still,
      step=step,
      metadata=metadata,
      writer=self.writer,
      note=remark,
      tag=tag,
    )
    try:
      with own.feed(begin) as feed:
        result = loop.run(
          state,
          plan,
          loop.Hooks(
            batch=feed.batches,
            step=feed.watch(train_step),
            save=save,
            evaluate=watcher.evaluate if watcher.has_data else None,
            writer=self.writer,
            progress=show,
            stop=self.stop,
            tag=tag,
            events=self.events,
            profiler=self.profiler,
            hosts=self.hosts,
          ),
        )
    finally:
      show.close()
    if not result.interrupted:
      if step < stage.stop:
        self.writer.write({"step": result.step, **tag, **result.goodput.row()})
      if stage is run.stages[-1]:
        watcher.after(result.state)
    self.writer.flush()
    return result

  def _finish(self, state: Any) -> pathlib.Path | None:
    run, log = self.run, self.run.config.log
    if log.export:
      folder = run.workdir / "policy"
      export_policy(run, state.params["policy"], folder)
      params = mesh_lib.for_first(state.params)
      processes.first(lambda: self.parts[-1].export(params, folder))
    if jax.process_index() != 0 or not log.report:
      return None
    from prefjax.analysis import report, rollouts

    rollouts.write_page(run.workdir)
    return report.from_workdir(run.workdir)


def export_policy(run: Run, policy: Any, folder: pathlib.Path) -> None:
  """Writes the trained policy as a model directory, adapters merged.

  An adapter is written besides, to the folder `adapter` next to it. All
  processes must call it; process 0 writes.
  """
  from prefjax import models

  weights, adapter = run.policy_weights(policy)
  spec = run.source.model.lora
  if adapter is not None:
    weights = lora_lib.merge(weights, adapter, spec)
    adapter = mesh_lib.for_first(adapter)
  weights = mesh_lib.for_first(weights)

  def write() -> None:
    model = run.source.model.config
    if adapter is not None:
      models.save_adapter(
        folder.with_name("adapter"),
        model,
        adapter,
        spec,
        base_model=run.config.model.source,
      )
    models.save_pretrained(
      folder, base.Model(model), weights, run.source.tokenizer
    )

  processes.first(write)
