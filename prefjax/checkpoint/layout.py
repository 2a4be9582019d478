# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Files and directories of a checkpoint, and how they become durable.

  directory/
    120/                 a step
      arrays/            Orbax (OCDBT) arrays
      manifest.json      what must be there, with digests
      COMMITTED          SHA-256 of the manifest; written last
    frozen/<digest>/     the same three, for trees that never change
    130.tmp/             a save in progress
    120.old/             a step while it is being replaced

A directory without a COMMITTED file does not exist for a reader.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import pathlib
import re
import shutil
import stat
import weakref

from prefjax.core import errors

ARRAYS = "arrays"
MANIFEST = "manifest.json"
MARKER = "COMMITTED"
FROZEN = "frozen"
LOCK = ".lock"

_STEP = re.compile(r"0|[1-9][0-9]{0,17}")
_WORKING = re.compile(r"(0|[1-9][0-9]{0,17}|[0-9a-f]{64})\.(tmp|old)")
_MARKER_TEXT = re.compile(r"sha256:([0-9a-f]{64})\n")

_log = logging.getLogger(__name__)


def resolve(directory: str | os.PathLike) -> pathlib.Path:
  """The directory as an absolute local path.

  Raises:
    CheckpointError: it is a URL; object stores must be mounted.
  """
  text = os.fspath(directory)
  if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
    raise errors.CheckpointError(
      f"checkpoint directory '{text}' is a URL; mount the bucket (for example"
      " with gcsfuse) and give the local path"
    )
  return pathlib.Path(os.path.abspath(text))


def step_dir(directory: pathlib.Path, step: int) -> pathlib.Path:
  return directory / str(step)


def steps(directory: str | os.PathLike) -> list[int]:
  """Committed steps on disk, ascending; [] when there is no directory."""
  return [step for step, committed in entries(directory) if committed]


def entries(directory: str | os.PathLike) -> list[tuple[int, bool]]:
  """(step, committed) of every step directory, ascending.

  Raises:
    CheckpointError: the directory cannot be listed.
  """
  root = resolve(directory)
  found = []
  try:
    for entry in os.scandir(root):
      if _STEP.fullmatch(entry.name) and entry.is_dir():
        found.append((int(entry.name), is_committed(root / entry.name)))
  except FileNotFoundError:
    return []
  except OSError as error:
    raise errors.CheckpointError(
      f"checkpoint directory '{root}' cannot be listed: {error.strerror};"
      " check the path and its permissions"
    ) from error
  return sorted(found)


def is_committed(path: pathlib.Path) -> bool:
  """Whether a step directory has its marker.

  Raises:
    OSError: that cannot be known; a step must not pass for torn, and be
      cleaned up, because a filesystem was away for a moment.
  """
  try:
    return stat.S_ISREG(os.stat(path / MARKER).st_mode)
  except (FileNotFoundError, NotADirectoryError):
    return False


# --- durable writing ------------------------------------------------------


def fsync_path(path: pathlib.Path) -> None:
  """Flushes a file or a directory entry to the disk."""
  handle = os.open(path, os.O_RDONLY)
  try:
    os.fsync(handle)
  finally:
    os.close(handle)


def write_file(path: pathlib.Path, content: bytes) -> None:
  """Writes a file so that it is either absent, old or complete."""
  temporary = path.with_name(path.name + ".part")
  with open(temporary, "wb") as file:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())
  os.replace(temporary, path)
  fsync_path(path.parent)


def fsync_tree(root: pathlib.Path) -> None:
  """Flushes all files and directories below and including `root`."""
  for parent, _, files in os.walk(root):
    for name in files:
      fsync_path(pathlib.Path(parent, name))
    fsync_path(pathlib.Path(parent))


def remove_step(path: pathlib.Path) -> None:
  """Deletes a step; from the first moment on it is not committed."""
  with contextlib.suppress(FileNotFoundError):
    os.unlink(path / MARKER)
  with contextlib.suppress(FileNotFoundError):
    shutil.rmtree(path)


def marker_text(manifest: bytes) -> bytes:
  """Content of the COMMITTED file for a manifest."""
  return f"sha256:{hashlib.sha256(manifest).hexdigest()}\n".encode()


