# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reading slices of safetensors files and writing sharded ones.

Nothing is read before a slice is asked for, so that each device of a mesh
can take its part of a tensor and a large model never lies in host memory.
"""

import json
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import safetensors
from safetensors import numpy as safetensors_numpy

from prefjax.core import errors

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


class LazyTensor:
  """A tensor in a file; `tensor[slices]` reads that part as NumPy."""

  def __init__(self, handle: Any, path: pathlib.Path, name: str):
    self._slice = handle.get_slice(name)
    self.path, self.name = path, name
    self.shape = tuple(self._slice.get_shape())

  def __getitem__(self, index) -> np.ndarray:
    try:
      return self._slice[index]
    except (safetensors.SafetensorError, TypeError, OSError) as error:
      raise errors.ModelError(
        f"{self.path}: tensor {self.name!r} cannot be read: {error}"
      ) from error


def read_json(path: pathlib.Path) -> dict[str, Any]:
  """A JSON object.

  Raises:
    ModelError: missing, not JSON, or not an object.
  """
  try:
    value = json.loads(path.read_text(encoding="utf-8"))
  except FileNotFoundError as error:
    raise errors.ModelError(f"{path}: no such file") from error
  except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
    raise errors.ModelError(f"{path}: not readable as JSON: {error}") from error
  if not isinstance(value, dict):
    raise errors.ModelError(f"{path}: holds no JSON object")
  return value


def _open(path: pathlib.Path):
  try:
    return safetensors.safe_open(str(path), framework="np")
  except (safetensors.SafetensorError, OSError) as error:
    raise errors.ModelError(
      f"{path}: not a readable safetensors file: {error}"
    ) from error


def open_file(path: pathlib.Path) -> dict[str, LazyTensor]:
  """All tensors of one file by name; reads the header only.

  Raises:
    ModelError: missing or damaged.
  """
  handle = _open(path)
  return {name: LazyTensor(handle, path, name) for name in handle.keys()}


def open_directory(directory: pathlib.Path) -> dict[str, LazyTensor]:
  """All tensors of a model directory by name; reads headers only.

  Raises:
    ModelError: no weights, a damaged file, or an index that names files
      outside the directory or tensors that are not there.
  """
  index_path = directory / INDEX
  if not index_path.exists():
    path = directory / SINGLE
    if not path.exists():
      raise errors.ModelError(
        f"{directory}: holds neither {SINGLE} nor {INDEX}"
      )
    return open_file(path)
  weight_map = read_json(index_path).get("weight_map")
  if not isinstance(weight_map, dict):
    raise errors.ModelError(f"{index_path}: has no 'weight_map' object")
  handles, tensors = {}, {}
  for name, file_name in weight_map.items():
    if file_name != os.path.basename(str(file_name)):
      raise errors.ModelError(
        f"{index_path}: {name!r} points outside the directory: {file_name!r}"
      )
    path = directory / file_name
    if path not in handles:
      handle = _open(path)
      handles[path] = handle, set(handle.keys())
    handle, present = handles[path]
    if name not in present:
      raise errors.ModelError(f"{path}: tensor {name!r} is missing")
    tensors[name] = LazyTensor(handle, path, name)
  return tensors


def write(
  directory: pathlib.Path,
  sizes: Mapping[str, int],
  get: Callable[[str], np.ndarray],
  max_shard_bytes: int,
) -> None:
  """Writes tensors, in one file or in shards with an index.

  A cut write leaves no half file under a real name.

  Args:
    directory: an existing directory.
    sizes: bytes of each tensor.
    get: reads a tensor; called once each, in order.
    max_shard_bytes: a new file is begun when it would grow past this.
  """
  shards: list[list[str]] = [[]]
  filled = 0
  for name in sorted(sizes):
    if shards[-1] and filled + sizes[name] > max_shard_bytes:
      shards.append([])
      filled = 0
    shards[-1].append(name)
    filled += sizes[name]
  number = len(shards)
  weight_map = {}
  for i, names in enumerate(shards):
    file_name = SINGLE
    if number > 1:
      file_name = f"model-{i + 1:05d}-of-{number:05d}.safetensors"
    tensors = {name: np.ascontiguousarray(get(name)) for name in names}
    write_file(directory / file_name, tensors)
    weight_map |= dict.fromkeys(names, file_name)
  index_path = directory / INDEX
  if number > 1:
    total = {"total_size": sum(sizes.values())}
    index = {"metadata": total, "weight_map": weight_map}
    write_json(index_path, index)
  elif index_path.exists():
    index_path.unlink()  # an older, sharded save must not win at the next load


def write_file(path: pathlib.Path, tensors: dict[str, np.ndarray]) -> None:
  """Writes contiguous tensors into one file through a rename."""
  part = path.with_name(f"{path.name}.part")
  part.write_bytes(b"")
  mode = part.stat().st_mode  # save_file would let nobody else read it
  safetensors_numpy.save_file(tensors, str(part), metadata={"format": "pt"})
  os.chmod(part, mode)
  os.replace(part, path)


def write_json(path: pathlib.Path, value: Any) -> None:
  """Writes JSON through a rename."""
  part = path.with_name(f"{path.name}.part")
  part.write_text(
    json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8"
  )
  os.replace(part, path)
