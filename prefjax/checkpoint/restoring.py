# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Restoring: nothing is handed back that does not match its digests."""

import dataclasses
import logging
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax

from prefjax.checkpoint import digest as digest_lib
from prefjax.checkpoint import layout, parsing, processes, storage
from prefjax.checkpoint import leaves as leaves_lib
from prefjax.checkpoint import manifest as manifest_lib
from prefjax.checkpoint import template as template_lib
from prefjax.core import errors

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Skipped:
  """A step that could not be used, and why."""

  step: int
  reason: str


@dataclasses.dataclass(frozen=True)
class Restored:
  """A step that was read and verified.

  Attributes:
    step: its number.
    tree: like the template, with the saved values.
    manifest: what was saved with it.
    skipped: newer steps that are torn or corrupt; [] when all is well.
    frozen: role -> tree, verified, for the roles that were asked for.
  """

  step: int
  tree: Any
  manifest: manifest_lib.Manifest
  skipped: list[Skipped] = dataclasses.field(default_factory=list)
  frozen: dict[str, Any] = dataclasses.field(default_factory=dict)


def latest_step(directory: str | os.PathLike) -> int | None:
  """The newest committed step, None when there is none."""
  found = layout.steps(directory)
  return found[-1] if found else None


def restore(
  directory: str | os.PathLike,
  template: Any,
  *,
  step: int | None = None,
  shardings: Any = None,
  frozen: Mapping[str, Any] | None = None,
  partial: bool = False,
) -> Restored:
  """Reads a step into the shape of a template and verifies every leaf.

  Args:
    directory: what the checkpointer wrote to.
    template: pytree of arrays or ShapeDtypeStructs. JAX leaves come back as
      `jax.Array`, NumPy leaves as NumPy arrays, Python numbers as numbers.
    step: which step; None takes the newest good one.
    shardings: a sharding, or a pytree of shardings that is a prefix of the
      template; None uses the shardings of the template, and the default
      device where it has none. Any mesh will do.
    frozen: role -> arrays that the caller loaded, compared with the digests
      in the manifest; or ShapeDtypeStructs, which are read from the
      checkpoint if it stores that role.
    partial: the template may leave out saved leaves.

  Returns:
    The tree and where it came from. Torn and corrupt steps that were passed
    over are logged as warnings and listed in `skipped`.

  Raises:
    CheckpointCorruptError: the given step, or every step, is damaged.
    CheckpointError: there is no step, or the template does not fit: names
      the leaf and both shapes or dtypes.
  """
  root = layout.resolve(directory)
  specs = template_lib.specs(template, shardings)

  def read(number: int) -> Restored:
    return _restore_step(root, number, template, specs, frozen, partial)

  return _first_good(root, step, read)


def restore_untyped(
  directory: str | os.PathLike, *, step: int | None = None
) -> Restored:
  """Reads a step without a template: nested dictionaries of NumPy arrays.

  For inspection and conversion. Positions and field names are string keys;
  typed PRNG keys stay typed keys.

  Raises:
    CheckpointCorruptError: the given step, or every step, is damaged.
    CheckpointError: there is no step.
  """
  root = layout.resolve(directory)

  def read(number: int) -> Restored:
    path = layout.step_dir(root, number)
    manifest = _together(lambda: _read_manifest(path, number))
    leaves = _read_verified(path, _untyped(manifest.leaves), manifest.leaves)
    return Restored(number, leaves_lib.nest(leaves), manifest)

  return _first_good(root, step, read)


def verify(directory: str | os.PathLike, step: int) -> manifest_lib.Manifest:
  """Reads all arrays of a step and checks their digests.

  Returns:
    The manifest.

  Raises:
    CheckpointCorruptError: names the step and the file or leaf.
  """
  root = layout.resolve(directory)

  def read(number: int) -> Restored:
    path = layout.step_dir(root, number)
    manifest = _together(lambda: _read_manifest(path, number))
    _verify_arrays(path, manifest.leaves)
    for entry in manifest.frozen.values():
      if entry.stored:
        _verify_arrays(_frozen_path(root, entry), entry.leaves)
    return Restored(number, None, manifest)

  return _first_good(root, step, read).manifest


