# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Tokenised examples, made once: in memory, or cached as ArrayRecord files.

A cached store is a folder named by a key over everything that decides its
content: records, tokenizer, template, view, lengths and code version. It is
written under a temporary name and renamed when its manifest is complete, so
a folder with the right name is whole; its files are checked against the
manifest's SHA-256 when it is opened. A damaged or partial store is never used.
"""

import bisect
import hashlib
import json
import logging
import os
import pathlib
import secrets
import shutil
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from prefjax.core import errors, private
from prefjax.data import (
  encoding,
  examples,
  indexes,
  media,
  schema,
  store_files,
)

FORMAT = store_files.FORMAT
MANIFEST = store_files.MANIFEST
_LOG = logging.getLogger(__name__)


class Store(Protocol):
  """Random access to tokenised examples.

  Attributes:
    index: sizes of all examples.
    fingerprint: SHA-256 in hex over the contents of all examples, in order.
    report: what became of the records.
    mismatched: the view's group that every batch makes anew, or None.
  """

  index: indexes.Index
  fingerprint: str
  report: encoding.EncodeReport
  mismatched: str | None

  def get(self, rows: Sequence[int]) -> list[examples.Example]:
    """The examples of some rows; safe to call from several threads."""


class MemoryStore:
  """Examples in memory, for data sets that need no cache.

  Args:
    encoder: makes the examples.
    records: what they are made of.
    progress: called with (records done, records).

  Raises:
    DataError: no example is left, or they differ in their groups.
  """

  def __init__(
    self,
    encoder: encoding.Encoder,
    records: Sequence[schema.Record],
    *,
    progress: Callable[[int, int], None] | None = None,
  ):
    builder, whole = indexes.Builder(), hashlib.sha256()
    self._examples = []
    for example in encoder.encode_all(records, progress):
      builder.add(example)
      whole.update(examples.to_bytes(example))
      self._examples.append(example)
    store_files.refuse_empty(encoder.report)
    self.index = builder.finish()
    self.fingerprint = whole.hexdigest()
    self.report = encoder.report
    self.mismatched = encoder.view.mismatched

  def get(self, rows: Sequence[int]) -> list[examples.Example]:
    return [self._examples[int(row)] for row in rows]


def key(encoder: encoding.Encoder, records: Sequence[schema.Record]) -> str:
  """The key of a store: SHA-256 over all that decides its content."""
  parts = {
    "format": FORMAT,
    "records": schema.digest(list(records)),
    **encoder.key(),
  }
  if files := media.stamps(records):
    parts["files"] = files
  return hashlib.sha256(schema.json_bytes(store_files.plain(parts))).hexdigest()


def build_or_open(
  encoder: encoding.Encoder,
  records: Sequence[schema.Record],
  parent: str | os.PathLike[str],
  *,
  progress: Callable[[int, int], None] | None = None,
  shard_bytes: int = store_files.SHARD_BYTES,
) -> "FileStore":
  """Opens the cached store of these records, or makes it.

  Several processes may do this at once; each writes its own folder and the
  first rename wins. A damaged store is set aside and made again, with a
  warning.

  Args:
    encoder: makes the examples.
    records: what they are made of.
    parent: folder of all stores.
    progress: called with (records done, records).
    shard_bytes: size from which another file is begun.

  Raises:
    DataError: no example is left, or a folder cannot be written.
  """
  parent = pathlib.Path(parent)
  store_key = key(encoder, records)
  try:
    found = open_if_sound(parent, store_key)
    if found is not None:
      return found
    private.make_folder(parent)
    store_files.remove_stale(parent)
    partial = parent / f".partial-{os.getpid()}-{secrets.token_hex(8)}"
    partial.mkdir(mode=0o700)
    try:
      store_files.fill(
        partial,
        encoder.encode_all(records, progress),
        encoder,
        lambda: encoder.report,
        store_key,
        shard_bytes,
      )
      store_files.publish(partial, folder_of(parent, store_key))
    finally:
      shutil.rmtree(partial, ignore_errors=True)
  except (OSError, RuntimeError) as error:
    raise unwritable(parent, error) from None
  return FileStore(folder_of(parent, store_key), expected_key=store_key)


def folder_of(parent: pathlib.Path, store_key: str) -> pathlib.Path:
  """The store of a key."""
  return parent / f"tokens-{store_key[:40]}"


def open_if_sound(parent: pathlib.Path, store_key: str) -> "FileStore | None":
  """The store of a key; None where there is none, or set aside as damaged."""
  folder = folder_of(parent, store_key)
  if not folder.exists():
    return None
  try:
    return FileStore(folder, expected_key=store_key)
  except errors.DataError as error:
    _LOG.warning("%s; it is made again", error)
    store_files.set_aside(folder)
    return None


def unwritable(parent: pathlib.Path, error: Exception) -> errors.DataError:
  """What is said when a store cannot be written."""
  return errors.DataError(
    f"{parent}: the tokenised data cannot be written ({error}); free space or"
    " set data.cache_dir to another folder"
  )


class FileStore:
  """An opened store; see `build_or_open`.

  Args:
    folder: the store.
    expected_key: the key that its manifest must have, if known.
    verify: check the SHA-256 of every file (else only sizes).

  Raises:
    DataError: it is partial, damaged, or has another key; names the file.
  """

  def __init__(
    self,
    folder: str | os.PathLike[str],
    *,
    expected_key: str | None = None,
    verify: bool = True,
  ):
    self._folder = pathlib.Path(folder)
    manifest = self._manifest()
    if expected_key is not None and manifest["key"] != expected_key:
      raise errors.DataError(
        f"{self._folder}: was made from other records, tokenizer or settings"
      )
    for name, entry in manifest["files"].items():
      self._check(name, entry, verify)
    try:
      self.index = indexes.from_parts(
        (self._folder / store_files.INDEX).read_bytes(), manifest["index"]
      )
      self._starts = [0]
      for count in manifest["counts"]:
        self._starts.append(self._starts[-1] + int(count))
      self.report = encoding.EncodeReport(
        **manifest["report"], dropped_records=self._dropped()
      )
      self.fingerprint = str(manifest["fingerprint"])
      self.key = str(manifest["key"])
      self.mismatched = manifest["mismatched"]
    except (ValueError, KeyError, TypeError, OSError) as error:
      raise self._damaged(MANIFEST, f"cannot be understood ({error})") from None
    if len(self.index) != self._starts[-1]:
      raise self._damaged(store_files.INDEX, "has another number of examples")
    self._readers: dict[int, Any] = {}
    self._lock = threading.Lock()

  def _damaged(self, name: str, reason: str) -> errors.DataError:
    return errors.DataError(
      f"{self._folder / name}: {reason}; the tokenised data is damaged, remove"
      " the folder to have it made again"
    )

  def _manifest(self) -> dict[str, Any]:
    try:
      manifest = json.loads((self._folder / MANIFEST).read_bytes())
      if manifest["format"] != FORMAT:
        raise errors.DataError(
          f"{self._folder}: has format {manifest['format']!r}, this version"
          f" reads {FORMAT}; remove the folder to have it made again"
        )
      if manifest["sha256"] != store_files.own_digest(manifest):
        raise self._damaged(MANIFEST, "disagrees with its SHA-256")
      shards = range(len(manifest["counts"]))
      names = {
        store_files.INDEX,
        store_files.DROPPED,
        *map(store_files.shard_name, shards),
      }
      if set(manifest["files"]) != names:
        raise self._damaged(MANIFEST, "names other files than a store has")
    except errors.DataError:
      raise
    except (ValueError, KeyError, TypeError, OSError) as error:
      raise self._damaged(MANIFEST, f"cannot be read ({error})") from None
    return manifest

  def _check(self, name: str, entry: Any, verify: bool) -> None:
    path = self._folder / name
    try:
      if path.stat().st_size != entry["bytes"]:
        raise self._damaged(name, "has another size than its manifest says")
      if verify and store_files.sha256_of(path) != entry["sha256"]:
        raise self._damaged(name, "disagrees with its SHA-256")
    except (OSError, KeyError, TypeError) as error:
      raise self._damaged(name, f"cannot be read ({error})") from None

  def _dropped(self) -> list[tuple[int, str, str]]:
    lines = (self._folder / store_files.DROPPED).read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [(r["example_id"], r["id"], r["reason"]) for r in rows]

  def _reader(self, shard: int):
    if shard not in self._readers:
      from array_record.python import array_record_module

      self._readers[shard] = array_record_module.ArrayRecordReader(
        str(self._folder / store_files.shard_name(shard)),
        "readahead_buffer_size:0,max_parallelism:0",
      )
    return self._readers[shard]

  def get(self, rows: Sequence[int]) -> list[examples.Example]:
    """The examples of some rows.

    Raises:
      DataError: the files were damaged after they were opened.
    """
    wanted: dict[int, list[tuple[int, int]]] = {}
    for place, row in enumerate(rows):
      shard = _shard_of(self._starts, int(row))
      wanted.setdefault(shard, []).append(
        (place, int(row) - self._starts[shard])
      )
    out: list[Any] = [None] * len(rows)
    for shard, items in wanted.items():
      try:
        with self._lock:
          payloads = self._reader(shard).read([local for _, local in items])
      except (RuntimeError, ValueError, IndexError, OSError) as error:
        raise self._damaged(
          store_files.shard_name(shard), f"cannot be read ({error})"
        ) from None
      for (place, _), payload in zip(items, payloads, strict=True):
        out[place] = examples.from_bytes(payload)
    return out


def _shard_of(starts: list[int], row: int) -> int:
  if not 0 <= row < starts[-1]:
    raise IndexError(f"row {row} is outside 0..{starts[-1] - 1}")
  return bisect.bisect_right(starts, row) - 1
