# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""One stage while it runs: state, frozen roles, references, batches."""

import contextlib
import dataclasses
import itertools
import pathlib
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefjax import checkpoint, losses
from prefjax import config as config_lib
from prefjax.core import errors, prng, types
from prefjax.data import pipeline
from prefjax.methods import language_model
from prefjax.methods import objective as objective_lib
from prefjax.models import lora as lora_lib
from prefjax.runs import data as run_data
from prefjax.runs import evaluation, references
from prefjax.runs import run as run_lib
from prefjax.runs import stages as stages_lib
from prefjax.train import inputs, optim
from prefjax.train import mesh as mesh_lib
from prefjax.train import state as state_lib

Run = run_lib.Run
RULES = run_lib.RULES


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
  """Where the loop of a stage begins, and whom its batches may tell.

  Attributes:
    state: the moving state.
    still: frozen roles that never change.
    step: updates of the run done.
    metadata: of the checkpoint that the stage goes on from, else {}.
    writer: takes rows of numbers.
    note: shows a remark to a person.
    tag: fields of every row.
  """

  state: state_lib.TrainState
  still: Mapping[str, Any]
  step: int
  metadata: Mapping[str, Any]
  writer: Any
  note: Callable[[str], None]
  tag: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feed:
  """Batches of a stage and what goes with them.

  Attributes:
    batches: iterates as (update of the run, batch).
    watch: train step -> train step, for batches that follow the state.
    metadata: update -> what a checkpoint must say besides.
    saved: told the steps of all checkpoints after a save.
  """

  batches: Iterator[tuple[int, Any]]
  watch: Callable[[Any], Any] = lambda step: step
  metadata: Callable[[int], dict[str, Any]] = lambda step: {}
  saved: Callable[[list[int]], None] = lambda steps: None


def _fresh_state(run: Run, stage: stages_lib.Stage, params, tx, opt_state):
  """The moving part of a state at the beginning of a stage."""
  if opt_state is None:
    shapes = jax.eval_shape(tx.init, params)
    shardings = run.place.shardings(shapes, run_lib.RULES)
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
  return run.place.put(state, run_lib.RULES)


def make_optimizer(config: config_lib.OptConfig):
  """The optimiser of an opt section."""
  optim.decay_mask(config.decay_pattern)  # refused even if nothing decays
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


def make_schedule(stage: stages_lib.Stage):
  opt = stage.config.opt
  return optim.make_schedule(
    opt.schedule,
    opt.learning_rate,
    total_steps=stage.stop - stage.start,
    warmup_steps=opt.warmup_steps,
    final_fraction=opt.final_fraction,
    start=stage.start,
  )


def check_kept_optimizers(parts: Sequence["StageRun"]) -> None:
  """Checks that a stage can go on with the optimiser of the one before.

  Raises:
    ConfigError: its state has another structure.
  """
  for before, own in itertools.pairwise(parts):
    if own.stage.config.train.reset_optimizer:
      continue
    first, second = (
      jax.tree.map(lambda x: (x.shape, x.dtype), part.template().opt_state)
      for part in (before, own)
    )
    if first != second:
      raise errors.ConfigError(
        f"stages.{own.stage.name}.train.reset_optimizer: the optimiser is not"
        " that of the stage before; set it to True"
      )


