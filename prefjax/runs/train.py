# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A whole run: stages, evaluation, checkpoints, exact resume, report."""

import contextlib
import dataclasses
import json
import logging
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from prefjax import checkpoint
from prefjax import config as config_lib
from prefjax.core import errors, prng
from prefjax.data import pipeline
from prefjax.methods import language_model
from prefjax.methods import objective as objective_lib
from prefjax.models import base
from prefjax.models import lora as lora_lib
from prefjax.runs import data as run_data
from prefjax.runs import evaluation, placement, references, scoring
from prefjax.runs import models as run_models
from prefjax.runs import stages as stages_lib
from prefjax.train import loop, optim, progress, signals, writers
from prefjax.train import mesh as mesh_lib
from prefjax.train import state as state_lib

_LOG = logging.getLogger(__name__)
_RULES = language_model.SHARDING_RULES
# Keys that may differ at a resume besides `checkpoint.COMPATIBLE_KEYS`.
_FREE = (
  "stages.*.train.steps",
  "train.max_bad_steps",
  "data.prefetch",
  "data.cache_dir",
  "mesh.*",
)


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


class Run:
  """One run in one work directory.

  Args:
    config: what to do.
    workdir: where everything is written; made if missing, mode 0700.
  """

  def __init__(self, config: config_lib.Config, workdir: str | os.PathLike):
    self.config = config
    self.workdir = pathlib.Path(workdir)
    self.source = run_models.open_source(config.model, config.seed)
    mesh = mesh_lib.make_mesh(**dataclasses.asdict(config.mesh))
    for name in config_lib.stage_names(config):
      own = config_lib.stage(config, name)
      mesh_lib.check_batch(mesh, own.data.batch_size, own.train.micro_batches)
      if own.train.parallel != config.train.parallel:
        raise errors.ConfigError(
          f"stages.{name}.train.parallel: the same for all stages"
        )
    self.place = placement.Placement(mesh, config.train.parallel)
    self.compute = language_model.Compute(
      layout=config.model.layout,
      dtype=run_models.compute_dtype(config.model),
      remat=config.model.remat,
    )
    self.stages = stages_lib.prepare(config, self.source, self.workdir)
    self._initial: Any = None
    self.scorer = scoring.scorer(
      self.source.model,
      self.compute,
      has_adapter=self.source.model.lora is not None,
    )

  # --- weights ---------------------------------------------------------------

  @property
  def has_adapter(self) -> bool:
    return self.source.model.lora is not None

  def initial(self) -> Any:
    """The weights that the config names, on the devices; kept."""
    if self._initial is None:
      shapes = self.source.model.shapes(self.source.dtype)
      self._initial = self.source.load(self.place.shardings(shapes, _RULES))
    return self._initial

  def first_policy(self) -> Any:
    """Trained arrays at the very beginning."""
    if self.has_adapter:
      key = prng.step_key(self.config.seed, 0, "lora")
      adapter = lora_lib.init(key, self.source.model.config, self._spec())
      return self.place.put(adapter, _RULES)
    return self.place.copy(self.initial())

  def _spec(self) -> lora_lib.LoraSpec:
    return self.source.model.lora

  def policy_weights(self, policy: Any) -> tuple[Any, Any]:
    """(decoder weights, adapter or None) to run the policy with."""
    if self.has_adapter:
      return self.initial(), policy
    return policy, None


def _fresh_state(run: Run, stage: stages_lib.Stage, policy, tx, opt_state):
  """The moving part of a state at the beginning of a stage."""
  params = {"policy": policy}
  if opt_state is None:
    shapes = jax.eval_shape(tx.init, params)
    shardings = run.place.shardings(shapes, _RULES)
    opt_state = jax.jit(tx.init, out_shardings=shardings)(params)
  key = prng.step_key(run.config.seed, stage.start, "method_state")
  state = state_lib.TrainState(
    step=jnp.asarray(stage.start, jnp.int32),
    params=params,
    frozen={},
    opt_state=opt_state,
    method_state=stage.method.init_state(key),
    seed=jnp.asarray(run.config.seed, jnp.uint32),
  )
  # Placed like what a step returns, or the second step would compile anew.
  return run.place.put(state, _RULES)


