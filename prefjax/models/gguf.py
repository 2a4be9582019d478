# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""GGUF checkpoints under their Hugging Face names, dequantised on demand.

What the format changes is undone here: dimensions are stored fastest first,
Llama's query and key rows are stored with rotary pairs side by side, Gemma's
norm weights with one added, and GPT-2's kernels transposed.
"""

import os
from typing import Any, NamedTuple

import numpy as np

from prefjax.core import errors, gguf_file, gguf_vocab, paths
from prefjax.models import gguf_layouts

resolve_pip = paths.resolve_pip


class GGUFTensor(NamedTuple):
  """A tensor under its Hugging Face name that is read when it is sliced.

  Attributes:
    model: the file it lies in.
    name: its Hugging Face name.
    shape: as in a Hugging Face checkpoint.
  """

  model: "GGUFModel"
  name: str
  shape: tuple[int, ...]

  dtype = np.dtype(np.float32)

  def __getitem__(self, index: Any) -> np.ndarray:
    return self.model.get_tensor(self.name)[index]

  def __array__(self, dtype: Any = None, copy: bool | None = None):
    del copy  # always a fresh array
    return np.asarray(self.model.get_tensor(self.name), dtype)


class GGUFModel:
  """A GGUF file as a Hugging Face checkpoint.

  Attributes:
    path: of the file.
    config: content of an equivalent config.json.
    names: Hugging Face names of the tensors.
    chat_template: Jinja source or None.
    bos_id: begin-of-sequence id or None.
    eos_id: end-of-sequence id or None.
    pad_id: padding id.
  """

  def __init__(self, file: gguf_file.GGUFFile):
    self.path = file.path
    self._file = file
    self._layout = gguf_layouts.resolve(file)
    ids = gguf_vocab.special_ids(file.metadata, file.path)
    self.bos_id, self.eos_id, self.pad_id = ids
    self.config = {
      **self._layout.config,
      "bos_token_id": self.bos_id,
      "eos_token_id": self.eos_id,
      "pad_token_id": self.pad_id,
      "torch_dtype": "float32",
    }
    self.names = list(self._layout.sources)
    template = file.metadata.get("tokenizer.chat_template")
    self.chat_template = template if isinstance(template, str) else None

  @property
  def tokenizer_json(self) -> dict[str, Any]:
    """Content of an equivalent tokenizer.json.

    Raises:
      ModelError: the vocabulary is of a kind that is not read exactly.
    """
    return gguf_vocab.read(self._file.metadata, self.path).tokenizer_json

  def _source(self, name: str) -> gguf_layouts.Source:
    if name not in self._layout.sources:
      raise errors.ModelError(
        f"{self.path}: no tensor {name!r}{errors.nearest(name, self.names)}"
      )
    return self._layout.sources[name]

  def lazy(self, name: str) -> GGUFTensor:
    """A tensor that knows its shape and is read when it is sliced."""
    source = self._source(name)
    shape = self._file.tensors[source.name].shape
    return GGUFTensor(self, name, shape[::-1] if source.transposed else shape)

  def get_tensor(self, name: str) -> np.ndarray:
    """A tensor in the shape and layout of a Hugging Face checkpoint.

    Args:
      name: one of `names`.

    Returns:
      float32, a new array.

    Raises:
      ModelError: unknown name, unreadable bytes, or values that are not
        finite (a damaged file).
    """
    source = self._source(name)
    info = self._file.tensors[source.name]
    weight = dequantise(self._file.raw(source.name), info.kind)
    if not np.isfinite(weight).all():
      raise errors.ModelError(
        f"{self.path}: tensor {source.name!r} holds values that are not"
        " finite; fetch the file again"
      )
    if source.heads:
      weight = unpermute(weight, source.heads)
    if source.offset:
      weight = weight - np.float32(source.offset)
    return np.ascontiguousarray(weight.T if source.transposed else weight)


def read_gguf(path: str | os.PathLike) -> GGUFModel:
  """Opens a GGUF file; no tensor is read yet.

  Args:
    path: of a .gguf file, or "pip:<wheel>" for the one in a wheel.

  Raises:
    ModelError: the file is missing, damaged or truncated, or its
      architecture, number formats or tensors are not known.
  """
  name = os.fspath(path)
  if paths.is_pip(name):
    name = os.fspath(paths.resolve_pip(name))
  return GGUFModel(gguf_file.read(name))


def dequantise(raw: np.ndarray, kind: str) -> np.ndarray:
  """Blocks of quantised weights to float32.

  Args:
    raw: uint8 [..., bytes of a row].
    kind: number format, e.g. "Q4_1".

  Returns:
    float32 [..., row], a new array.

  Raises:
    ModelError: the format is not known.
  """
  # Imported here because the package brings YAML and HTTP modules along.
  from gguf import constants, quants

  try:
    form = constants.GGMLQuantizationType[kind]
    # A damaged scale may overflow; the caller looks for that.
    with np.errstate(all="ignore"):
      weight = quants.dequantize(np.asarray(raw), form)
  except (KeyError, NotImplementedError) as e:
    raise errors.ModelError(f"number format {kind!r} is not read") from e
  return np.array(weight, dtype=np.float32)


def unpermute(weight: np.ndarray, heads: int) -> np.ndarray:
  """Rows of a query or key projection back in half-split rotary order.

  The file keeps the two rows that rotate together side by side (2i, 2i+1);
  Hugging Face's form wants them half a head apart (i, i + head_dim / 2).

  Args:
    weight: [heads * head_dim, ...], matrix or bias.
    heads: number of heads in it.

  Returns:
    The same shape, rows reordered in each head.
  """
  rows, rest = weight.shape[0], weight.shape[1:]
  half = rows // heads // 2
  pairs = weight.reshape(heads, half, 2, *rest)
  return pairs.swapaxes(1, 2).reshape(rows, *rest)
