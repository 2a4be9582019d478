# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The policy of a run, from its newest good checkpoint."""

import json
import os
import pathlib
from typing import Any

import jax

from prefjax import checkpoint
from prefjax import config as config_lib
from prefjax.core import errors
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