def read_marker(path: pathlib.Path) -> str:
  """The manifest hash in a COMMITTED file.

  Raises:
    CheckpointCorruptError: the file is absent, unreadable or malformed.
  """
  try:
    with open(path, "rb") as file:
      text = file.read(256).decode("ascii")
  except FileNotFoundError as error:
    raise errors.CheckpointCorruptError(
      f"'{path}' is missing: the save was interrupted before it was complete"
    ) from error
  except (OSError, UnicodeDecodeError) as error:
    raise errors.CheckpointCorruptError(
      f"'{path}' cannot be read: {error}"
    ) from error
  match = _MARKER_TEXT.fullmatch(text)
  if not match:
    raise errors.CheckpointCorruptError(
      f"'{path}' is damaged: it does not hold the hash of the manifest"
    )
  return match[1]


def scan_files(root: pathlib.Path) -> dict[str, os.stat_result]:
  """Regular files below `root` by relative path with '/'.

  Raises:
    CheckpointCorruptError: there is a link or another special file.
  """
  found = {}
  for parent, _, names in os.walk(root):
    for name in names:
      path = pathlib.Path(parent, name)
      status = os.lstat(path)
      if not stat.S_ISREG(status.st_mode):
        raise errors.CheckpointCorruptError(
          f"'{path}' is not a plain file; a checkpoint may hold no links"
        )
      found[path.relative_to(root).as_posix()] = status
  return found


# --- recovery and the lock ------------------------------------------------


def recover(directory: pathlib.Path) -> list[str]:
  """Cleans up after a process that was killed; for the owner of the lock.

  A step that was being replaced comes back; everything that was not
  committed goes.

  Returns:
    Names of what was removed or brought back.
  """
  done = []
  for root in (directory, directory / FROZEN):
    if not root.is_dir():
      continue
    for name in sorted(entry.name for entry in os.scandir(root)):
      match = _WORKING.fullmatch(name)
      if match and match[2] == "old":
        final = root / match[1]
        if is_committed(root / name) and not is_committed(final):
          remove_step(final)
          os.rename(root / name, final)
        else:
          remove_step(root / name)
      elif match:
        remove_step(root / name)
      elif _uncommitted(root, name):
        remove_step(root / name)
      else:
        continue
      done.append(name)
  for name in done:
    _log.warning(
      "checkpoint: cleaned up '%s' in '%s', left by an interrupted save",
      name,
      directory,
    )
  return done


def _uncommitted(root: pathlib.Path, name: str) -> bool:
  pattern = _STEP if root.name != FROZEN else re.compile("[0-9a-f]{64}")
  return (
    bool(pattern.fullmatch(name))
    and (root / name).is_dir()
    and not is_committed(root / name)
  )


def locked(directory: pathlib.Path) -> bool:
  """Whether a process holds the lock of a directory; takes nothing."""
  try:
    handle = os.open(directory / LOCK, os.O_RDONLY)
  except OSError:
    return False
  try:
    fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
  except BlockingIOError:
    return True
  except OSError:
    return False  # a filesystem without locks
  finally:
    os.close(handle)  # and with it the lock, if there was none
  return False


class Lock:
  """One writer a directory; the kernel releases it when a process dies."""

  def __init__(self, directory: pathlib.Path):
    """Takes the lock.

    Raises:
      CheckpointError: another process holds it.
    """
    handle = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    # Also when the owner is dropped without `release`.
    self.release = weakref.finalize(self, os.close, handle)
    try:
      fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      owner = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
      self.release()
      raise errors.CheckpointError(
        f"checkpoint directory '{directory}' is being written by process"
        f" {owner or 'unknown'}; stop it or choose another directory"
      ) from error
    except OSError as error:
      # Some network filesystems have no locks; saving still works there.
      _log.warning(
        "checkpoint: '%s' cannot be locked (%s); make sure that only one run"
        " writes to it",
        directory,
        error.strerror,
      )
    os.ftruncate(handle, 0)
    os.pwrite(handle, str(os.getpid()).encode(), 0)
