# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What is in a checkpoint directory, without a template."""

import dataclasses
import os

from prefjax.checkpoint import commit, layout, parsing, restoring
from prefjax.checkpoint import leaves as leaves_lib
from prefjax.checkpoint import manifest as manifest_lib
from prefjax.core import checks, errors


@dataclasses.dataclass(frozen=True)
class StepInfo:
  """One step directory.

  Attributes:
    step: its number.
    status: 'ok', 'torn' (the save did not finish) or 'corrupt'.
    reason: why it is not ok; '' otherwise.
    manifest: what was saved, None if that cannot be read.
    num_leaves: number of arrays.
    num_bytes: bytes of their values.
    disk_bytes: bytes of the files.
  """

  step: int
  status: str
  reason: str = ""
  manifest: manifest_lib.Manifest | None = None
  num_leaves: int = 0
  num_bytes: int = 0
  disk_bytes: int = 0


def describe(
  directory: str | os.PathLike, *, deep: bool = False
) -> list[StepInfo]:
  """Every step directory, oldest first.

  Args:
    directory: what a checkpointer wrote to.
    deep: also read all arrays and check their digests; otherwise markers,
      manifests, file sizes and hashes of small files are checked.

  Raises:
    CheckpointError: the directory cannot be listed.
  """
  root = layout.resolve(directory)
  found = []
  for step, committed in layout.entries(root):
    if committed:
      found.append(_info(root, step, deep))
    else:
      reason = "the save was interrupted before it was complete"
      found.append(StepInfo(step, "torn", reason))
  return found


def best_step(
  directory: str | os.PathLike, metric: str, *, mode: str = "max"
) -> int | None:
  """The intact step with the best metric, None when no step has it.

  Args:
    directory: what a checkpointer wrote to.
    metric: a name in the metrics of the saves.
    mode: 'max' or 'min'.

  Raises:
    ValueError: the mode is unknown.
    CheckpointError: the directory cannot be listed.
  """
  checks.one_of("best_step", ("max", "min"), mode=mode)
  policy = commit.Retention(keep_best=1, best_metric=metric, best_mode=mode)
  best = policy.best(commit.verified(layout.resolve(directory)))
  return best[0] if best else None


def _info(root, step: int, deep: bool) -> StepInfo:
  path = layout.step_dir(root, step)
  manifest = None
  try:
    manifest = parsing.read(path)
    parsing.check_files(path, manifest)
    if deep:
      restoring.verify(root, step)
    status, reason = "ok", ""
  except (errors.CheckpointError, OSError) as error:
    status, reason = "corrupt", str(error)
  if manifest is None:
    return StepInfo(step, status, reason)
  return StepInfo(
    step,
    status,
    reason,
    manifest,
    num_leaves=len(manifest.leaves),
    num_bytes=sum(
      leaves_lib.num_bytes(leaf.shape, leaf.dtype)
      for leaf in manifest.leaves.values()
    ),
    disk_bytes=sum(entry.size for entry in manifest.files.values()),
  )
