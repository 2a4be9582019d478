# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Saving: asynchronous, atomic, and loud when it fails."""

import contextlib
import dataclasses
import logging
import operator
import os
import re
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import jax

from prefjax.checkpoint import commit, layout, processes, storage
from prefjax.checkpoint import digest as digest_lib
from prefjax.checkpoint import leaves as leaves_lib
from prefjax.checkpoint import manifest as manifest_lib
from prefjax.core import errors

_ROLE = re.compile(r"[A-Za-z0-9_.-]{1,128}")

_log = logging.getLogger(__name__)

# Checkpointers of this process by directory: a notebook that starts its
# training cell again must not be locked out by the object of the last try.
_open: "weakref.WeakValueDictionary[str, Checkpointer]" = (
  weakref.WeakValueDictionary()
)


def _finish_open() -> None:
  """Completes saves of programs that end without `close`."""
  for checkpointer in list(_open.values()):
    checkpointer._abandon()


# Before thread pools shut down, which Orbax needs; `atexit` would be later.
# Without the hook such a save fails, visibly, and is not committed.
if hasattr(threading, "_register_atexit"):
  threading._register_atexit(_finish_open)


@dataclasses.dataclass
class _Job:
  """One save between its start and its commit."""

  step: int
  workspace: commit.Workspace
  manifest: manifest_lib.Manifest
  digests: Callable[[], dict[str, digest_lib.LeafDigest]]


