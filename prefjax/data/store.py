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
import dataclasses
import hashlib
import json
import logging
import os
import pathlib
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from prefjax.core import errors
from prefjax.data import encoding, examples, indexes, media, schema

FORMAT = 2
MANIFEST = "manifest.json"
_INDEX = "index.npz"
_DROPPED = "dropped.jsonl"
_SHARD_BYTES = 256 << 20
_STALE_SECONDS = 24 * 3600
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


def _refuse_empty(report: encoding.EncodeReport) -> None:
  if report.kept:
    return
  first = f"; the first: {report.dropped_records[0]}" if report.dropped else ""
  raise errors.DataError(f"no example is left: {report.summary()}{first}")


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
    _refuse_empty(encoder.report)
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
  return hashlib.sha256(schema.json_bytes(_plain(parts))).hexdigest()


def _plain(value: Any) -> Any:
  if isinstance(value, dict):
    return {str(name): _plain(item) for name, item in value.items()}
  if isinstance(value, (list, tuple)):
    return [_plain(item) for item in value]
  return value


class _Shards:
  """Writes payloads to ArrayRecord files of bounded size."""

  def __init__(self, folder: pathlib.Path, limit: int):
    self._folder = folder
    self._limit = limit
    self._writer = None
    self._size = 0
    self.counts: list[int] = []

  def write(self, payload: bytes) -> None:
    if self._writer is None or self._size >= self._limit:
      self.close()
      from array_record.python import array_record_module

      name = self._folder / _shard_name(len(self.counts))
      # One record a chunk: reading one touches nothing else.
      self._writer = array_record_module.ArrayRecordWriter(
        str(name), "group_size:1"
      )
      self._size = 0
      self.counts.append(0)
    self._writer.write(payload)
    self._size += len(payload)
    self.counts[-1] += 1

  def close(self) -> None:
    if self._writer is not None:
      self._writer.close()
      self._writer = None


def _sha256(path: pathlib.Path) -> str:
  with path.open("rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()


def _own_digest(manifest: dict[str, Any]) -> str:
  """SHA-256 over a manifest without the field that holds it."""
  rest = {name: value for name, value in manifest.items() if name != "sha256"}
  return hashlib.sha256(schema.json_bytes(rest)).hexdigest()


def _write(path: pathlib.Path, data: bytes) -> None:
  with path.open("wb") as file:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def _fill(
  folder: pathlib.Path,
  encoded: Iterable[examples.Example],
  encoder: encoding.Encoder,
  store_key: str,
  shard_bytes: int,
) -> None:
  """Writes all files of a store, the manifest last."""
  shards, builder = _Shards(folder, shard_bytes), indexes.Builder()
  whole = hashlib.sha256()
  try:
    for example in encoded:
      payload = examples.to_bytes(example)
      builder.add(example)
      whole.update(payload)
      shards.write(payload)
  finally:
    shards.close()
  report = encoder.report
  _refuse_empty(report)
  index = builder.finish()
  _write(folder / _INDEX, index.to_bytes())
  lines = [
    json.dumps({"example_id": i, "id": name, "reason": reason})
    for i, name, reason in report.dropped_records
  ]
  _write(folder / _DROPPED, "".join(f"{x}\n" for x in lines).encode())
  files = {}
  for path in sorted(folder.iterdir()):
    files[path.name] = {
      "bytes": path.stat().st_size,
      "sha256": _sha256(path),
    }
  described = dataclasses.asdict(report)
  del described["dropped_records"]
  manifest = {
    "format": FORMAT,
    "key": store_key,
    "fingerprint": whole.hexdigest(),
    "num_examples": len(index),
    "counts": shards.counts,
    "index": index.describe(),
    "mismatched": encoder.view.mismatched,
    "report": described,
    "encoder": _plain(encoder.key()),
    "files": files,
  }
  manifest["sha256"] = _own_digest(manifest)
  _write(
    folder / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode()
  )


def _remove_stale(parent: pathlib.Path) -> None:
  """Removes what writers that died a day ago left behind."""
  for path in parent.glob(".partial-*"):
    try:
      if time.time() - path.stat().st_mtime > _STALE_SECONDS:
        shutil.rmtree(path, ignore_errors=True)
    except OSError:
      continue  # another process was faster


def build_or_open(
  encoder: encoding.Encoder,
  records: Sequence[schema.Record],
  parent: str | os.PathLike[str],
  *,
  progress: Callable[[int, int], None] | None = None,
  shard_bytes: int = _SHARD_BYTES,
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
  final = parent / f"tokens-{store_key[:40]}"
  try:
    if final.exists():
      try:
        return FileStore(final, expected_key=store_key)
      except errors.DataError as error:
        _LOG.warning("%s; it is made again", error)
        _set_aside(final)
    parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(parent)
    partial = parent / f".partial-{os.getpid()}-{secrets.token_hex(8)}"
    partial.mkdir()
    try:
      _fill(
        partial,
        encoder.encode_all(records, progress),
        encoder,
        store_key,
        shard_bytes,
      )
      _publish(partial, final)
    finally:
      shutil.rmtree(partial, ignore_errors=True)
  except (OSError, RuntimeError) as error:
    raise errors.DataError(
      f"{final}: the tokenised data cannot be written ({error}); free space or"
      " set data.cache_dir to another folder"
    ) from None
  return FileStore(final, expected_key=store_key)


def _set_aside(folder: pathlib.Path) -> None:
  away = folder.with_name(f".partial-damaged-{secrets.token_hex(8)}")
  try:
    os.rename(folder, away)
  except FileNotFoundError:
    return  # another process did it
  shutil.rmtree(away, ignore_errors=True)


def _publish(partial: pathlib.Path, final: pathlib.Path) -> None:
  """Renames; where another process was first, its equal store stays."""
  directory = os.open(partial, os.O_RDONLY)
  try:
    os.fsync(directory)
  finally:
    os.close(directory)
  try:
    os.rename(partial, final)
  except OSError:
    if not (final / MANIFEST).is_file():
      raise


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
        (self._folder / _INDEX).read_bytes(), manifest["index"]
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
      raise self._damaged(_INDEX, "has another number of examples")
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
      if manifest["sha256"] != _own_digest(manifest):
        raise self._damaged(MANIFEST, "disagrees with its SHA-256")
      shards = range(len(manifest["counts"]))
      names = {_INDEX, _DROPPED, *map(_shard_name, shards)}
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
      if verify and _sha256(path) != entry["sha256"]:
        raise self._damaged(name, "disagrees with its SHA-256")
    except (OSError, KeyError, TypeError) as error:
      raise self._damaged(name, f"cannot be read ({error})") from None

  def _dropped(self) -> list[tuple[int, str, str]]:
    lines = (self._folder / _DROPPED).read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [(r["example_id"], r["id"], r["reason"]) for r in rows]

  def _reader(self, shard: int):
    if shard not in self._readers:
      from array_record.python import array_record_module

      self._readers[shard] = array_record_module.ArrayRecordReader(
        str(self._folder / _shard_name(shard)),
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
          _shard_name(shard), f"cannot be read ({error})"
        ) from None
      for (place, _), payload in zip(items, payloads, strict=True):
        out[place] = examples.from_bytes(payload)
    return out


def _shard_name(number: int) -> str:
  return f"data-{number:05d}.array_record"


def _shard_of(starts: list[int], row: int) -> int:
  if not 0 <= row < starts[-1]:
    raise IndexError(f"row {row} is outside 0..{starts[-1] - 1}")
  return bisect.bisect_right(starts, row) - 1