def make_optimizer(config: config_lib.OptConfig):
  """The optimiser of an opt section."""
  return optim.make_optimizer(
    config.name,
    b1=config.b1,
    b2=config.b2,
    eps=config.eps,
    weight_decay=config.weight_decay,
    decay_pattern=config.decay_pattern,
    clip_norm=config.clip_norm or None,
    moment_dtype=jnp.dtype(config.moment_dtype)
    if config.moment_dtype
    else None,
    role_scales=config.role_scales or None,
  )


def _schedule(stage: stages_lib.Stage):
  opt = stage.config.opt
  return optim.make_schedule(
    opt.schedule,
    opt.learning_rate,
    total_steps=stage.stop - stage.start,
    warmup_steps=opt.warmup_steps,
    final_fraction=opt.final_fraction,
    start=stage.start,
  )


class _StageRun:
  """One stage while it runs.

  Args:
    run: the run it belongs to.
    stage: what to do.
  """

  def __init__(self, run: Run, stage: stages_lib.Stage):
    self.run = run
    self.stage = stage
    train = stage.config.train
    self.tx = make_optimizer(stage.config.opt)
    self.mode = train.reference if stage.uses_reference else "none"
    if self.mode == "none" and stage.uses_reference:
      raise errors.ConfigError(
        f"train.reference: {stage.config.method.name} needs a reference; use"
        " live or precomputed"
      )
    if train.reference_from == "previous" and run.has_adapter:
      raise errors.ConfigError(
        "train.reference_from: with an adapter the reference is the base"
        " model; use initial"
      )
    self.objective = language_model.LanguageModelObjective(
      stage.method,
      run.source.model,
      self._init,
      compute=run.compute,
      reference=self.mode,
      reference_mix=train.reference_mix if stage.uses_reference else 0.0,
      reference_every=train.reference_every,
    )
    self.references: dict[str, references.ReferenceStore] = {}
    self.reference_keys: dict[str, str] = {}

  def _init(self, key):
    frozen = {}
    if self.run.has_adapter:
      frozen["base"] = self.run.initial()
    elif self.mode == "live":
      frozen["reference"] = self.run.initial()
    return objective_lib.Init(
      {"policy": self.run.first_policy()},
      frozen,
      self.stage.method.init_state(key),
    )

  @property
  def from_previous(self) -> bool:
    """Whether the reference is the policy of the stage before."""
    return (
      self.mode != "none"
      and self.stage.index > 0
      and self.stage.config.train.reference_from == "previous"
    )

  def frozen(self, reference: Any) -> dict[str, Any]:
    """Frozen roles from the reference's weights."""
    if self.run.has_adapter:
      return {"base": self.run.initial()}
    if self.mode == "live":
      return {"reference": reference}
    return {}

  def begin(self, policy: Any, opt_state: Any = None):
    """(moving state, still frozen roles) at the beginning of the stage.

    Args:
      policy: trained arrays; owned by the state from here on.
      opt_state: of the stage before, or None for a fresh one.
    """
    reference = None
    if self.mode != "none":
      if self.from_previous:
        reference = self.run.place.copy(policy)
      else:
        reference = self.run.initial()
      if self.mode == "precomputed":
        self._precompute(reference)
    state = _fresh_state(self.run, self.stage, policy, self.tx, opt_state)
    frozen = self.frozen(reference)
    return self._split(state, frozen)

  def _split(self, state, frozen):
    moving = {
      k: self.run.place.copy(v)
      for k, v in frozen.items()
      if k in self.objective.moving
    }
    still = {k: v for k, v in frozen.items() if k not in moving}
    return dataclasses.replace(state, frozen=moving), still

  def template(self):
    """(shapes of the moving state with shardings, frozen spec to restore)."""
    model = self.run.source.model
    if self.run.has_adapter:
      policy = jax.eval_shape(
        lambda: lora_lib.init(jax.random.key(0), model.config, model.lora)
      )
    else:
      policy = model.shapes(self.run.source.dtype)
    params = {"policy": policy}
    weights = model.shapes(self.run.source.dtype)
    frozen = {r: weights for r in self.objective.moving}
    shapes = state_lib.TrainState(
      step=jax.ShapeDtypeStruct((), jnp.int32),
      params=params,
      frozen=frozen,
      opt_state=jax.eval_shape(self.tx.init, params),
      method_state=jax.eval_shape(
        lambda: self.stage.method.init_state(jax.random.key(0))
      ),
      seed=jax.ShapeDtypeStruct((), jnp.uint32),
    )
    return _with_shardings(self.run, shapes)

  def still_template(self) -> dict[str, Any]:
    """Frozen roles as the manifest should know them: arrays, or shapes."""
    names = set(self.frozen(None)) - set(self.objective.moving)
    if not names:
      return {}
    if self.from_previous:
      shapes = self.run.source.model.shapes(self.run.source.dtype)
      return {name: _with_shardings(self.run, shapes) for name in names}
    return {name: self.run.initial() for name in names}

  # --- precomputed references ------------------------------------------------

  def _folder(self) -> pathlib.Path:
    cache = self.stage.config.data.cache_dir
    return pathlib.Path(cache) if cache else self.run.workdir / "references"

  def _key(self, reference: Any, tokens) -> str:
    digests = checkpoint.tree_digest(reference)
    return references.key(
      {
        "tokens": tokens.fingerprint,
        "weights": {k: dataclasses.asdict(v) for k, v in digests.items()},
        "model": repr(self.run.source.model.config),
        "dtype": str(self.run.compute.dtype),
      }
    )

  def _precompute(self, reference: Any) -> None:
    """Reference log-probs of training and held-out examples."""
    run = self.run
    rows = run.place.rows(self.stage.config.data.batch_size)
    for name, tokens in self._tokens().items():
      source = run_data.eval_source(tokens, rows)
      key = self._key(reference, tokens)
      self.reference_keys[name] = key

      def make(source=source):
        return references.compute(
          source,
          run.scorer,
          reference,
          place=lambda group: mesh_lib.to_global(run.place.mesh, group),
        )

      self.references[name] = references.build_or_open(
        self._folder(), key, make
      )

  def _tokens(self) -> dict[str, Any]:
    tokens = {"train": self.stage.tokens, "held_out": self.stage.held_out}
    return {name: store for name, store in tokens.items() if store is not None}

  def reopen(self, metadata: dict[str, Any]) -> None:
    """Opens the stored references of a run that goes on."""
    if self.mode != "precomputed":
      return
    if not self.from_previous:
      self._precompute(self.run.initial())
      return

    def gone():
      raise errors.CheckpointError(
        f"{self._folder()}: the reference log-probs of this stage are missing"
        " or damaged, and the weights they came from are not kept; start the"
        " run again, or set train.reference=live"
      )

    self.reference_keys = dict(metadata.get("reference_keys") or {})
    for name in self._tokens():
      self.references[name] = references.build_or_open(
        self._folder(), str(self.reference_keys.get(name)), gone
      )

  def batches(self, start: int) -> "contextlib.AbstractContextManager":
    """Iterates over (update of the run, batch) from `start`."""
    source: Any = self.stage.source
    if self.references:
      source = references.WithReference(source, self.references["train"])
    depth = self.stage.config.data.prefetch
    return _Batches(source, start - self.stage.start, self.stage.start, depth)