class Checkpointer:
  """Writes the steps of one run to one directory.

  A save copies the arrays to the host, returns, and goes on in the
  background. It counts only once it is complete on disk, so a process may
  be killed at any moment. An error in the background is raised by the next
  call of any method but `steps`.

  Under `jax.distributed` every process makes the same calls, on a shared
  filesystem; process 0 commits and prunes.

  Args:
    directory: where to write; made with mode 0700 if it does not exist.
    keep: number of newest steps that stay, at least 1; None keeps all.
    keep_best: number of best steps that stay besides.
    best_metric: name in `metrics` that ranks steps.
    best_mode: 'max' or 'min'.
    async_save: False makes `save` return only when the step is committed.
    store_frozen: write frozen trees once under frozen/<digest>/ instead of
      keeping only their digests. The first save then blocks until they are
      written.
    compress: compress array chunks; smaller and slower.

  Raises:
    ConfigError: an option is out of range.
    CheckpointError: the directory cannot be made, or another process is
      writing to it.
  """

  def __init__(
    self,
    directory: str | os.PathLike,
    *,
    keep: int | None = 3,
    keep_best: int = 0,
    best_metric: str | None = None,
    best_mode: str = "max",
    async_save: bool = True,
    store_frozen: bool = False,
    compress: bool = False,
  ):
    _check_options(keep, keep_best, best_metric, best_mode)
    self.directory = layout.resolve(directory)
    self._policy = commit.Retention(keep, keep_best, best_metric, best_mode)
    self._async = async_save
    self._store_frozen = store_frozen
    self._frozen_cache: dict[str, tuple[list, manifest_lib.FrozenEntry]] = {}
    self._thread: threading.Thread | None = None
    self._error: errors.CheckpointError | None = None
    self._closed = False
    self._lock: layout.Lock | None = None
    self._primary = jax.process_index() == 0
    if self._primary:
      self._take_directory()
    self._writer = storage.Writer(compress=compress)

  def _take_directory(self) -> None:
    try:
      self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
      name = os.path.realpath(self.directory)
      former = _open.get(name)
      if former is not None:
        former._abandon()
      self._lock = layout.Lock(self.directory)
      layout.recover(self.directory)
      _open[name] = self
    except OSError as error:
      raise errors.CheckpointError(
        f"checkpoint directory '{self.directory}' cannot be used:"
        f" {error.strerror}; choose a writable directory"
      ) from error

  # --- the public calls ----------------------------------------------------

  def save(
    self,
    step: int,
    tree: Any,
    *,
    metadata: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
    frozen: Mapping[str, Any] | None = None,
  ) -> None:
    """Saves a tree as a step, replacing a step of that number.

    Waits for the previous save first. When it returns, the arrays may be
    donated or overwritten.

    Args:
      step: the step, at least 0.
      tree: pytree of JAX arrays, NumPy arrays and Python numbers.
      metadata: 'config', 'data_fingerprint', 'tokenizer_hash' and 'stage'
        have fields of their own in the manifest; anything else that has a
        JSON form is kept as it is.
      metrics: numbers by name, for keeping the best steps.
      frozen: role -> tree that never changes.

    Raises:
      CheckpointError: the previous save failed, or this one cannot start.
    """
    self._check_usable()
    step = _as_step(step)
    self.wait()
    manifest = manifest_lib.build(step, metadata=metadata, metrics=metrics)
    leaves = storage.snapshot(leaves_lib.flatten(tree))
    workspace = commit.Workspace(layout.step_dir(self.directory, step))
    try:
      roles = {r: self._frozen(r, t) for r, t in (frozen or {}).items()}
      manifest = dataclasses.replace(manifest, frozen=roles)
      digests = digest_lib.begin(leaves)
      self._create(workspace)
      self._writer.start(workspace.path / layout.ARRAYS, leaves)
    except Exception as error:
      # Whatever Orbax or the filesystem raises, the caller sees one type.
      self._writer.drain()
      if self._primary:
        workspace.discard()
      raise self._failure(f"saving step {step}", error) from error
    job = _Job(step, workspace, manifest, digests)
    # Not a daemon: a program that ends without `close` still completes it.
    self._thread = threading.Thread(
      target=self._run, args=(job,), name=f"checkpoint-{step}"
    )
    self._thread.start()
    if not self._async:
      self.wait()

  def wait(self) -> None:
    """Returns when the last save is committed.

    Raises:
      CheckpointError: it failed.
    """
    waited = self._thread is not None
    if self._thread is not None:
      self._thread.join()
      self._thread = None
    if waited and jax.process_count() > 1:
      self._agree()
    self.check()

  def check(self) -> None:
    """Raises the error of a save that failed in the background, if any."""
    error, self._error = self._error, None
    if error is not None:
      raise error

  def steps(self) -> list[int]:
    """Committed steps, ascending, as they are on disk now."""
    return layout.steps(self.directory)

  def best_steps(self) -> list[int]:
    """Intact committed steps by `best_metric`, best first."""
    return self._policy.best(commit.verified(self.directory))

  def close(self) -> None:
    """Waits for the last save and gives the directory back.

    Raises:
      CheckpointError: the last save failed.
    """
    if self._closed:
      return
    try:
      self.wait()
    except BaseException:
      # The failure that led here is the one to report.
      with contextlib.suppress(Exception):
        self._release()
      raise
    self._release()

  def __enter__(self) -> "Checkpointer":
    return self

  def __exit__(self, kind, error, trace) -> None:
    if error is None:
      self.close()
    else:
      self._abandon()

  def _create(self, workspace: commit.Workspace) -> None:
    """Makes the directory on process 0, or fails on all."""
    error = None
    if self._primary:
      try:
        workspace.create()
      except OSError as caught:
        error = caught
    failed = processes.failed(error is None)
    if error is not None:
      raise error
    if failed:
      raise errors.CheckpointError("process 0 cannot make the directory")

  # --- the background ------------------------------------------------------

  def _run(self, job: _Job) -> None:
    what = f"saving step {job.step}"
    try:
      self._writer.finish()
      leaves = job.digests()
      if self._primary:
        manifest = dataclasses.replace(job.manifest, leaves=leaves)
        job.workspace.commit(manifest)
        what = f"step {job.step} is saved, but pruning after it"
        commit.prune(self.directory, job.step, self._policy)
        job.workspace.drop_replaced()
    except Exception as error:
      # A thread must not die silently, whatever the reason was.
      self._writer.drain()
      if self._primary:
        job.workspace.discard()
      self._error = self._failure(what, error)
      # Raised by the next call; logged for programs that make none.
      _log.error("checkpoint: %s", self._error)

  def _failure(self, what: str, error: Exception) -> errors.CheckpointError:
    """One line about what failed; keeps its cause."""
    if isinstance(error, errors.CheckpointError):
      reason = str(error)
    elif isinstance(error, OSError) and error.strerror:
      reason = f"{error.strerror} ('{error.filename or self.directory}')"
    else:
      lines = str(error).strip().splitlines() or [""]
      reason = f"{type(error).__name__}: {lines[0][:300]}"
    try:
      steps = layout.steps(self.directory)
    except errors.CheckpointError:
      steps = []
    newest = f"newest saved step: {steps[-1] if steps else 'none'}"
    failure = errors.CheckpointError(
      f"{what} in '{self.directory}' failed: {reason}; check the path, its"
      f" permissions and the free space ({newest})"
    )
    failure.__cause__ = error
    return failure

  def _agree(self) -> None:
    """Makes a failure on one process a failure on all."""
    failed = processes.failed(self._error is None)
    if failed and self._error is None:
      self._error = errors.CheckpointError(
        f"the last save to '{self.directory}' failed on process {failed[0]};"
        " its log says why"
      )

  def _abandon(self) -> None:
    """Closes without raising: there is an error on its way already.

    And without asking other processes, which may not be on their way here.
    A failure of the last save is in the log.
    """
    if self._closed:
      return
    if self._thread is not None:
      self._thread.join()
    with contextlib.suppress(Exception):
      self._release()

  def _release(self) -> None:
    self._closed = True
    try:
      self._writer.close()
    finally:  # or this process could never write to the directory again
      if self._lock is not None:
        self._lock.release()

  def _check_usable(self) -> None:
    if self._closed:
      raise errors.CheckpointError(
        f"the checkpointer of '{self.directory}' is closed; make a new one"
      )

  # --- frozen roles --------------------------------------------------------

  def _frozen(self, role: str, tree: Any) -> manifest_lib.FrozenEntry:
    """Digests of a frozen tree, computed once for the same arrays."""
    if not _ROLE.fullmatch(role):
      raise errors.CheckpointError(
        f"frozen role '{role}' must be letters, digits, '_', '-' or '.'"
      )
    leaves = leaves_lib.flatten(tree)
    arrays = list(leaves.values())
    known, entry = self._frozen_cache.get(role, ([], None))
    same = len(known) == len(arrays) and all(map(operator.is_, known, arrays))
    # NumPy arrays may have been written to since.
    if (
      entry is None
      or not same
      or not all(isinstance(array, jax.Array) for array in arrays)
    ):
      digests = digest_lib.begin(leaves)()
      entry = manifest_lib.FrozenEntry(
        digest_lib.combine(digests), self._store_frozen, digests
      )
      self._frozen_cache[role] = (arrays, entry)
    if self._store_frozen:
      self._write_frozen(role, leaves, entry)
    return entry

  def _write_frozen(
    self, role: str, leaves: dict[str, Any], entry: manifest_lib.FrozenEntry
  ) -> None:
    final = self.directory / layout.FROZEN / entry.digest
    if layout.is_committed(final):
      return
    workspace = commit.Workspace(final)
    try:
      if self._primary:
        final.parent.mkdir(mode=0o700, exist_ok=True)
      self._create(workspace)
      self._writer.start(workspace.path / layout.ARRAYS, leaves)
      self._writer.finish()
      if self._primary:
        manifest = manifest_lib.build(0, metadata={"role": role})
        workspace.commit(dataclasses.replace(manifest, leaves=entry.leaves))
    except BaseException:
      if self._primary:
        workspace.discard()
      raise


def _as_step(step: Any) -> int:
  try:
    number = operator.index(step)
  except TypeError:
    number = -1
  if not 0 <= number < 10**18:
    raise errors.CheckpointError(
      f"checkpoint step {step!r} must be a whole number from 0"
    )
  return number


def _check_options(keep, keep_best, best_metric, best_mode) -> None:
  if keep is not None and (type(keep) is not int or keep < 1):
    raise errors.ConfigError(
      f"checkpoint.keep={keep!r} must be at least 1, or None to keep all"
    )
  if type(keep_best) is not int or keep_best < 0:
    raise errors.ConfigError(
      f"checkpoint.keep_best={keep_best!r} must be at least 0"
    )
  if keep_best and not best_metric:
    raise errors.ConfigError(
      "checkpoint.keep_best needs checkpoint.best_metric, the metric to rank by"
    )
  if best_mode not in ("max", "min"):
    raise errors.ConfigError(
      f"checkpoint.best_mode={best_mode!r} is not one of max, min"
    )
