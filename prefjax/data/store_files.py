# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The files of a store of tokens: how they are written and put in place."""

import dataclasses
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import time
from collections.abc import Callable, Iterable
from typing import Any

from prefjax.core import errors
from prefjax.data import encoding, examples, indexes, schema

FORMAT = 2
MANIFEST = "manifest.json"
INDEX = "index.npz"
DROPPED = "dropped.jsonl"
SHARD_BYTES = 256 << 20
_STALE_SECONDS = 24 * 3600


def shard_name(number: int) -> str:
  return f"data-{number:05d}.array_record"


def refuse_empty(report: encoding.EncodeReport) -> None:
  if report.kept:
    return
  first = f"; the first: {report.dropped_records[0]}" if report.dropped else ""
  raise errors.DataError(f"no example is left: {report.summary()}{first}")


def plain(value: Any) -> Any:
  if isinstance(value, dict):
    return {str(name): plain(item) for name, item in value.items()}
  if isinstance(value, (list, tuple)):
    return [plain(item) for item in value]
  return value


class Shards:
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

      name = self._folder / shard_name(len(self.counts))
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


def sha256_of(path: pathlib.Path) -> str:
  with path.open("rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()


def own_digest(manifest: dict[str, Any]) -> str:
  """SHA-256 over a manifest without the field that holds it."""
  rest = {name: value for name, value in manifest.items() if name != "sha256"}
  return hashlib.sha256(schema.json_bytes(rest)).hexdigest()


def write(path: pathlib.Path, data: bytes) -> None:
  """A whole file, on the disk when this returns."""
  with path.open("wb") as file:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def fill(
  folder: pathlib.Path,
  encoded: Iterable[examples.Example],
  encoder: encoding.Encoder,
  report_of: Callable[[], encoding.EncodeReport],
  store_key: str,
  shard_bytes: int,
) -> None:
  """Writes all files of a store, the manifest last.

  Args:
    folder: an empty one.
    encoded: the examples in order.
    encoder: that made them.
    report_of: what became of the records, once all examples have passed.
    store_key: see `key`.
    shard_bytes: size from which another file is begun.
  """
  shards, builder = Shards(folder, shard_bytes), indexes.Builder()
  whole = hashlib.sha256()
  try:
    for example in encoded:
      payload = examples.to_bytes(example)
      builder.add(example)
      whole.update(payload)
      shards.write(payload)
  finally:
    shards.close()
  report = report_of()
  refuse_empty(report)
  index = builder.finish()
  write(folder / INDEX, index.to_bytes())
  lines = [
    json.dumps({"example_id": i, "id": name, "reason": reason})
    for i, name, reason in report.dropped_records
  ]
  write(folder / DROPPED, "".join(f"{x}\n" for x in lines).encode())
  files = {}
  for path in sorted(folder.iterdir()):
    files[path.name] = {
      "bytes": path.stat().st_size,
      "sha256": sha256_of(path),
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
    "encoder": plain(encoder.key()),
    "files": files,
  }
  manifest["sha256"] = own_digest(manifest)
  write(
    folder / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode()
  )


def remove_stale(parent: pathlib.Path) -> None:
  """Removes what writers that died a day ago left behind."""
  for path in parent.glob(".partial-*"):
    try:
      if time.time() - path.stat().st_mtime > _STALE_SECONDS:
        shutil.rmtree(path, ignore_errors=True)
    except OSError:
      continue  # another process was faster


def set_aside(folder: pathlib.Path) -> None:
  """Takes a damaged store out of the way."""
  away = folder.with_name(f".partial-damaged-{secrets.token_hex(8)}")
  try:
    os.rename(folder, away)
  except FileNotFoundError:
    return  # another process did it
  shutil.rmtree(away, ignore_errors=True)


def publish(partial: pathlib.Path, final: pathlib.Path) -> None:
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
