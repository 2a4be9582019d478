# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The GGUF container: metadata and where each tensor's bytes lie.

Every length in the header is checked against the bytes that are left before
it is used, so a damaged file ends in one error, not in a crash, a hang or an
allocation it asked for. Little-endian GGUF 2 and 3 (the same layout). Both
the tokenizer (`prefjax.data`) and the weights (`prefjax.models`) come from
here; turning blocks into floats is the models' part.
"""

import math
import mmap
import os
import pathlib
import struct
from typing import Any, NamedTuple

import numpy as np

from prefjax.core import errors

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_ARRAY = 1 << 24  # entries; the largest vocabularies have 2^18
_MAX_NAME = 1 << 16  # bytes of a key or of a tensor's name
_MAX_TEXT = 1 << 26  # bytes of one string
_MAX_DIMENSIONS = 4
_MAX_ALIGNMENT = 1 << 20

_STRING, _ARRAY, _BOOL = 8, 9, 7
# Value type -> struct code.
_SCALARS = {
  0: "B",
  1: "b",
  2: "H",
  3: "h",
  4: "I",
  5: "i",
  6: "f",
  _BOOL: "?",
  10: "Q",
  11: "q",
  12: "d",
}

# Tensor type -> (name, weights a block, bytes a block).
_KINDS = {
  0: ("F32", 1, 4),
  1: ("F16", 1, 2),
  2: ("Q4_0", 32, 18),
  3: ("Q4_1", 32, 20),
  6: ("Q5_0", 32, 22),
  7: ("Q5_1", 32, 24),
  8: ("Q8_0", 32, 34),
  10: ("Q2_K", 256, 84),
  11: ("Q3_K", 256, 110),
  12: ("Q4_K", 256, 144),
  13: ("Q5_K", 256, 176),
  14: ("Q6_K", 256, 210),
  30: ("BF16", 1, 2),
}


class TensorInfo(NamedTuple):
  """Where a tensor lies.

  Attributes:
    kind: name of its number format, e.g. "Q4_1".
    shape: row-major, that is the file's dimensions reversed.
    offset: of its first byte from the start of the file.
    row_bytes: bytes of a row, that is of the last dimension.
    size: bytes of the whole tensor.
  """

  kind: str
  shape: tuple[int, ...]
  offset: int
  row_bytes: int
  size: int


class GGUFFile(NamedTuple):
  """A parsed header.

  Attributes:
    path: of the file.
    metadata: key -> int, float, bool, str or a list of these.
    tensors: name -> TensorInfo, in the file's order.
  """

  path: str
  metadata: dict[str, Any]
  tensors: dict[str, TensorInfo]

  def raw(self, name: str) -> np.ndarray:
    """The bytes of a tensor, uint8 [rows..., row_bytes], not yet read."""
    info = self.tensors.get(name)
    if info is None:
      raise errors.ModelError(
        f"{self.path}: no tensor {name!r}{errors.nearest(name, self.tensors)}"
      )
    try:
      return np.memmap(
        self.path,
        dtype=np.uint8,
        mode="r",
        offset=info.offset,
        shape=(*info.shape[:-1], info.row_bytes),
      )
    except (OSError, ValueError) as e:
      raise errors.ModelError(
        f"{self.path}: tensor {name!r} cannot be read: {_line(e)}"
      ) from e


class _Cursor:
  """Reads values in turn and never past the end."""

  def __init__(self, path: str, data: mmap.mmap):
    self.path = path
    self.data = data
    self.at = 0

  def fail(self, reason: str) -> errors.ModelError:
    return errors.ModelError(
      f"{self.path}: not a usable GGUF file: {reason}; fetch it again"
    )

  def left(self) -> int:
    return len(self.data) - self.at

  def take(self, size: int, what: str) -> int:
    """Moves past `size` bytes and returns where they start."""
    if size > self.left():
      raise self.fail(
        f"truncated: {what} needs {size} bytes at {self.at},"
        f" {self.left()} are left"
      )
    start, self.at = self.at, self.at + size
    return start

  def scalar(self, code: str, what: str) -> Any:
    layout = struct.Struct("<" + code)
    return layout.unpack_from(self.data, self.take(layout.size, what))[0]

  def text(self, what: str, limit: int = _MAX_TEXT) -> str:
    size = self.scalar("Q", what)
    if size > limit:
      raise self.fail(f"{what} claims {size} bytes, the limit is {limit}")
    start = self.take(size, what)
    try:
      return self.data[start : start + size].decode("utf-8")
    except UnicodeDecodeError as e:
      raise self.fail(f"{what} at byte {start} is not UTF-8") from e

  def value(self, kind: int, key: str) -> Any:
    """One metadata value of the given type."""
    if kind == _STRING:
      return self.text(f"value of {key!r}")
    if kind == _ARRAY:
      return self._array(key)
    if kind not in _SCALARS:
      raise self.fail(f"key {key!r} has the unknown value type {kind}")
    return self.scalar(_SCALARS[kind], f"value of {key!r}")

  def _array(self, key: str) -> list[Any]:
    what = f"array {key!r}"
    kind = self.scalar("I", what)
    count = self.scalar("Q", what)
    if count > _MAX_ARRAY:
      raise self.fail(f"{what} claims {count} entries")
    if kind == _STRING:
      if 8 * count > self.left():
        raise self.fail(f"truncated: {what} claims {count} strings")
      return [self.text(what) for _ in range(count)]
    if kind not in _SCALARS:
      raise self.fail(f"{what} has entries of the unread type {kind}")
    layout = struct.Struct(f"<{count}{_SCALARS[kind]}")
    return list(layout.unpack_from(self.data, self.take(layout.size, what)))


def read(path: str | os.PathLike) -> GGUFFile:
  """Reads a GGUF header.

  Args:
    path: of a .gguf file.

  Returns:
    The metadata and the table of tensors; tensor bytes are not touched.

  Raises:
    ModelError: the file is missing, damaged, truncated, big-endian, one part
      of a split model, or holds a tensor format that is not read.
  """
  path = pathlib.Path(path)
  try:
    with open(path, "rb") as f:
      if os.fstat(f.fileno()).st_size < 24:
        raise errors.ModelError(
          f"{path}: not a usable GGUF file: shorter than a header; fetch it"
          " again"
        )
      with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _parse(_Cursor(str(path), data))
  except OSError as e:
    raise errors.ModelError(f"{path}: cannot be read: {_line(e)}") from e


def _parse(cursor: _Cursor) -> GGUFFile:
  start = cursor.take(4, "magic")
  if cursor.data[start : start + 4] != _MAGIC:
    raise cursor.fail("it does not start with GGUF")
  version = cursor.scalar("I", "version")
  if version not in _VERSIONS:
    raise cursor.fail(
      f"version {version} is not {' or '.join(map(str, _VERSIONS))}"
      " (or the file is big-endian)"
    )
  num_tensors = cursor.scalar("Q", "tensor count")
  num_keys = cursor.scalar("Q", "key count")
  # A key takes at least 13 bytes, a tensor 24: no loop outlives the file.
  if 13 * num_keys + 24 * num_tensors > cursor.left():
    raise cursor.fail(
      f"truncated: {num_keys} keys and {num_tensors} tensors do not fit in"
      f" {cursor.left()} bytes"
    )
  metadata = {}
  for _ in range(num_keys):
    key = cursor.text("a key", _MAX_NAME)
    if key in metadata:
      raise cursor.fail(f"key {key!r} appears twice")
    metadata[key] = cursor.value(cursor.scalar("I", f"type of {key!r}"), key)
  if metadata.get("split.count", 1) != 1:
    raise errors.ModelError(
      f"{cursor.path}: one part of a split model; merge the parts first"
    )
  entries = [_entry(cursor) for _ in range(num_tensors)]
  return GGUFFile(cursor.path, metadata, _place(cursor, metadata, entries))


def _entry(cursor: _Cursor) -> tuple[str, tuple[int, ...], int, int]:
  """(name, row-major shape, type, offset in the data) of one tensor."""
  name = cursor.text("a tensor's name", _MAX_NAME)
  what = f"tensor {name!r}"
  rank = cursor.scalar("I", what)
  if not 1 <= rank <= _MAX_DIMENSIONS:
    raise cursor.fail(f"{what} has {rank} dimensions")
  dims = tuple(cursor.scalar("Q", what) for _ in range(rank))
  kind = cursor.scalar("I", what)
  return name, dims[::-1], kind, cursor.scalar("Q", what)


def _place(
  cursor: _Cursor,
  metadata: dict[str, Any],
  entries: list[tuple[str, tuple[int, ...], int, int]],
) -> dict[str, TensorInfo]:
  """Checks formats, bounds and overlaps; returns absolute positions."""
  alignment = metadata.get("general.alignment", 32)
  if (
    not isinstance(alignment, int)
    or not 0 < alignment <= _MAX_ALIGNMENT
    or alignment & (alignment - 1)
  ):
    raise cursor.fail(f"general.alignment={alignment!r} is not a power of two")
  base = -(-cursor.at // alignment) * alignment
  tensors = {}
  for name, shape, kind, offset in entries:
    if name in tensors:
      raise cursor.fail(f"tensor {name!r} appears twice")
    if kind not in _KINDS:
      known = ", ".join(entry[0] for entry in _KINDS.values())
      raise errors.ModelError(
        f"{cursor.path}: tensor {name!r} has format {kind}, which is not read;"
        f" known are {known}: quantise the model to one of them"
      )
    label, block, size = _KINDS[kind]
    if not all(shape) or shape[-1] % block:
      raise cursor.fail(
        f"tensor {name!r} of shape {shape} is not whole blocks of {block}"
      )
    row_bytes = shape[-1] // block * size
    total = math.prod(shape[:-1]) * row_bytes
    if offset % alignment or base + offset + total > len(cursor.data):
      raise cursor.fail(
        f"truncated: tensor {name!r} of shape {shape} ends at byte"
        f" {base + offset + total} of {len(cursor.data)}"
      )
    tensors[name] = TensorInfo(label, shape, base + offset, row_bytes, total)
  ordered = sorted(tensors.items(), key=lambda item: item[1].offset)
  for (first, a), (second, b) in zip(ordered, ordered[1:], strict=False):
    if a.offset + a.size > b.offset:
      raise cursor.fail(f"tensors {first!r} and {second!r} overlap")
  return tensors


def _line(error: Exception) -> str:
  return " ".join(str(error).split()) or type(error).__name__