class _Batches:
  """Prefetched batches numbered by the update of the whole run."""

  def __init__(self, source, step: int, offset: int, depth: int):
    self._prefetch = pipeline.prefetch(source, step, depth=depth)
    self._offset = offset

  def __enter__(self) -> Iterator[tuple[int, Any]]:
    return ((step + self._offset, batch) for step, batch in self._prefetch)

  def __exit__(self, *exception: object) -> None:
    self._prefetch.close()


def _with_shardings(run: Run, shapes: Any) -> Any:
  shardings = run.place.shardings(shapes, _RULES)
  return jax.tree.map(
    lambda s, at: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=at),
    shapes,
    shardings,
  )


# --- resume -------------------------------------------------------------------


@dataclasses.dataclass
class _Position:
  """Where a run stands: inside which stage, with which state."""

  stage: int
  step: int
  state: state_lib.TrainState | None
  still: dict[str, Any]
  metadata: dict[str, Any]


def _resume(run: Run, directory: pathlib.Path) -> _Position | None:
  """The newest good checkpoint, or None where there is none.

  Raises:
    CheckpointError: it belongs to another run, or none can be read.
  """
  if not directory.exists() or not checkpoint.steps(directory):
    return None
  reasons = []
  for info in reversed(checkpoint.describe(directory)):
    if info.manifest is None or info.status != "ok":
      reasons.append(f"step {info.step}: {info.reason or info.status}")
      continue
    manifest = info.manifest
    index = _stage_index(run, manifest)
    stage = run.stages[index]
    changes = checkpoint.check_compatible(
      manifest,
      config=config_lib.to_json(run.config),
      data_fingerprint=stage.source.fingerprint,
      tokenizer_hash=run.source.tokenizer.fingerprint,
      allow=(*checkpoint.COMPATIBLE_KEYS, *_FREE),
      override=run.config.checkpoint.allow_changes,
    )
    own = _StageRun(run, stage)
    try:
      restored = checkpoint.restore(
        directory,
        own.template(),
        step=info.step,
        frozen=own.still_template(),
      )
    except errors.CheckpointCorruptError as error:
      reasons.append(f"step {info.step}: {error}")
      _LOG.warning("%s; falling back to the step before it", error)
      continue
    metadata = dict(manifest.metadata)
    overridden = checkpoint.as_json(changes)
    if overridden:
      metadata["overridden"] = [*metadata.get("overridden", []), *overridden]
    for reason in reasons:
      _LOG.warning("checkpoint not usable: %s", reason)
    return _Position(index, info.step, restored.tree, restored.frozen, metadata)
  raise errors.CheckpointCorruptError(
    f"no step in '{directory}' can be restored ({'; '.join(reasons[:5])});"
    " restore the files from a backup or use another work directory"
  )


