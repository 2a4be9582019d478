# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that are complete, verified, or not there at all."""

from prefjax.checkpoint.compatible import ALLOWED as COMPATIBLE_KEYS
from prefjax.checkpoint.compatible import Change, as_json, check_compatible
from prefjax.checkpoint.digest import LeafDigest, state_sha256, tree_digest
from prefjax.checkpoint.inspection import StepInfo, best_step, describe
from prefjax.checkpoint.layout import steps
from prefjax.checkpoint.manager import Checkpointer
from prefjax.checkpoint.manifest import Manifest, config_hash
from prefjax.checkpoint.restoring import (
  Restored,
  Skipped,
  latest_step,
  restore,
  restore_untyped,
  verify,
)

__all__ = [
  "COMPATIBLE_KEYS",
  "Change",
  "Checkpointer",
  "LeafDigest",
  "Manifest",
  "Restored",
  "Skipped",
  "StepInfo",
  "as_json",
  "best_step",
  "check_compatible",
  "config_hash",
  "describe",
  "latest_step",
  "restore",
  "restore_untyped",
  "state_sha256",
  "steps",
  "tree_digest",
  "verify",
]
