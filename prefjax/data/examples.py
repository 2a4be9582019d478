# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""One tokenised example, and its bytes.

The bytes are a JSON header with names, dtypes and shapes, then the arrays one
after the other, little-endian. Reading them never runs anything.
"""

import dataclasses
import json
import math
import struct

import numpy as np

from prefjax.core import errors

_MAGIC = b"PJX1"
_DTYPES = {
  "i4": np.dtype("<i4"),
  "f4": np.dtype("<f4"),
  "u1": np.dtype("u1"),
}
MEDIA = ("images", "frames")
_MAX_HEADER = 1 << 24


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodedGroup:
  """The tokens of one group of one example.

  Attributes:
    prompt: int32 [p], at least one token.
    tokens: int32 [t], all responses one after the other.
    weights: float32 [t], how much each response token counts.
    lengths: int32 [K], tokens of each response; they sum to t.
    segments: int32 [t] or None, step or turn of each response token.
    scores: float32 [K] or None.
    pairs: int32 [M, 2] or None for the default (0, 1).
    images: uint8 [I, H, W, C] or None.
    frames: uint8 [F, H, W, C] or None.
  """

  prompt: np.ndarray
  tokens: np.ndarray
  weights: np.ndarray
  lengths: np.ndarray
  segments: np.ndarray | None = None
  scores: np.ndarray | None = None
  pairs: np.ndarray | None = None
  images: np.ndarray | None = None
  frames: np.ndarray | None = None

  def responses(self) -> list[np.ndarray]:
    """The K token arrays."""
    return np.split(self.tokens, np.cumsum(self.lengths)[:-1])

  @property
  def longest(self) -> int:
    """Tokens of the longest response, 0 where there is none."""
    return int(self.lengths.max()) if len(self.lengths) else 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
  """The groups of one record.

  Attributes:
    example_id: position of the record in its data set.
    weight: how much it counts.
    groups: name -> EncodedGroup.
    extras: name -> int32 or float32 array of any shape.
    prompt_hash: 63 bits of a hash of the prompt of the first group.
  """

  example_id: int
  weight: float
  groups: dict[str, EncodedGroup]
  extras: dict[str, np.ndarray]
  prompt_hash: int


def _arrays(example: Example):
  for name, group in example.groups.items():
    for field in dataclasses.fields(group):
      value = getattr(group, field.name)
      if value is not None:
        yield f"g/{name}/{field.name}", value
  for name, value in example.extras.items():
    yield f"x/{name}", value


def _code(dtype: np.dtype) -> str:
  if dtype == np.uint8:
    return "u1"
  return "f4" if dtype.kind == "f" else "i4"


def to_bytes(example: Example) -> bytes:
  """The example as bytes; equal examples give equal bytes."""
  entries, parts = [], []
  for name, value in _arrays(example):
    code = _code(value.dtype)
    entries.append([name, code, list(value.shape)])
    parts.append(np.ascontiguousarray(value, _DTYPES[code]).tobytes())
  header = json.dumps(
    {
      "id": example.example_id,
      "weight": example.weight,
      "prompt_hash": example.prompt_hash,
      "arrays": entries,
    },
    separators=(",", ":"),
  ).encode()
  return b"".join([_MAGIC, struct.pack("<I", len(header)), header, *parts])


def _read(data: bytes) -> Example:
  if data[:4] != _MAGIC:
    raise ValueError("wrong magic number")
  (size,) = struct.unpack_from("<I", data, 4)
  if size > _MAX_HEADER:
    raise ValueError("header too long")
  header = json.loads(data[8 : 8 + size])
  offset = 8 + size
  groups: dict[str, dict[str, np.ndarray]] = {}
  extras: dict[str, np.ndarray] = {}
  for name, code, shape in header["arrays"]:
    dtype = _DTYPES[code]
    count = math.prod(shape)
    value = np.frombuffer(data, dtype, count, offset).reshape(shape)
    offset += count * dtype.itemsize
    if name.startswith("x/"):
      extras[name[2:]] = value
    else:
      _, group, field = name.split("/")
      groups.setdefault(group, {})[field] = value
  if offset != len(data):
    raise ValueError("left-over bytes")
  return Example(
    example_id=header["id"],
    weight=header["weight"],
    groups={name: EncodedGroup(**g) for name, g in groups.items()},
    extras=extras,
    prompt_hash=header["prompt_hash"],
  )


def from_bytes(data: bytes) -> Example:
  """The example that `to_bytes` wrote.

  Raises:
    DataError: the bytes are damaged.
  """
  try:
    return _read(data)
  except (ValueError, KeyError, TypeError, struct.error) as error:
    raise errors.DataError(
      f"a tokenised example is damaged ({error}); build the store again"
    ) from None