def _stage_index(run: Run, manifest) -> int:
  saved = manifest.stage or {}
  index = int(saved.get("index", 0))
  if index >= len(run.stages) or saved.get("name") != run.stages[index].name:
    raise errors.CheckpointError(
      f"step {manifest.step} was saved in stage {saved.get('name')!r}, which"
      " this config does not have at that place: use the config of the run"
    )
  return index


# --- the run ----------------------------------------------------------------


def _make_workdir(path: pathlib.Path) -> None:
  try:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    probe = path / ".writable"
    probe.write_text("")
    probe.unlink()
  except OSError as error:
    raise errors.CheckpointError(
      f"{path}: cannot be used as a work directory ({error.strerror}); choose"
      " a writable one"
    ) from error


def _write_config(run: Run) -> None:
  path = run.workdir / "config.json"
  text = json.dumps(config_lib.to_json(run.config), indent=2)
  scratch = path.with_suffix(".partial")
  scratch.write_text(text + "\n", encoding="utf-8")
  os.replace(scratch, path)


def train(config: config_lib.Config, workdir: str | os.PathLike) -> Outcome:
  """Trains, or goes on training, in a work directory.

  Writes config.json, metrics.jsonl (a line an update), checkpoints/,
  eval.json, samples.jsonl, policy/ and report.html. Called again it resumes
  from the newest good checkpoint, exactly: the same examples, draws and
  updates as without the interruption.

  Args:
    config: the run.
    workdir: its directory.

  Raises:
    PrefjaxError: one line about what is wrong and what to do.
  """
  path = pathlib.Path(workdir)
  _make_workdir(path)
  with signals.StopSignal() as stop:
    run = Run(config, path)
    return _Driver(run, stop).drive()


