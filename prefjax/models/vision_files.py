# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A vision encoder in a model directory, beside the decoder's tensors.

Tensors are named 'vision.' and their path, in our own layout; config.json
describes the encoder under one key. Other libraries read the decoder alone.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefjax.core import errors
from prefjax.models import config as config_lib
from prefjax.models import vision

Config = config_lib.DecoderConfig
KEY = "prefjax_vision"
_PREFIX = "vision."


def config_from(raw: Mapping[str, Any], config: Config) -> Config:
  """The decoder with the encoder that a config.json describes, if any.

  Raises:
    ModelError: it describes none of ours.
  """
  described = raw.get(KEY)
  if described is None:
    return config
  known = {field.name for field in dataclasses.fields(config_lib.Vision)}
  if not isinstance(described, Mapping) or not set(described) <= known:
    raise errors.ModelError(
      f"config key {KEY}: is {described!r}, expected a mapping of"
      f" {', '.join(sorted(known))}"
    )
  return dataclasses.replace(config, vision=config_lib.Vision(**described))


def config_to(config: Config, raw: dict[str, Any]) -> dict[str, Any]:
  """A config.json with the encoder in it."""
  if config.vision is None:
    return raw
  return {**raw, KEY: dataclasses.asdict(config.vision)}


def names(config: Config, present: Iterable[str]) -> set[str]:
  """Names of a checkpoint that are the encoder's."""
  if config.vision is None:
    return set()
  return {name for name in present if name.startswith(_PREFIX)}


def _paths(tree: Any) -> dict[str, Any]:
  """'vision.a.b' -> leaf."""
  flat = jax.tree_util.tree_flatten_with_path(tree)[0]
  return {
    _PREFIX + ".".join(str(key.key) for key in path): leaf
    for path, leaf in flat
  }


def read(
  config: Config,
  get_tensor: Callable[[str], Any],
  present: set[str],
  *,
  dtype: Any,
  shardings: Any,
  where: str,
) -> Any:
  """The encoder's parameters; arguments as `hf.params_from_hf`.

  Raises:
    ModelError: a tensor is missing, unknown or has another shape.
  """
  shapes = vision.shapes(config)
  wanted = _paths(shapes)
  for name in sorted(set(wanted) ^ present):
    what = "is missing" if name in wanted else "is unknown"
    raise errors.ModelError(f"{where}: tensor {name!r} {what}")
  places = {} if shardings is None else _paths(shardings["vision"])
  leaves = []
  for name, shape in wanted.items():
    source = get_tensor(name)
    if tuple(source.shape) != shape.shape:
      raise errors.ModelError(
        f"{where}: tensor {name!r} has shape {tuple(source.shape)}, expected"
        f" {shape.shape} from config.json"
      )
    value = np.asarray(source[(slice(None),) * len(shape.shape)])
    if dtype is not None:
      value = value.astype(jnp.dtype(dtype))
    leaves.append(
      jax.device_put(value, places[name]) if places else jnp.asarray(value)
    )
  return jax.tree.unflatten(jax.tree.structure(shapes), leaves)


def exports(
  config: Config,
  params: Any,
  sizes: dict[str, int],
  get: Callable[[str], np.ndarray],
) -> tuple[dict[str, int], Callable[[str], np.ndarray]]:
  """What `hf.exports` gives, with the encoder's tensors besides."""
  if config.vision is None:
    return sizes, get
  own = _paths(params["vision"])

  def read_one(name: str) -> np.ndarray:
    return np.asarray(own[name]) if name in own else get(name)

  return {**sizes, **{name: x.nbytes for name, x in own.items()}}, read_one