class StageRun:
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
    self.mode = self._reference_mode()
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
    self.objective = self._make_objective()
    self.references: dict[str, references.ReferenceStore] = {}
    self.reference_keys: dict[str, str] = {}

  def _reference_mode(self) -> str:
    """Where log-probs of the reference come from."""
    uses_reference = self.stage.uses_reference
    return self.stage.config.train.reference if uses_reference else "none"

  def _make_objective(self) -> language_model.LanguageModelObjective:
    stage, train = self.stage, self.stage.config.train
    return language_model.LanguageModelObjective(
      stage.method,
      self.run.source.model,
      self._init,
      compute=self.run.compute,
      reference=self.mode,
      reference_mix=train.reference_mix if stage.uses_reference else 0.0,
      reference_every=train.reference_every,
    )

  def _init(self, key):
    frozen = {}
    if self.run.has_adapter:
      frozen["base"] = self.run.initial()
    elif self.mode == "live":
      frozen["reference"] = self.run.initial()
    return objective_lib.Init(
      self.roles(self.run.first_policy()),
      frozen,
      self.stage.method.init_state(key),
    )

  def roles(self, policy: Any) -> dict[str, Any]:
    """Trained roles at the beginning of the stage, on the devices."""
    return {"policy": policy}

  def role_shapes(self) -> dict[str, Any]:
    """Their shapes."""
    model = self.run.source.model
    if self.run.has_adapter:
      policy = jax.eval_shape(
        lambda: lora_lib.init(jax.random.key(0), model.config, model.lora)
      )
    else:
      policy = model.shapes(self.run.source.dtype)
    return {"policy": policy}

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
    params = self.roles(policy)
    state = _fresh_state(self.run, self.stage, params, self.tx, opt_state)
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
    params = self.role_shapes()
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

  def check(self) -> None:
    """Traces the loss of one batch, before anything is loaded or written.

    Raises:
      ConfigError: the method refuses the value of a hyper-parameter.
    """
    bare = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), self.template()
    )
    weights = self.run.source.model.shapes(self.run.source.dtype)
    frozen = {}
    if self.run.has_adapter:
      frozen["base"] = weights
    elif self.mode == "live":
      frozen["reference"] = weights
    batch = self.example_batch()

    def terms(params, frozen, method_state, batch):
      keys = prng.example_keys(0, 0, "loss", batch.example_id)
      result = self.objective.loss(params, frozen, batch, method_state, keys)
      return result.terms

    try:
      jax.eval_shape(terms, bare.params, frozen, bare.method_state, batch)
    except ValueError as error:
      if isinstance(error, errors.PrefjaxError) or not _from_a_loss(error):
        raise
      reason = str(error).partition("\n")[0]
      raise errors.ConfigError(f"method.kwargs: {reason}") from error

  def example_batch(self, step: int = 0) -> types.Batch:
    """A batch with the shapes of that of an update, over all processes."""
    batch = self.stage.source.whole(step)
    return (
      _with_empty_references(batch) if self.mode == "precomputed" else batch
    )

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
          place=lambda group: mesh_lib.spread(run.place.mesh, group),
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

  @contextlib.contextmanager
  def feed(self, start: Start) -> Iterator[Feed]:
    """Batches from an update on; see `Feed`."""
    source: Any = self.stage.source
    if self.references:
      source = references.WithReference(source, self.references["train"])
    first, data = self.stage.start, self.stage.config.data
    keys = {"reference_keys": self.reference_keys}
    prefetch = pipeline.prefetch(
      source, start.step - first, depth=data.prefetch
    )
    watched = inputs.Watched(prefetch, start.note, limit=data.patience)
    try:
      yield Feed(
        batches=((step + first, batch) for step, batch in watched),
        metadata=lambda step: keys if self.reference_keys else {},
      )
    finally:
      watched.close()
      prefetch.close()

  def watcher(self, still: Any) -> evaluation.Watcher:
    """Evaluates the stage on its held-out records."""
    stored = self.references.get("held_out")
    return evaluation.Watcher(
      self.run, self.objective, self.stage, still, stored
    )

  def export(self, params: Any, folder: pathlib.Path) -> None:
    """Writes what goes beside the exported policy; nothing here."""


def _with_empty_references(batch: types.Batch) -> types.Batch:
  """The batch with a place for reference log-probs."""
  return dataclasses.replace(
    batch,
    groups={
      name: dataclasses.replace(
        group, ref_token_logps=np.zeros(group.response.shape, np.float32)
      )
      for name, group in batch.groups.items()
    },
  )


def _from_a_loss(error: BaseException) -> bool:
  """Whether an error began in `prefjax.losses`, which checks its keywords."""
  folder = pathlib.Path(losses.__file__).parent
  frames = traceback.extract_tb(error.__traceback__)
  return any(pathlib.Path(frame.filename).parent == folder for frame in frames)


def _with_shardings(run: Run, shapes: Any) -> Any:
  shardings = run.place.shardings(shapes, run_lib.RULES)
  return jax.tree.map(
    lambda s, at: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=at),
    shapes,
    shardings,
  )