class _Driver:
  """Runs the stages one after the other."""

  def __init__(self, run: Run, stop: signals.StopSignal):
    self.run = run
    self.stop = stop
    self.directory = run.workdir / "checkpoints"
    self.last_row: dict[str, Any] = {}

  def drive(self) -> Outcome:
    run = self.run
    position = _resume(run, self.directory)
    _write_config(run)
    at = position.step if position else -1
    sinks: list[writers.Writer] = [
      writers.JsonlWriter(run.workdir / "metrics.jsonl", keep_to=at)
    ]
    if run.config.log.tensorboard:
      sinks.append(writers.TensorBoardWriter(run.workdir / "tensorboard"))
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
      self.writer.close()
    return result

  def _stages(self, position: _Position | None) -> Outcome:
    run = self.run
    first = position.stage if position else 0
    policy = opt_state = None
    step = position.step if position else 0
    for stage in run.stages[first:]:
      own = _StageRun(run, stage)
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
    report = self._finish(policy)
    return Outcome(run.workdir, step, False, 0, report)

  def _stage(self, own: _StageRun, state, still, step: int, metadata):
    run, stage, config = self.run, own.stage, own.stage.config
    train_step = run.place.train_step(
      own.objective,
      own.tx,
      _schedule(stage),
      micro_batches=config.train.micro_batches,
      still=still,
    )
    watcher = evaluation.Watcher(
      run, own.objective, stage, still, own.references.get("held_out")
    )
    tag = {"stage": stage.name} if stage.name else {}
    show = progress.make(
      config.log.progress and jax.process_index() == 0,
      stage.name or config.method.name,
      step,
      stage.stop,
    )
    for note in stage.records.notes if step == stage.start else ():
      show.note(note)
    if step == stage.start:
      numbers = watcher.evaluate(state)
      if numbers:
        self.writer.write({"step": step, **tag, **numbers})
      if stage is run.stages[-1]:
        watcher.before(state)

    def save(state, number, row):
      extra = dict(metadata)
      if own.reference_keys:
        extra["reference_keys"] = own.reference_keys
      self.checkpointer.save(
        number,
        state,
        metadata={
          "config": config_lib.to_json(run.config),
          "data_fingerprint": stage.source.fingerprint,
          "tokenizer_hash": run.source.tokenizer.fingerprint,
          "stage": {"index": stage.index, "name": stage.name},
          **extra,
        },
        metrics={k: v for k, v in row.items() if isinstance(v, float)},
        frozen=still,
      )

    plan = loop.Plan(
      start=step,
      stop=stage.stop,
      eval_every=config.eval.every,
      save_every=config.checkpoint.every,
      max_bad_steps=config.train.max_bad_steps,
    )
    try:
      with own.batches(step) as batches:
        result = loop.run(
          state,
          plan,
          loop.Hooks(
            batch=batches,
            step=train_step,
            save=save,
            evaluate=watcher.evaluate if watcher.has_data else None,
            writer=self.writer,
            progress=show,
            stop=self.stop,
            tag=tag,
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

  def _finish(self, policy: Any) -> pathlib.Path | None:
    run, log = self.run, self.run.config.log
    if jax.process_index() != 0:
      return None
    if log.export:
      export_policy(run, policy, run.workdir / "policy")
    if not log.report:
      return None
    from prefjax.analysis import report

    return report.from_workdir(run.workdir)


def export_policy(run: Run, policy: Any, folder: pathlib.Path) -> None:
  """Writes the trained policy as a model directory, adapters merged."""
  from prefjax import models

  weights, adapter = run.policy_weights(policy)
  if adapter is not None:
    weights = lora_lib.merge(weights, adapter, run.source.model.lora)
  models.save_pretrained(
    folder, base.Model(run.source.model.config), weights, run.source.tokenizer
  )
