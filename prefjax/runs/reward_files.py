# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A reward model on disk: a model directory with the head beside it.

`reward_head.safetensors` holds the head's arrays under names such as
'scalar_head/weight', `reward_model.json` the method and its hyper-parameters,
from which the head is made again.
"""

import dataclasses
import json
import os
import pathlib
from typing import Any

import jax
import numpy as np

from prefjax import checkpoint
from prefjax import config as config_lib
from prefjax.core import errors
from prefjax.methods import method as method_lib
from prefjax.models import safetensors_io
from prefjax.runs import loading, stages

HEAD, SETTINGS = "reward_head.safetensors", "reward_model.json"
_MAX_SETTINGS = 1 << 20


@dataclasses.dataclass(frozen=True)
class RewardModel:
  """A decoder with a head, ready to score.

  Attributes:
    policy: the decoder and its tokenizer.
    method: registry name that trained it.
    head: what the parameters mean.
    params: of the head.
    record_kind: of the records it was trained on.
  """

  policy: loading.Policy
  method: str
  head: Any
  params: Any
  record_kind: str


def _flat(tree: Any, prefix: str = "") -> dict[str, np.ndarray]:
  out = {}
  for name, value in tree.items():
    if isinstance(value, dict):
      out.update(_flat(value, f"{prefix}{name}/"))
    else:
      out[f"{prefix}{name}"] = np.asarray(jax.device_get(value))
  return out


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
  out: dict[str, Any] = {}
  for name, value in flat.items():
    *parents, leaf = name.split("/")
    place = out
    for parent in parents:
      place = place.setdefault(parent, {})
    place[leaf] = value
  return out


def write(
  folder: str | os.PathLike, method: config_lib.MethodConfig, head: Any
) -> None:
  """Writes the head and what it is.

  Args:
    folder: of the exported decoder.
    method: the section of the config.
    head: parameters, nested dicts of arrays.

  Raises:
    ModelError: the folder cannot be written.
  """
  path = pathlib.Path(folder)
  try:
    path.mkdir(parents=True, exist_ok=True)
    safetensors_io.write_file(path / HEAD, _flat(head))
    safetensors_io.write_json(path / SETTINGS, config_lib.plain(method))
  except OSError as error:
    raise errors.ModelError(f"{path}: cannot be written: {error}") from error


def is_exported(path: str | os.PathLike) -> bool:
  """Whether a folder holds an exported reward model."""
  folder = pathlib.Path(path)
  return (folder / HEAD).is_file() and (folder / SETTINGS).is_file()


def _method(section: Any, where: str) -> tuple[str, method_lib.Method]:
  method = stages.make_method(section)
  if method.head is None:
    raise errors.ConfigError(
      f"{where}: {section.name} trains no reward model; give a run of"
      " reward_bt, gpm, ..."
    )
  return section.name, method


def _last_method(config: config_lib.Config) -> Any:
  names = config_lib.stage_names(config)
  return config_lib.stage(config, names[-1]).method


def _check(head: Any, params: Any, width: int, where: pathlib.Path) -> None:
  """Checks that arrays of a file are those of the head.

  Raises:
    ModelError: they are not.
  """
  wanted = jax.eval_shape(
    lambda: head.init(jax.random.key(0), width, np.float32)
  )
  want, found = _shapes(wanted), _shapes(params)
  if want != found:
    names = sorted(set(want.items()) ^ set(found.items()))[:2]
    raise errors.ModelError(
      f"{where}: is not the head that {SETTINGS} describes ({names})"
    )


def _shapes(tree: Any, prefix: str = "") -> dict[str, tuple[int, ...]]:
  out = {}
  for name, value in tree.items():
    if isinstance(value, dict):
      out.update(_shapes(value, f"{prefix}{name}/"))
    else:
      out[f"{prefix}{name}"] = tuple(value.shape)
  return out


def open_reward(
  path: str | os.PathLike,
  *,
  tokenizer: str = "",
  template: str = "",
  step: int | None = None,
) -> RewardModel:
  """A reward model from a run's work directory or an exported folder.

  Args:
    path: where it is.
    tokenizer: "" for the model's own.
    template: "" for the tokenizer's own chat template.
    step: checkpoint of a work directory; None takes the newest good one.

  Raises:
    ConfigError, ModelError, CheckpointError: one line about what is wrong.
  """
  folder = pathlib.Path(path)
  if not (is_exported(folder) or loading.is_workdir(folder)):
    raise errors.ConfigError(
      f"{folder}: is no reward model; give the work directory of a run of"
      f" reward_bt, gpm, ..., or an exported folder with {HEAD}"
    )
  policy = loading.open_policy(
    folder, tokenizer=tokenizer, template=template, step=step
  )
  width = policy.model.config.hidden_size
  if is_exported(folder):
    name, method = _method(_read(folder / SETTINGS), str(folder))
    flat = {
      key: np.asarray(value[...])
      for key, value in safetensors_io.open_file(folder / HEAD).items()
    }
    params = _nested(flat)
    _check(method.head, params, width, folder / HEAD)
  else:
    section = _last_method(loading.read_config(folder))
    name, method = _method(section, str(folder))
    shapes = jax.eval_shape(
      lambda: method.head.init(jax.random.key(0), width, np.float32)
    )
    restored = checkpoint.restore(
      folder / "checkpoints",
      {"params": {"reward": shapes}},
      step=step,
      partial=True,
    )
    params = restored.tree["params"]["reward"]
  return RewardModel(policy, name, method.head, params, method.record_kind)


def _read(path: pathlib.Path) -> config_lib.MethodConfig:
  try:
    if path.stat().st_size > _MAX_SETTINGS:
      raise ValueError("it is over 1 MiB")
    raw = json.loads(path.read_text(encoding="utf-8"))
    return config_lib.parse({"method": raw}).method
  except (OSError, ValueError) as error:
    raise errors.ModelError(f"{path}: cannot be read ({error})") from None
