# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The stages of a run: method, data and steps of each, made before any step.

A run is one stage or several; all are prepared at the start, so that an error
in the last one costs no training, and so that every stage knows at which
update of the whole run it begins.
"""

import dataclasses
import json
import math
import pathlib

from prefjax import config as config_lib
from prefjax.core import errors
from prefjax.data import pipeline, store
from prefjax.methods import method as method_lib
from prefjax.methods import registry
from prefjax.runs import data as run_data
from prefjax.runs import models as run_models


@dataclasses.dataclass(frozen=True)
class Stage:
  """One stage, ready to run.

  Attributes:
    index: position in the run.
    name: key in config.stages; "" for a run of one stage.
    config: the base with the stage's changes.
    method: needs and loss.
    records: what it learns from.
    tokens: the same, tokenised.
    held_out: tokenised held-out records, or None.
    source: training batches by step of the stage.
    start: updates of the run before this stage.
    stop: updates of the run after it.
  """

  index: int
  name: str
  config: config_lib.Config
  method: method_lib.Method
  records: run_data.Records
  tokens: store.Store
  held_out: store.Store | None
  source: pipeline.Source
  start: int
  stop: int

  @property
  def beta(self) -> float | None:
    """The method's reward scale, where it has one."""
    row = registry.row(self.config.method.name)
    value = {**row.defaults, **self.config.method.kwargs}.get("beta")
    return None if value is None else float(value)

  @property
  def uses_reference(self) -> bool:
    return "reference" in self.method.roles()


def make_method(config: config_lib.MethodConfig) -> method_lib.Method:
  """The method, or mixture, that a method section names.

  Raises:
    ConfigError: unknown names or hyper-parameters.
  """
  if not config.mixture:
    return registry.get(config.name, **config.kwargs)
  parts = [(config.name, 1.0, config.kwargs)]
  for name, value in config.mixture.items():
    if isinstance(value, dict):
      extra = dict(value)
      parts.append((name, extra.pop("weight", 1.0), extra))
    else:
      parts.append((name, value))
  return registry.mixture(parts)


def _key(config: config_lib.DataConfig, kind: str) -> str:
  return json.dumps([config_lib.plain(config), kind], sort_keys=True)


def _steps(
  config: config_lib.Config, source: pipeline.Source, is_online: bool
) -> int:
  if config.train.steps:
    return config.train.steps
  share = config.train.epochs * source.num_examples
  steps = math.ceil(share / source.global_batch_size - 1e-9)
  if is_online:  # a round of own samples is several updates
    steps *= config.rl.epochs * source.global_batch_size
    steps //= config.data.batch_size
  if steps < 1:
    raise errors.ConfigError(
      "train.epochs: 0 passes are no training; set train.steps or train.epochs"
    )
  return steps


def rows_of(config: config_lib.Config, method: method_lib.Method) -> int:
  """Rows of a batch of the source: of an update, or prompts of a round.

  Raises:
    ConfigError: a round is no whole number of updates.
  """
  rows = config.data.batch_size
  if method.online is None:
    return rows
  prompts = config.rl.prompts or rows
  if prompts % rows:
    raise errors.ConfigError(
      f"rl.prompts: {prompts} is not a multiple of data.batch_size={rows}"
    )
  return prompts


def prepare(
  config: config_lib.Config,
  source: run_models.Source,
  workdir: pathlib.Path,
) -> tuple[Stage, ...]:
  """All stages of a run, tokenised.

  Args:
    config: the whole configuration.
    source: model and tokenizer.
    workdir: where records of the built-in language are written.

  Raises:
    ConfigError, DataError, ModelError: one line about what is wrong.
  """
  names = config_lib.stage_names(config)
  resolved = [config_lib.stage(config, name) for name in names]
  # Everything that costs nothing is checked before anything is read.
  methods = [make_method(c.method) for c in resolved]
  stages: list[Stage] = []
  made: dict[str, tuple] = {}
  start = 0
  for index, (name, own, method) in enumerate(
    zip(names, resolved, methods, strict=True)
  ):
    view = run_data.make_view(own.data, method.record_kind, method.extras)
    key = _key(own.data, view.name)
    if key not in made:
      records = run_data.load_records(own.data, workdir / "data")
      tokens = run_data.make_store(own.data, source, records.train, view)
      held_out = None
      if records.held_out:
        held_out = run_data.make_store(own.data, source, records.held_out, view)
      made[key] = records, tokens, held_out
    records, tokens, held_out = made[key]
    batches = run_data.train_source(
      dataclasses.replace(own.data, batch_size=rows_of(own, method)),
      tokens,
      config.seed + index,
    )
    if method.online is None:
      keys = "data.max_prompt and data.max_response"
      run_data.check_lengths(source.model, batches, keys)
    steps = _steps(own, batches, method.online is not None)
    stages.append(
      Stage(
        index,
        name,
        own,
        method,
        records,
        tokens,
        held_out,
        batches,
        start,
        start + steps,
      )
    )
    start += steps
  return tuple(stages)