_Read = Callable[[int], Restored]
_T = TypeVar("_T")


# --- which step -----------------------------------------------------------


def _first_good(root: pathlib.Path, step: int | None, read: _Read) -> Restored:
  """The given step, or the newest that can be read."""
  present = _listing(root)
  if step is not None:
    return _explicit(root, int(step), dict(present), read)
  skipped: list[Skipped] = []
  for number, committed in reversed(present):
    if committed:
      result, reason = _attempt(number, read)
      if result is not None:
        return dataclasses.replace(result, skipped=skipped)
    else:
      reason = "the save was interrupted before it was complete"
    skipped.append(Skipped(number, reason))
    _log.warning(
      "checkpoint: step %d in '%s' is not usable (%s); falling back to the"
      " step before it",
      number,
      root,
      reason,
    )
  if not skipped:
    raise errors.CheckpointError(
      f"'{root}' holds no checkpoint; check the path or start without resume"
    )
  reasons = "; ".join(f"step {s.step}: {s.reason}" for s in skipped[:5])
  raise errors.CheckpointCorruptError(
    f"no step in '{root}' can be restored ({reasons}); restore the files from a"
    " backup or start a new run in another directory"
  )


def _explicit(
  root: pathlib.Path, step: int, present: dict[int, bool], read: _Read
) -> Restored:
  if step not in present:
    known = ", ".join(str(s) for s, done in present.items() if done)
    raise errors.CheckpointError(
      f"'{root}' has no step {step}; it has {known or 'none'}"
    )
  result, reason = _attempt(step, read)
  if result is None:
    others = [str(s) for s, done in present.items() if done and s != step]
    raise errors.CheckpointCorruptError(
      f"checkpoint step {step} in '{root}' is corrupt: {reason}; restore"
      f" another step ({', '.join(others) or 'there is none'}) or delete this"
      " one"
    )
  return result


def _attempt(step: int, read: _Read) -> tuple[Restored | None, str]:
  """Reads a step, or says why it cannot be used."""
  try:
    return read(step), ""
  except errors.CheckpointCorruptError as error:
    return None, str(error)
  except OSError as error:
    return None, f"{error.strerror} ('{error.filename}')"


def _together(work: Callable[[], _T]) -> _T:
  """Does one part of reading a step; fails everywhere if it does anywhere.

  Without this a process with a bad disk would go on to the step before,
  while the others wait for it in the reductions of the digests.
  """
  result, error = None, None
  try:
    result = work()
  except (errors.CheckpointCorruptError, OSError) as caught:
    error = caught
  failed = processes.failed(error is None)
  if error is not None:
    raise error
  if failed:
    raise errors.CheckpointCorruptError(
      f"process {failed[0]} could not read it; its log says why"
    )
  return result


def _listing(root: pathlib.Path) -> list[tuple[int, bool]]:
  """Step directories; all processes must see the same ones."""
  present = layout.entries(root)
  if not processes.same_everywhere(repr(present)):
    raise errors.CheckpointError(
      f"'{root}' holds different steps on different processes; use a directory"
      " on a shared filesystem"
    )
  return present


# --- one step -------------------------------------------------------------


def _restore_step(
  root: pathlib.Path,
  step: int,
  template: Any,
  specs: Mapping[str, leaves_lib.LeafSpec],
  frozen: Mapping[str, Any] | None,
  partial: bool,
) -> Restored:
  path = layout.step_dir(root, step)
  manifest = _together(lambda: _read_manifest(path, step))
  where = f"step {step} in '{root}'"
  template_lib.check(specs, manifest.leaves, partial=partial, where=where)
  roles = {
    role: _restore_frozen(root, role, tree, manifest, where)
    for role, tree in (frozen or {}).items()
  }
  leaves = _read_verified(path, specs, manifest.leaves)
  tree = leaves_lib.unflatten(template, leaves)
  return Restored(step, tree, manifest, frozen=roles)


