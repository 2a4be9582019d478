# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a store knows about its examples without reading them.

Order, buckets and shapes of batches follow from these few numbers an example,
so every host finds the same ones from memory.
"""

import dataclasses
import io
import zipfile
from collections.abc import Sequence

import numpy as np

from prefjax.core import errors
from prefjax.data import examples

_ARRAYS = ("example_id", "weight", "prompt_hash", "sizes")


@dataclasses.dataclass(frozen=True)
class Index:
  """Sizes of N examples with G groups.

  Attributes:
    groups: the names of the groups, G.
    extras: (name, code 'i4' or 'f4', largest shape) of every extra.
    has: group -> its optional fields ('scores', 'segments') that all examples
      have.
    media: group -> {'images' or 'frames': largest shape (I, H, W, C)}, where
      some example has any.
    example_id: int32 [N], strictly increasing.
    weight: float32 [N].
    prompt_hash: int64 [N], equal for equal prompts.
    sizes: int32 [N, G, 5]: prompt tokens, tokens of the longest response,
      responses, pairs, tokens of all responses.
  """

  groups: tuple[str, ...]
  extras: tuple[tuple[str, str, tuple[int, ...]], ...]
  has: dict[str, tuple[str, ...]]
  media: dict[str, dict[str, tuple[int, ...]]]
  example_id: np.ndarray
  weight: np.ndarray
  prompt_hash: np.ndarray
  sizes: np.ndarray

  def __len__(self) -> int:
    return len(self.example_id)

  def largest(self, group: str) -> tuple[int, int, int, int]:
    """Largest (prompt, response, responses, pairs) of a group."""
    column = self.sizes[:, self.groups.index(group), :4]
    return tuple(int(v) for v in column.max(axis=0))

  def to_bytes(self) -> bytes:
    """The arrays as an npz without pickles."""
    buffer = io.BytesIO()
    np.savez(buffer, **{name: getattr(self, name) for name in _ARRAYS})
    return buffer.getvalue()

  def describe(self) -> dict:
    """The rest, as JSON values."""
    return {
      "groups": list(self.groups),
      "extras": [[n, c, list(shape)] for n, c, shape in self.extras],
      "has": {name: list(names) for name, names in self.has.items()},
      "media": {
        name: {field: list(shape) for field, shape in own.items()}
        for name, own in self.media.items()
      },
    }


def from_parts(data: bytes, described: dict) -> Index:
  """The index that `to_bytes` and `describe` wrote.

  Raises:
    ValueError, KeyError: the bytes are not such an index.
  """
  try:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
      found = {name: arrays[name] for name in _ARRAYS}
  except (OSError, EOFError, zipfile.BadZipFile) as error:
    raise ValueError(f"not an npz file ({error})") from None
  return Index(
    groups=tuple(described["groups"]),
    extras=tuple((n, c, tuple(s)) for n, c, s in described["extras"]),
    has={name: tuple(v) for name, v in described["has"].items()},
    media={
      name: {field: tuple(shape) for field, shape in own.items()}
      for name, own in described["media"].items()
    },
    **found,
  )


class Builder:
  """Collects an index while examples pass by."""

  def __init__(self):
    self._ids: list[int] = []
    self._weights: list[float] = []
    self._hashes: list[int] = []
    self._sizes: list[list[tuple[int, ...]]] = []
    self._groups: tuple[str, ...] | None = None
    self._has: dict[str, tuple[str, ...]] = {}
    self._extras: dict[str, tuple[str, tuple[int, ...]]] = {}
    self._media: dict[str, dict[str, tuple[int, ...]]] = {}

  def _check(self, example: examples.Example) -> None:
    """All examples have the same groups and extras."""
    has = {
      name: tuple(
        field
        for field in ("scores", "segments")
        if getattr(group, field) is not None
      )
      for name, group in example.groups.items()
    }
    if self._groups is None:
      self._groups, self._has = tuple(example.groups), has
      return
    if tuple(example.groups) != self._groups:
      raise errors.DataError(
        f"example {example.example_id} has the groups"
        f" {', '.join(example.groups)}, the first one"
        f" {', '.join(self._groups)}; a view must give all records the same"
      )
    # A field that some examples lack is no field of the data set: better no
    # scores, which a method that needs them reports, than made-up ones.
    self._has = {
      name: tuple(field for field in own if field in has[name])
      for name, own in self._has.items()
    }
    if set(example.extras) != set(self._extras):
      raise errors.DataError(
        f"example {example.example_id} has the extras"
        f" {sorted(example.extras)}, the first one {sorted(self._extras)}"
      )

  def add(self, example: examples.Example) -> None:
    """Adds one example.

    Raises:
      DataError: it does not have the groups of the first one.
    """
    self._check(example)
    self._ids.append(example.example_id)
    self._weights.append(example.weight)
    self._hashes.append(example.prompt_hash)
    self._sizes.append(
      [
        (
          len(group.prompt),
          group.longest,
          len(group.lengths),
          -1 if group.pairs is None else len(group.pairs),
          len(group.tokens),
        )
        for group in example.groups.values()
      ]
    )
    for name, group in example.groups.items():
      self._add_media(name, group)
    for name, value in example.extras.items():
      code = "f4" if value.dtype.kind == "f" else "i4"
      before = self._extras.get(name, (code, (0,) * value.ndim))
      if before[0] != code or len(before[1]) != value.ndim:
        raise errors.DataError(
          f"example {example.example_id}: the extra {name!r} has another type"
          " or number of axes than before"
        )
      shape = tuple(
        max(a, b) for a, b in zip(before[1], value.shape, strict=True)
      )
      self._extras[name] = (code, shape)

  def _add_media(self, name: str, group: examples.EncodedGroup) -> None:
    for field in examples.MEDIA:
      value = getattr(group, field)
      if value is None or not len(value):
        continue
      own = self._media.setdefault(name, {})
      before = own.get(field, value.shape)
      if before[1:] != value.shape[1:]:
        raise errors.DataError(
          f"example {self._ids[-1]}: {field} of {value.shape[1:]}, the first"
          f" ones have {before[1:]}"
        )
      own[field] = (max(before[0], len(value)), *value.shape[1:])

  def __len__(self) -> int:
    return len(self._ids)

  def finish(self) -> Index:
    """The index of all examples added."""
    groups = self._groups or ()
    return Index(
      groups=groups,
      extras=tuple((n, c, s) for n, (c, s) in sorted(self._extras.items())),
      has=self._has,
      media=self._media,
      example_id=np.asarray(self._ids, np.int32),
      weight=np.asarray(self._weights, np.float32),
      prompt_hash=np.asarray(self._hashes, np.int64),
      sizes=np.asarray(self._sizes, np.int32).reshape(-1, len(groups), 5),
    )


def select(index: Index, rows: Sequence[int]) -> Index:
  """The index of some of the examples, in the order given."""
  rows = np.asarray(rows, np.int64)
  return dataclasses.replace(
    index,
    example_id=index.example_id[rows],
    weight=index.weight[rows],
    prompt_hash=index.prompt_hash[rows],
    sizes=index.sizes[rows],
  )
