# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A work directory in a bucket: a scratch folder that is kept equal to it.

The run writes to the scratch folder as to any work directory. Every committed
save goes to the bucket in the background. There a step is committed by the
same file as on a disk, COMMITTED, which is written after all others of the
step and removed before them: no reader sees a part of a step as a step.

`.prefjax-owner` in the bucket names the scratch folder that writes to it. A
run on another machine takes it over; what it finds in the bucket counts, and
a process that was left behind ends at its next push.
"""

import contextlib
import json
import logging
import os
import pathlib
import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax

from prefjax.checkpoint import layout
from prefjax.core import errors, private, storage

OWNER = ".prefjax-owner"
_STEPS = "checkpoints"
# Made anew by every run that ends: not worth bringing here.
_FINAL = ("policy", "adapter", "profile")
_SMALL = 1 << 20  # files up to here have a hash in the manifest

_LOG = logging.getLogger(__name__)
_Stat = tuple[int, int]


def _unit(name: str) -> str | None:
  """'checkpoints/120' of what belongs to that step, None of other files."""
  parts = name.split("/")
  if parts[0] != _STEPS or len(parts) < 3:
    return None
  depth = 3 if parts[1] == layout.FROZEN else 2
  return "/".join(parts[:depth]) if len(parts) > depth else None


def _by_unit(names: Iterable[str]) -> dict[str, list[str]]:
  """unit -> its files; frozen trees first, then steps, oldest first."""
  units: dict[str, list[str]] = {}
  for name in names:
    unit = _unit(name)
    if unit is not None:
      units.setdefault(unit, []).append(name)

  def order(unit: str):
    last = unit.rpartition("/")[2]
    is_step = not unit.startswith(f"{_STEPS}/{layout.FROZEN}/")
    return is_step, int(last) if last.isdigit() else -1, last

  return {unit: sorted(units[unit]) for unit in sorted(units, key=order)}


def _is_passing(name: str) -> bool:
  """Whether a file is on its way to another name, or a lock."""
  last = name.rpartition("/")[2]
  return last.startswith(".") or last.endswith((".partial", ".part"))


def _stat(path: pathlib.Path) -> _Stat | None:
  try:
    found = path.stat()
  except (FileNotFoundError, NotADirectoryError):
    return None
  return found.st_size, found.st_mtime_ns


class Mirror:
  """Keeps a bucket equal to a scratch folder while a run goes on.

  A context manager: entering brings the run here, leaving waits for the last
  push. `local` is the work directory.

  Args:
    url: of the work directory.
    every: seconds between two looks for a newly committed step.

  Raises:
    ConfigError: the URL cannot be used, or the run has several processes.
  """

  def __init__(self, url: str, *, every: float = 0.5):
    if jax.process_count() > 1:
      raise errors.ConfigError(
        f"--workdir: {url}: a run of several processes needs a folder that all"
        " of them share; mount the bucket (for example with gcsfuse) and give"
        " the local path"
      )
    self.url = url
    self._place = storage.Place(url, "--workdir")
    home = storage.scratch() / "runs" / storage.digest(self._place.url)
    private.make_folder(home)
    self._home = home
    self.local = home / "work"
    self._state = home / "state.json"
    self._every = every
    self._owner = ""
    # What the bucket holds: name -> local file it is equal to, None if none.
    self._known: dict[str, _Stat | None] = {}
    self._saved: set[tuple[int, _Stat | None]] = set()
    self._error: errors.PrefjaxError | None = None
    self._wake = threading.Event()
    self._closing = False
    self._thread = threading.Thread(
      target=self._work, name="mirror", daemon=True
    )

  # --- the public calls ------------------------------------------------------

  def __enter__(self) -> "Mirror":
    self._lock = layout.Lock(self._home)
    try:
      self._open()
    except BaseException:
      self._lock.release()
      raise
    self._thread.start()
    return self

  def request(self) -> None:
    """Has what changed pushed soon; returns at once."""
    self._wake.set()

  def check(self) -> None:
    """Raises the error that ended pushing, if any.

    Raises:
      StorageError: the bucket could not be written, or another run does.
    """
    if self._error is not None:
      raise self._error

  def __exit__(self, kind, error, trace) -> None:
    self._closing = True
    self._wake.set()
    self._thread.join()
    try:
      self.check()
      self.push()
    except errors.PrefjaxError as caught:
      if error is None:
        raise
      # The error that led here is the one to report.
      if caught is not error:
        _LOG.error("%s", caught)
    finally:
      self._lock.release()

  # --- bringing a run here ---------------------------------------------------

  def _open(self) -> None:
    there = self._place.files()
    for name in [n for n in there if storage.is_part(n)]:
      self._place.remove(name)
      del there[name]
    owner = self._place.read(OWNER)
    state = self._read_state()
    if state and owner == state["owner"].encode() and self.local.is_dir():
      # This folder wrote last: it holds all that the bucket does, or more.
      self._owner = state["owner"]
      self._known = {name: None for name in there if name != OWNER}
      for name, (size, changed) in state["files"].items():
        if there.get(name, {}).get("size") == size:
          self._known[name] = size, changed
      return
    # Without it a copy that is cut off here would pass for a whole one.
    self._state.unlink(missing_ok=True)
    shutil.rmtree(self.local, ignore_errors=True)
    private.make_folder(self.local)
    self._owner = secrets.token_hex(16)
    there.pop(OWNER, None)
    names = [n for n in _present(there) if n.split("/")[0] not in _FINAL]
    _bring(self._place, names, self.local)
    self._known = dict.fromkeys(there)
    for name in names:
      self._known[name] = _stat(self.local / name)
    self._saved = self._steps()
    self._write_state()
    self._write(OWNER, self._owner)

  def _read_state(self) -> dict[str, Any] | None:
    try:
      state = json.loads(self._state.read_text(encoding="utf-8"))
      files = {n: (int(s), int(t)) for n, (s, t) in state["files"].items()}
      return {"owner": str(state["owner"]), "files": files}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
      return None  # none, or cut off: then the bucket counts

  def _write_state(self) -> None:
    files = {n: s for n, s in self._known.items() if s is not None}
    text = json.dumps({"owner": self._owner, "files": files})
    layout.write_file(self._state, text.encode())

  def _write(self, name: str, text: str) -> None:
    source = self._home / "text"
    source.write_text(text, encoding="utf-8")
    self._place.put(source, name)

  # --- the background --------------------------------------------------------

  def _work(self) -> None:
    while True:
      asked = self._wake.wait(self._every)
      self._wake.clear()
      if self._closing:
        return
      try:
        if asked or self._steps() != self._saved:
          self.push()
      except errors.PrefjaxError as error:
        self._error = error
      except Exception as error:
        # A thread must not die silently, whatever the reason was.
        self._error = errors.StorageError(
          f"{self.url}: pushing failed ({storage.reason(error)})"
        )
      if self._error is not None:
        _LOG.error("%s", self._error)
        return

  def _steps(self) -> set[tuple[int, _Stat | None]]:
    folder = self.local / _STEPS
    return {
      (step, _stat(folder / str(step) / layout.MARKER))
      for step in layout.steps(folder)
    }

  # --- pushing ---------------------------------------------------------------

  def push(self) -> None:
    """Makes the bucket equal to the folder; see the module.

    Raises:
      StorageError: that is not possible.
    """
    if not self.local.is_dir():
      raise errors.StorageError(
        f"{self.url}: its folder on this machine, {self.local}, is gone; start"
        " the same command again to go on from the bucket"
      )
    if self._place.read(OWNER) != self._owner.encode():
      raise errors.StorageError(
        f"{self.url}: {OWNER} there is gone, or names another run that writes"
        " to it now; only one can: stop one of them, or give another --workdir"
      )
    steps = self._steps()
    tree = self._scan()
    plain = [n for n in tree if _unit(n) is None]
    # Rows and records first: a checkpoint vouches for them.
    storage.in_parallel(
      self._put_plain, [n for n in plain if self._known.get(n) != tree[n]]
    )
    units = _by_unit(tree)
    for unit, names in units.items():
      self._put_unit(unit, {name: tree[name] for name in names})
    self._drop(tree, set(units))
    self._saved = steps
    self._write_state()

  def _scan(self) -> dict[str, _Stat]:
    """Files that belong in the bucket, by name."""
    found: dict[str, _Stat] = {}
    for parent, folders, names in os.walk(self.local):
      inside = pathlib.Path(parent).relative_to(self.local).as_posix()
      prefix = "" if inside == "." else f"{inside}/"
      folders[:] = [f for f in folders if self._goes_into(prefix, f)]
      for name in names:
        status = _stat(pathlib.Path(parent, name))
        full = prefix + name
        passes = _unit(full) is None and _is_passing(full)
        if status is not None and not passes:
          found[full] = status
    # A step may have been pruned while we looked.
    whole = {n.rpartition("/")[0] for n in found if n.endswith(layout.MARKER)}
    return {
      name: status
      for name, status in found.items()
      if _unit(name) is None or _unit(name) in whole
    }

  def _goes_into(self, prefix: str, folder: str) -> bool:
    name = f"{prefix}{folder}"
    if _unit(f"{name}/x") != name:
      return _unit(f"{name}/x") is not None or not folder.startswith(".")
    if not (folder.isdigit() or name.startswith(f"{_STEPS}/{layout.FROZEN}/")):
      return False  # being written, replaced or set aside
    return "." not in folder and layout.is_committed(self.local / name)

  def _put_plain(self, name: str) -> None:
    path = self.local / name
    status = _stat(path)
    if status is None:
      return  # it went in the meantime
    try:
      if not name.endswith(".jsonl"):
        self._place.put(path, name)
      else:  # may grow while it is sent
        with tempfile.NamedTemporaryFile(dir=self._home) as copy:
          shutil.copyfile(path, copy.name)
          self._place.put(pathlib.Path(copy.name), name)
    except FileNotFoundError:
      if path.exists():
        raise
      return
    self._known[name] = status

  def _put_unit(self, unit: str, files: Mapping[str, _Stat]) -> None:
    """Writes a step or frozen tree, its marker last."""
    there = {n: s for n, s in self._known.items() if _unit(n) == unit}
    if there == files:
      return
    marker = f"{unit}/{layout.MARKER}"
    self._remove(unit)
    others = [name for name in files if name != marker]
    try:
      for name in others:
        self._known[name] = None  # from now on a part of it may be there
      storage.in_parallel(
        lambda name: self._place.put(self.local / name, name), others
      )
      seen = {n: i["size"] for n, i in self._place.files(unit).items()}
      for name in others:
        if seen.get(name) != files[name][0]:
          raise errors.StorageError(
            f"{self.url}/{name}: has {seen.get(name)} bytes there instead of"
            f" {files[name][0]} after it was written; nothing older was removed"
          )
      if _stat(self.local / marker) != files[marker]:
        raise FileNotFoundError(marker)
      self._place.put(self.local / marker, marker)
    except (FileNotFoundError, errors.StorageError):
      if _stat(self.local / marker) == files[marker]:
        raise
      self._remove(unit)  # pruned or replaced here: the next push sees to it
      return
    self._known.update(files)

  def _remove(self, unit: str) -> None:
    """Removes a step or frozen tree, its marker first."""
    marker = f"{unit}/{layout.MARKER}"
    names = [n for n in self._known if _unit(n) == unit]
    if marker in names:
      self._place.remove(marker)
      del self._known[marker]
    rest = [n for n in names if n != marker]
    storage.in_parallel(self._place.remove, rest)
    for name in rest:
      del self._known[name]

  def _drop(self, tree: Mapping[str, _Stat], units: set[str]) -> None:
    """Removes what is gone here: steps, what they used, then files."""
    there = _by_unit(self._known)
    kept = any(
      u.rpartition("/")[2].isdigit() and f"{u}/{layout.MARKER}" in self._known
      for u in units
    )
    for unit in reversed(list(there)):
      is_whole = f"{unit}/{layout.MARKER}" in self._known
      # The last good step of a bucket stays, whatever happened here.
      if unit not in units and (kept or not is_whole):
        self._remove(unit)
    for name, status in list(self._known.items()):
      if _unit(name) is None and status is not None and name not in tree:
        self._place.remove(name)
        del self._known[name]


class Pushes:
  """A writer of rows that has them pushed, and ends a run that cannot be."""

  def __init__(self, mirror: Mirror):
    self._mirror = mirror

  def write(self, row: Mapping[str, Any]) -> None:
    self._mirror.check()
    if "loss" not in row:  # an evaluation
      self._mirror.request()

  def flush(self) -> None:
    self._mirror.check()

  def close(self) -> None:
    pass


def _present(there: Mapping[str, Any]) -> list[str]:
  """Names without those of steps that are not committed."""
  units = _by_unit(there)
  torn = {
    u for u, names in units.items() if f"{u}/{layout.MARKER}" not in names
  }
  return [n for n in there if _unit(n) not in torn]


def _bring(
  place: storage.Place, names: Iterable[str], folder: pathlib.Path
) -> None:
  """Files of a bucket to a folder, markers last.

  Raises:
    StorageError: they cannot be read.
  """
  markers = [n for n in names if n.endswith(f"/{layout.MARKER}")]
  others = [n for n in names if not n.endswith(f"/{layout.MARKER}")]
  try:
    storage.download(place, others, folder)
    storage.download(place, markers, folder)
  except FileNotFoundError:
    raise errors.StorageError(
      f"{place.url}: changed while it was read; try again"
    ) from None


@contextlib.contextmanager
def snapshot(url: str, *, deep: bool = False) -> Iterator[pathlib.Path]:
  """A copy of a work directory to look at; it goes at the end.

  Args:
    url: of the work directory.
    deep: bring all of it; otherwise large arrays are files of that size
      without content, and exported models are left out.

  Raises:
    DataError: nothing is there.
    StorageError: it cannot be read.
  """
  place = storage.Place(url, "--workdir")
  there = {
    name: info
    for name, info in place.files().items()
    if name != OWNER and name and not storage.is_part(name)
  }
  if not there:
    raise errors.DataError(f"--workdir: {url}: nothing is there")
  with tempfile.TemporaryDirectory(
    dir=storage.scratch(), prefix="look-"
  ) as made:
    folder = pathlib.Path(made)
    large = [
      name
      for name, info in there.items()
      if name.split("/")[0] in _FINAL
      or (info["size"] > _SMALL and f"/{layout.ARRAYS}/" in name and not deep)
    ]
    _bring(place, [n for n in there if n not in set(large)], folder)
    for name in large:
      private.make_folder((folder / name).parent)
      with open(folder / name, "wb") as file:
        file.truncate(there[name]["size"])
    yield folder
