# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A stage whose batches are rollouts of the policy that it trains."""

import contextlib
import dataclasses
from typing import Any

import jax
import numpy as np

from prefjax import generation, models
from prefjax.core import errors, prng
from prefjax.generation import engine as engine_lib
from prefjax.methods import language_model
from prefjax.models import base, heads
from prefjax.models import lora as lora_lib
from prefjax.runs import stage_run
from prefjax.runs import stages as stages_lib
from prefjax.runs.online import collecting, evaluation, rounds, telemetry
from prefjax.train import writers

TABLE = "rollouts.jsonl"
FOLDER = "rollouts"


class OnlineStageRun(stage_run.StageRun):
  """A stage of a method that learns from samples of its own.

  Args:
    run: the run it belongs to.
    stage: what to do.

  Raises:
    ConfigError: the rl section does not suit the method.
  """

  def __init__(self, run: Any, stage: stages_lib.Stage):
    if jax.process_count() > 1:
      raise errors.ConfigError(
        f"method.name: {stage.config.method.name} samples in one process; a"
        " mesh of its devices is fine"
      )
    self._online = stage.method.online
    super().__init__(run, stage)
    self.collector = collecting.Collector(run, stage, self._engine())

  def _engine(self) -> engine_lib.RolloutEngine | None:
    """The server that the config names, or None for our own decoder."""
    rl, run = self.stage.config.rl, self.run
    if rl.train_temperature not in (1.0, rl.temperature):
      raise errors.ConfigError(
        f"rl.train_temperature: {rl.train_temperature} is neither 1 nor"
        f" rl.temperature={rl.temperature}"
      )
    if rl.engine == "own":
      return None
    is_sglang = rl.engine_reload == "sglang"
    return generation.CompletionEngine(
      rl.engine,
      rl.engine_model,
      run.source.tokenizer.encode,
      reload=generation.reload_from_disk(rl.engine) if is_sglang else None,
      export=self._export if is_sglang else None,
    )

  def _export(self, weights: Any, lora: Any) -> str:
    """Writes weights where a server can read them; returns the folder."""
    run, folder = self.run, self.run.workdir / "engine"
    if lora is not None:
      weights = lora_lib.merge(weights, lora, run.source.model.lora)
    models.save_pretrained(
      folder,
      base.Model(run.source.model.config),
      weights,
      run.source.tokenizer,
    )
    return str(folder.resolve())

  def _reference_mode(self) -> str:
    rl, train = self.stage.config.rl, self.stage.config.train
    if train.reference_mix:
      raise errors.ConfigError(
        "train.reference_mix: not for methods that learn from their own"
        " samples; rl.reference=round follows the policy"
      )
    from_models = self._online.source != "policy"
    uses = self._online.uses_reference and rl.reference == "initial"
    return "live" if uses or from_models else "none"

  def _make_objective(self) -> language_model.LanguageModelObjective:
    """The update's objective; the reference comes with the rollouts."""
    return language_model.LanguageModelObjective(
      self.stage.method,
      self.run.source.model,
      self._init,
      compute=dataclasses.replace(
        self.run.compute, temperature=self.stage.config.rl.train_temperature
      ),
      reference="precomputed",
    )

  # --- a value model ---------------------------------------------------------

  def _value(self) -> Any:
    """A value model that begins with the policy's weights and says 0."""
    run, model = self.run, self.run.source.model
    key = prng.step_key(run.config.seed, self.stage.start, "value")
    head = heads.init(key, model.config.hidden_size, std=0.0)
    if run.has_adapter:
      adapter = lora_lib.init(key, model.config, model.lora)
      return {language_model.ADAPTER: adapter, "scalar_head": head}
    return {"backbone": run.initial(), "scalar_head": head}

  def roles(self, policy: Any) -> dict[str, Any]:
    params = {"policy": policy}
    if self._online.uses_values:
      value = self.run.place.put(self._value(), stage_run.RULES)
      params["value"] = self.run.place.copy(value)
    return params

  def role_shapes(self) -> dict[str, Any]:
    shapes = super().role_shapes()
    if self._online.uses_values:
      run, model = self.run, self.run.source.model
      head = jax.eval_shape(
        lambda: heads.init(jax.random.key(0), model.config.hidden_size, std=0.0)
      )
      value: dict[str, Any] = {"scalar_head": head}
      if run.has_adapter:
        value[language_model.ADAPTER] = jax.eval_shape(
          lambda: lora_lib.init(jax.random.key(0), model.config, model.lora)
        )
      else:
        value["backbone"] = model.shapes(run.source.dtype)
      shapes["value"] = value
    return shapes

  def example_batch(self, step: int = 0) -> Any:
    prompts = self.stage.source.batch(step)
    size = self.stage.config.data.batch_size
    prompts = jax.tree.map(lambda x: np.asarray(x)[:size], prompts)
    return collecting.blank_batch(
      prompts, self.stage.method, self.stage.config.rl
    )

  # --- the loop's side -------------------------------------------------------

  def watcher(self, still: Any) -> evaluation.OnlineWatcher:
    return evaluation.OnlineWatcher(self.run, self.stage, still, self.collector)

  @contextlib.contextmanager
  def feed(self, start: stage_run.Start):
    config, stage = self.stage.config, self.stage
    table = None
    if config.rl.table:
      table = writers.JsonlWriter(self.run.workdir / TABLE, keep_to=start.step)
    source = rounds.Rounds(
      rounds.Plan(
        start=stage.start,
        rows=config.data.batch_size,
        prompts=stage.source.global_batch_size,
        epochs=config.rl.epochs,
        seed=config.seed,
        kl_coef=self._online.kl_coef,
        overlap=config.rl.overlap,
      ),
      self.collector,
      self.run.workdir / FOLDER / f"stage-{stage.index}",
      still=start.still,
      writer=start.writer,
      table=table,
      alarms=telemetry.Alarms() if config.rl.alarms else None,
      note=start.note,
      tag=start.tag,
    )
    try:
      source.begin(start.state, start.step, start.metadata)
      yield stage_run.Feed(
        batches=source,
        watch=source.watch,
        metadata=source.metadata,
        saved=source.prune,
      )
    finally:
      source.close()
      if table is not None:
        table.close()
