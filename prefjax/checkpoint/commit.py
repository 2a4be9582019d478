# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""From written arrays to a committed step, and which steps stay.

The order is fixed: arrays, manifest, flush, rename into place, marker, check
of what a reader will see, and only then pruning.
"""

import dataclasses
import logging
import math
import os
import pathlib
import re

from prefjax.checkpoint import layout, parsing
from prefjax.checkpoint import manifest as manifest_lib
from prefjax.core import errors

# Files of at most this many bytes are hashed into the manifest: all of the
# metadata of Orbax and the data files of small states.
_HASHED_BYTES = 1 << 20

_SUPERSEDED = re.compile(r"(0|[1-9][0-9]{0,17})\.superseded")

_log = logging.getLogger(__name__)


class Workspace:
  """A directory in which a step is put together.

  Args:
    final: where the step goes when it is committed.
  """

  def __init__(self, final: pathlib.Path):
    self.final = final
    self.path = final.with_name(final.name + ".tmp")
    self._handle: int | None = None

  def create(self) -> None:
    """Makes the directory; the parent must exist."""
    layout.remove_step(self.path)
    self.path.mkdir(mode=0o700)
    # Held open: if somebody deletes the directory while it is filled, the
    # writers may silently make a new, incomplete one under the same name.
    self._handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)

  def discard(self) -> None:
    """Forgets the directory after a failure; never raises."""
    self._release()
    try:
      layout.remove_step(self.path)
    except OSError as error:
      _log.warning("checkpoint: cannot remove '%s': %s", self.path, error)

  def _release(self) -> None:
    if self._handle is not None:
      os.close(self._handle)
      self._handle = None

  def commit(self, manifest: manifest_lib.Manifest) -> manifest_lib.Manifest:
    """Writes the manifest, moves the directory into place and marks it.

    Args:
      manifest: complete but for the list of files.

    Returns:
      The manifest as a reader will see it.

    Raises:
      CheckpointError: what is on disk is not what was written.
    """
    arrays = self.path / layout.ARRAYS
    files = {}
    for name, status in sorted(layout.scan_files(arrays).items()):
      content = None
      if status.st_size <= _HASHED_BYTES:
        content = parsing.hash_file(arrays / name)
      files[name] = manifest_lib.FileEntry(status.st_size, content)
    manifest = dataclasses.replace(manifest, files=files)
    content = manifest_lib.to_bytes(manifest)
    parsing.parse(content, layout.MANIFEST)  # what we write, we can read
    layout.fsync_tree(arrays)
    layout.write_file(self.path / layout.MANIFEST, content)
    self._check_identity()
    self._move_into_place()
    try:
      layout.write_file(self.final / layout.MARKER, layout.marker_text(content))
      seen = parsing.read(self.final)
      parsing.check_files(self.final, seen)
    except BaseException:
      self._move_back()
      raise
    self._release()
    return seen

  def _check_identity(self) -> None:
    if self._handle is None:
      raise errors.CheckpointError(f"'{self.path}' was not created")
    ours, there = os.fstat(self._handle), os.stat(self.path)
    if (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino):
      raise errors.CheckpointError(
        f"'{self.path}' was deleted while it was being written"
      )

  def _move_into_place(self) -> None:
    replaced = self.final.with_name(self.final.name + ".old")
    if self.final.exists():
      layout.remove_step(replaced)
      os.rename(self.final, replaced)
    os.rename(self.path, self.final)
    layout.fsync_path(self.final.parent)

  def _move_back(self) -> None:
    """Undoes `_move_into_place`: what was there before is there again."""
    replaced = self.final.with_name(self.final.name + ".old")
    layout.remove_step(self.final)
    if replaced.exists():
      os.rename(replaced, self.final)

  def drop_replaced(self) -> None:
    """Deletes the former content, once the new one has proved good."""
    layout.remove_step(self.final.with_name(self.final.name + ".old"))


# --- pruning --------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Retention:
  """Which committed steps stay.

  Attributes:
    keep: number of newest steps; None keeps all.
    keep_best: number of best steps by `best_metric`.
    best_metric: name of the metric, None when `keep_best` is 0.
    best_mode: 'max' or 'min'.
  """

  keep: int | None = 3
  keep_best: int = 0
  best_metric: str | None = None
  best_mode: str = "max"

  def best(self, manifests: dict[int, manifest_lib.Manifest]) -> list[int]:
    """Steps by metric, best first; among equals the later one first.

    Steps without the metric, or where it is NaN, are left out.
    """
    sign = 1 if self.best_mode == "max" else -1
    scored = []
    for step, manifest in manifests.items():
      value = manifest.metrics.get(self.best_metric or "", math.nan)
      if not math.isnan(value):
        scored.append((sign * value, step))
    return [step for _, step in sorted(scored, reverse=True)]

  def kept(self, manifests: dict[int, manifest_lib.Manifest]) -> set[int]:
    """Steps that stay, of those that were verified."""
    ordered = sorted(manifests)
    newest = ordered if self.keep is None else ordered[-self.keep :]
    return set(newest) | set(self.best(manifests)[: self.keep_best])


def verified(directory: pathlib.Path) -> dict[int, manifest_lib.Manifest]:
  """Committed steps whose marker, manifest and files are in order."""
  result = {}
  for step in layout.steps(directory):
    path = layout.step_dir(directory, step)
    try:
      manifest = parsing.read(path)
      parsing.check_files(path, manifest)
    except (errors.CheckpointError, OSError) as error:
      _log.warning("checkpoint: step %d does not count: %s", step, error)
      continue
    result[step] = manifest
  return result


def prune(directory: pathlib.Path, step: int, policy: Retention) -> list[int]:
  """Removes what the policy does not keep, after `step` was committed.

  Damaged steps do not count towards `keep` and go when they are older than
  all kept ones. Later steps come from a run that was continued from an
  earlier one; they are set aside as '<step>.superseded', so that the newest
  step is the one just written, until this run reaches the same step.

  Returns:
    The steps that were removed.
  """
  for later in [s for s in layout.steps(directory) if s > step]:
    path = layout.step_dir(directory, later)
    aside = path.with_name(f"{later}.superseded")
    layout.remove_step(aside)
    os.rename(path, aside)
    _log.warning(
      "checkpoint: step %d is older than the saved step %d; moved the later"
      " one to '%s'",
      step,
      later,
      aside,
    )
  for entry in list(os.scandir(directory)):
    match = _SUPERSEDED.fullmatch(entry.name)
    if match and int(match[1]) <= step:
      layout.remove_step(directory / entry.name)
  if policy.keep is None:
    return []
  manifests = verified(directory)
  if step not in manifests:
    raise errors.CheckpointError(
      f"step {step} cannot be read back; nothing older was removed"
    )
  kept = policy.kept(manifests)
  removed = []
  for candidate in layout.steps(directory):
    stale = candidate in manifests or candidate < min(kept)
    if candidate not in kept and stale:
      layout.remove_step(layout.step_dir(directory, candidate))
      removed.append(candidate)
  _prune_frozen(directory, manifests, kept)
  return removed


def _prune_frozen(
  directory: pathlib.Path,
  manifests: dict[int, manifest_lib.Manifest],
  kept: set[int],
) -> None:
  """Removes frozen trees that no remaining step refers to."""
  root = directory / layout.FROZEN
  if not root.is_dir():
    return
  if set(layout.steps(directory)) - kept:
    return  # a damaged step is still there and may need any of them
  needed = {
    entry.digest for step in kept for entry in manifests[step].frozen.values()
  }
  for entry in list(os.scandir(root)):
    if entry.name not in needed:
      layout.remove_step(root / entry.name)
