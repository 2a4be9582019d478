# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Where a run goes on: its newest good checkpoint, if it is its own."""

import dataclasses
import logging
import pathlib
from collections.abc import Sequence
from typing import Any

import jax

from prefjax import checkpoint
from prefjax import config as config_lib
from prefjax.checkpoint import processes
from prefjax.core import errors
from prefjax.runs import run as run_lib
from prefjax.runs import stage_run
from prefjax.train import events as events_lib
from prefjax.train import state as state_lib

_LOG = logging.getLogger(__name__)
# Keys that may differ at a resume besides `checkpoint.COMPATIBLE_KEYS`.
_FREE = (
  "stages.*.train.steps",
  "train.max_bad_steps",
  "train.minutes",
  "data.patience",
  "data.prefetch",
  "data.cache_dir",
  "mesh.*",
  "rl.table",
  "rl.alarms",
  "rl.engine",
)


@dataclasses.dataclass
class Position:
  """Where a run stands: inside which stage, with which state."""

  stage: int
  step: int
  state: state_lib.TrainState | None
  still: dict[str, Any]
  metadata: dict[str, Any]


def resume(
  run: run_lib.Run,
  parts: Sequence[stage_run.StageRun],
  directory: pathlib.Path,
  events: events_lib.Events,
) -> Position | None:
  """The newest good checkpoint, or None where there is none.

  Args:
    run: what goes on.
    parts: its stages.
    directory: of the checkpoints.
    events: told of steps that were passed over, and where the run goes on.

  Raises:
    CheckpointError: it belongs to another run, or none can be read.
  """
  _check_same(directory)
  if not directory.exists() or not checkpoint.steps(directory):
    return None
  reasons: list[str] = []

  def unusable(step: int, reason: str) -> None:
    reasons.append(f"step {step}: {reason}")
    events.write("fallback", step=step, reason=reason)
    _LOG.warning(
      "checkpoint step %d in '%s' is not usable (%s); falling back to the step"
      " before it",
      step,
      directory,
      reason,
    )

  for info in reversed(checkpoint.describe(directory)):
    if info.manifest is None or info.status != "ok":
      unusable(info.step, info.reason or info.status)
      continue
    manifest = info.manifest
    own = parts[_stage_index(parts, manifest)]
    changes = checkpoint.check_compatible(
      manifest,
      config=config_lib.to_json(run.config),
      data_fingerprint=own.stage.source.fingerprint,
      tokenizer_hash=run.source.tokenizer.fingerprint,
      allow=(*checkpoint.COMPATIBLE_KEYS, *_FREE),
      override=run.config.checkpoint.allow_changes,
    )
    try:
      restored = checkpoint.restore(
        directory,
        own.template(),
        step=info.step,
        frozen=own.still_template(),
      )
    except errors.CheckpointCorruptError as error:
      unusable(info.step, str(error))
      continue
    metadata = dict(manifest.metadata)
    overridden = checkpoint.as_json(changes)
    if overridden:
      metadata["overridden"] = [*metadata.get("overridden", []), *overridden]
    changed = [change["key"] for change in overridden]
    events.write("resume", step=info.step, changed=changed)
    return Position(
      own.stage.index, info.step, restored.tree, restored.frozen, metadata
    )
  raise errors.CheckpointCorruptError(
    f"no step in '{directory}' can be restored ({'; '.join(reasons[:5])});"
    " restore the files from a backup or use another work directory"
  )


def _check_same(directory: pathlib.Path) -> None:
  """Checks that all processes see the same checkpoints.

  Raises:
    CheckpointError: they do not; going on would be the end of the run.
  """
  if jax.process_count() == 1:
    return
  seen = [(info.step, info.status) for info in checkpoint.describe(directory)]
  if not processes.same_everywhere(repr(seen)):
    raise errors.CheckpointError(
      f"'{directory}': the processes see different checkpoints (this one"
      f" {seen[-3:]}); give a directory that all of them share"
    )


def _stage_index(parts: Sequence[stage_run.StageRun], manifest: Any) -> int:
  """Index of the stage that a checkpoint was saved in.

  Raises:
    CheckpointError: the config has no such stage there, or stages before it
      have another length than they had.
  """
  saved = manifest.stage or {}
  index = int(saved.get("index", 0))
  stage = parts[index].stage if index < len(parts) else None
  if stage is None or saved.get("name") != stage.name:
    raise errors.CheckpointError(
      f"step {manifest.step} was saved in stage {saved.get('name')!r}, which"
      " this config does not have at that place: use the config of the run"
    )
  start = int(saved.get("start", stage.start))
  if start != stage.start:
    raise errors.CheckpointError(
      f"step {manifest.step} was saved in a stage that began after {start}"
      f" updates, now it would begin after {stage.start}: stages that are over"
      " cannot change their train.steps"
    )
  return index
