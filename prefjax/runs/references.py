# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The reference's token log-probs, computed once and kept.

A store holds plain model outputs for every response token of every example,
before any weighting. It is named by what they follow from (tokens, reference
weights, arithmetic), written under a temporary name, and its arrays are
checked against their SHA-256 whenever it is opened.
"""

import dataclasses
import hashlib
import json
import logging
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from prefjax.checkpoint import processes
from prefjax.core import errors, types
from prefjax.data import pipeline
from prefjax.runs import scoring, sealed

FORMAT = 1
_LOG = logging.getLogger(__name__)


class ReferenceStore:
  """Token log-probs by (example, group).

  Args:
    arrays: group -> (ids int64 [N], starts int64 [N + 1], lengths int32
      [N, K], values float32 [T]); values of an example are its responses
      one after the other.
  """

  def __init__(self, arrays: Mapping[str, tuple[np.ndarray, ...]]):
    self._arrays = dict(arrays)
    self._places = {
      name: {int(i): row for row, i in enumerate(parts[0])}
      for name, parts in self._arrays.items()
    }

  def token_logps(
    self, group: str, ids: np.ndarray, shape: tuple[int, int]
  ) -> np.ndarray:
    """float32 [B, K, R] for example ids; 0 where there is no token.

    Raises:
      DataError: an example is not in the store.
    """
    _, starts, lengths, values = self._arrays[group]
    k, r = shape
    out = np.zeros((len(ids), k, r), np.float32)
    for i, example in enumerate(ids):
      row = self._places[group].get(int(example))
      if row is None:
        raise errors.DataError(
          f"example {int(example)} has no reference log-probs: the store was"
          " made from other data; remove it"
        )
      at = starts[row]
      for j, n in enumerate(lengths[row]):
        out[i, j, : min(int(n), r)] = values[at : at + min(int(n), r)]
        at += int(n)
    return out

  def add(self, batch: types.Batch) -> types.Batch:
    """The batch with `ref_token_logps` in every group of the store."""
    groups = dict(batch.groups)
    for name in self._arrays:
      group = groups[name]
      _, k, _, r = group.shape
      logps = self.token_logps(name, batch.example_id, (k, r))
      groups[name] = dataclasses.replace(group, ref_token_logps=logps)
    return dataclasses.replace(batch, groups=groups)


class WithReference:
  """A source whose batches carry reference log-probs.

  Args:
    source: makes the batches.
    references: what is added.
  """

  def __init__(self, source: pipeline.Source, references: ReferenceStore):
    self._source = source
    self._references = references

  def __getattr__(self, name: str) -> Any:
    return getattr(self._source, name)

  def batch(self, step: int) -> types.Batch:
    return self._references.add(self._source.batch(step))


def key(parts: Mapping[str, Any]) -> str:
  """SHA-256 over everything that the values follow from."""
  data = {"format": FORMAT, **parts}
  return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def compute(
  source: pipeline.Source,
  run: Callable[..., Any],
  weights: Any,
  *,
  adapter: Any = None,
  place: Callable[[Any], Any] = lambda batch: batch,
) -> dict[str, tuple[np.ndarray, ...]]:
  """Runs the reference over a finite source; see `ReferenceStore`.

  Raises:
    ConfigError: the source makes groups anew in each batch, which cannot be
      stored.
  """
  rows: dict[str, list] = {}
  for scored in scoring.score_source(
    run, weights, source, adapter=adapter, place=place
  ):
    group = scored.batch.groups[scored.group]
    if scored.group == getattr(source, "mismatched", None):
      raise errors.ConfigError(
        "train.reference: the group 'mismatched' changes with every batch;"
        " use train.reference=live"
      )
    lengths = np.sum(group.token_mask, axis=-1).astype(np.int32)  # [B, K]
    for i in np.flatnonzero(scored.kept):
      values = [scored.token_logps[i, j, :n] for j, n in enumerate(lengths[i])]
      rows.setdefault(scored.group, []).append(
        (int(scored.batch.example_id[i]), lengths[i], np.concatenate(values))
      )
  out = {}
  for name, items in rows.items():
    sizes = [len(values) for _, _, values in items]
    out[name] = (
      np.asarray([example for example, _, _ in items], np.int64),
      np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
      np.stack([lengths for _, lengths, _ in items]).astype(np.int32),
      np.concatenate([v for _, _, v in items]).astype(np.float32),
    )
  return out


def build_or_open(
  folder: str | os.PathLike,
  store_key: str,
  make: Callable[[], dict[str, tuple[np.ndarray, ...]]],
) -> ReferenceStore:
  """Opens the store of that key, or makes it; process 0 writes it.

  A damaged store is set aside with a warning and made again.

  Raises:
    DataError: the folder cannot be written.
  """
  path = pathlib.Path(folder) / f"reference-{store_key[:40]}.npz"
  arrays = None
  if path.exists():
    try:
      arrays = _read(path, store_key)
    except errors.DataError as error:
      _LOG.warning("%s; it is made again", error)
  # All open it or all make it: making it is work that they share.
  if processes.failed(arrays is not None):
    arrays = make()
    processes.first(lambda: _write(path, store_key, arrays))
  return ReferenceStore(arrays)


_PARTS = ("ids", "starts", "lengths", "values")


def _write(path: pathlib.Path, store_key: str, arrays) -> None:
  flat = {
    f"{name}.{part}": value
    for name, parts in arrays.items()
    for part, value in zip(_PARTS, parts, strict=True)
  }
  try:
    sealed.write(path, {"key": store_key}, flat)
  except OSError as error:
    raise errors.DataError(
      f"{path}: reference log-probs cannot be written ({error.strerror}); free"
      " space or set data.cache_dir to another folder"
    ) from None


def _read(path: pathlib.Path, store_key: str):
  try:
    header, flat = sealed.read(path)
    if header["key"] != store_key:
      raise ValueError("it has another key")
    arrays: dict[str, dict[str, np.ndarray]] = {}
    for name, value in flat.items():
      group, _, part = name.rpartition(".")
      arrays.setdefault(group, {})[part] = value
    return {
      name: tuple(parts[part] for part in _PARTS)
      for name, parts in arrays.items()
    }
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise errors.DataError(
      f"{path}: reference log-probs are damaged ({error})"
    ) from None