def _read_manifest(path: pathlib.Path, step: int) -> manifest_lib.Manifest:
  manifest = parsing.read(path)
  if manifest.step != step:
    raise errors.CheckpointCorruptError(
      f"'{path}' holds step {manifest.step}; the directory was renamed"
    )
  parsing.check_files(path, manifest)
  return manifest


def _read_verified(
  path: pathlib.Path,
  specs: Mapping[str, leaves_lib.LeafSpec],
  saved: Mapping[str, digest_lib.LeafDigest],
) -> dict[str, Any]:
  """Reads leaves and compares each with its digest."""
  arrays = path / layout.ARRAYS
  leaves = _together(lambda: storage.read(arrays, specs, saved))

  def compare() -> None:
    changed = _first_difference(leaves, saved)
    if changed is not None:
      raise errors.CheckpointCorruptError(
        f"leaf '{changed}' in '{arrays}' does not match its digest"
      )

  _together(compare)
  return leaves


def _first_difference(
  leaves: Mapping[str, Any], saved: Mapping[str, digest_lib.LeafDigest]
) -> str | None:
  """The first leaf whose content is not the saved one."""
  kinds = {n: "sha256" if saved[n].sha256 else "lanes" for n in leaves}
  for name, found in digest_lib.begin(leaves, kinds)().items():
    if found != saved[name]:
      return name
  return None


def _untyped(
  saved: Mapping[str, digest_lib.LeafDigest],
) -> dict[str, leaves_lib.LeafSpec]:
  return {
    name: leaves_lib.LeafSpec(name, "numpy", leaf.shape, leaf.dtype)
    for name, leaf in saved.items()
  }


def _verify_arrays(
  path: pathlib.Path,
  saved: Mapping[str, digest_lib.LeafDigest],
  at_once: int = 1 << 30,
) -> None:
  """Checks all leaves, about `at_once` bytes in memory at a time."""
  group: dict[str, leaves_lib.LeafSpec] = {}
  total = 0
  for name, spec in _untyped(saved).items():
    group[name] = spec
    total += leaves_lib.num_bytes(spec.shape, spec.dtype)
    if total >= at_once:
      _read_verified(path, group, saved)
      group, total = {}, 0
  _read_verified(path, group, saved)


# --- frozen roles ---------------------------------------------------------


def _frozen_path(
  root: pathlib.Path, entry: manifest_lib.FrozenEntry
) -> pathlib.Path:
  """Directory of a stored frozen tree, after a look at its files."""
  path = root / layout.FROZEN / entry.digest
  parsing.check_files(path, parsing.read(path))
  return path


def _restore_frozen(
  root: pathlib.Path,
  role: str,
  tree: Any,
  manifest: manifest_lib.Manifest,
  where: str,
) -> Any:
  """Verifies the arrays a caller supplies, or reads stored ones."""
  entry = manifest.frozen.get(role)
  if entry is None:
    known = ", ".join(sorted(manifest.frozen)) or "none"
    raise errors.CheckpointError(
      f"{where} has no frozen role '{role}'; it has: {known}"
    )
  where = f"frozen role '{role}' of {where}"
  specs = template_lib.specs(tree)
  template_lib.check(specs, entry.leaves, partial=False, where=where)
  leaves = leaves_lib.flatten(tree)
  if any(isinstance(v, jax.ShapeDtypeStruct) for v in leaves.values()):
    if not entry.stored:
      raise errors.CheckpointError(
        f"{where} is kept as a digest only; load it from where it came from"
        " and pass the arrays"
      )
    path = _together(lambda: _frozen_path(root, entry))
    found = _read_verified(path, specs, entry.leaves)
    return leaves_lib.unflatten(tree, found)
  changed = _first_difference(leaves, entry.leaves)
  if changed is not None:
    raise errors.CheckpointError(
      f"{where} was saved with other values than the ones supplied (first"
      f" different leaf: '{changed}'); supply the original weights"
    )
  return tree
