# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A store of tokens that the processes of one run make together.

Each tokenises its part of the records into a file; the first one puts the
files together and publishes the store, and all open it. The store is the one
that a lone process would have made, byte for byte.
"""

import dataclasses
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from prefjax.core import errors, private
from prefjax.data import encoding, examples, schema, store, store_files

_SIZE_BYTES = 8


class Team(Protocol):
  """The processes of a run; every method is called by all of them.

  Attributes:
    index: of this process.
    count: of all.
  """

  index: int
  count: int

  def failed(self, good: bool) -> list[int]:
    """Indices of the processes that say False."""

  def first(self, work: Callable[[], Any]) -> Any:
    """Has process 0 do something that the others wait for."""

  def token(self) -> str:
    """A name that nobody used before, the same on all processes."""


def build_or_open(
  encoder: encoding.Encoder,
  records: Sequence[schema.Record],
  parent: str | os.PathLike[str],
  team: Team,
  *,
  progress: Callable[[int, int], None] | None = None,
  shard_bytes: int = store_files.SHARD_BYTES,
) -> store.FileStore:
  """`store.build_or_open` by several processes, each a part of the work.

  Processes that do not see the same folder make a store each.

  Args:
    encoder: makes the examples; the same on all processes.
    records: all of them, on all processes.
    parent: folder of all stores.
    team: the processes.
    progress: called with (records done, records) of this process.
    shard_bytes: size from which another file is begun.

  Raises:
    DataError: no example is left, or a folder cannot be written, here or at
      another process.
  """
  parent = pathlib.Path(parent)
  store_key = store.key(encoder, records)
  found = store.open_if_sound(parent, store_key)
  lacking = team.failed(found is not None)
  if not lacking:
    return found
  if team.count == 1 or not _is_shared(parent, team):
    if found is not None:
      return found
    return store.build_or_open(
      encoder, records, parent, progress=progress, shard_bytes=shard_bytes
    )
  # Those that found a whole store need not agree with one that is damaged
  # for another: it is the first one's view that counts from here on.
  folder = parent / f".partial-{team.token()}"
  error = None
  try:
    folder.mkdir(mode=0o700, exist_ok=True)
    _write_part(folder, encoder, records, team, progress)
  except (errors.PrefjaxError, OSError) as caught:
    error = caught
  lost = team.failed(error is None)

  def finish() -> None:
    try:
      if not lost:
        _join(folder, encoder, team.count, store_key, parent, shard_bytes)
    finally:
      shutil.rmtree(folder, ignore_errors=True)

  try:
    team.first(finish)
    if isinstance(error, errors.PrefjaxError):
      raise error
    if error is not None:
      raise store.unwritable(parent, error)
    if lost:
      raise errors.DataError(
        f"{parent}: process {lost[0]} could not tokenise its part of the"
        " records; what it says is the reason"
      )
  except (OSError, RuntimeError) as caught:
    raise store.unwritable(parent, caught) from None
  return store.FileStore(
    store.folder_of(parent, store_key), expected_key=store_key
  )


def _is_shared(parent: pathlib.Path, team: Team) -> bool:
  """Whether all processes see what the first one writes there."""
  probe = parent / f".partial-probe-{team.token()}"

  def leave() -> None:
    private.make_folder(parent)
    store_files.remove_stale(parent)
    probe.touch()

  try:
    team.first(leave)
  except OSError as error:
    raise store.unwritable(parent, error) from None
  seen = not team.failed(probe.exists())
  team.first(lambda: probe.unlink(missing_ok=True))
  return seen


def _part_paths(folder: pathlib.Path, index: int):
  """(examples, what became of the records) of a process."""
  name = f"part-{index:05d}"
  return folder / name, folder / f"{name}.json"


def _write_part(
  folder: pathlib.Path,
  encoder: encoding.Encoder,
  records: Sequence[schema.Record],
  team: Team,
  progress: Callable[[int, int], None] | None,
) -> None:
  data, described = _part_paths(folder, team.index)
  part = (team.index, team.count)
  with data.open("wb") as file:
    for example in encoder.encode_all(records, progress, part):
      payload = examples.to_bytes(example)
      file.write(len(payload).to_bytes(_SIZE_BYTES, "little"))
      file.write(payload)
    file.flush()
    os.fsync(file.fileno())
  content = {
    "report": dataclasses.asdict(encoder.report),
    "sha256": store_files.sha256_of(data),
  }
  store_files.write(described, json.dumps(content).encode())


def _join(
  folder: pathlib.Path,
  encoder: encoding.Encoder,
  count: int,
  store_key: str,
  parent: pathlib.Path,
  shard_bytes: int,
) -> None:
  """Puts the parts together and the store in its place."""
  report = encoding.EncodeReport()
  made = folder / "whole"
  made.mkdir(mode=0o700)
  parts = (_read_part(folder, i, report) for i in range(count))
  store_files.fill(
    made,
    (example for part in parts for example in part),
    encoder,
    lambda: report,
    store_key,
    shard_bytes,
  )
  final = store.folder_of(parent, store_key)
  if final.exists() and store.open_if_sound(parent, store_key) is not None:
    return
  store_files.publish(made, final)


def _read_part(
  folder: pathlib.Path, index: int, report: encoding.EncodeReport
) -> Iterator[examples.Example]:
  """The examples of a process, whose report is added to those before."""
  data, described = _part_paths(folder, index)
  content = json.loads(described.read_bytes())
  if store_files.sha256_of(data) != content["sha256"]:
    raise OSError(f"{data.name} arrived damaged")
  with data.open("rb") as file:
    while head := file.read(_SIZE_BYTES):
      size = int.from_bytes(head, "little")
      yield examples.from_bytes(file.read(size))
  own = content["report"]
  own["dropped_records"] = [tuple(entry) for entry in own["dropped_records"]]
  report.extend(encoding.EncodeReport(**own))
