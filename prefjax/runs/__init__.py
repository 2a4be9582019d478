# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Whole runs from a config: what the command line and notebooks call."""

from prefjax.runs.loading import (
  Policy,
  is_workdir,
  load_policy,
  open_policy,
  read_config,
)
from prefjax.runs.training import Outcome, train

__all__ = [
  "Outcome",
  "Policy",
  "is_workdir",
  "load_policy",
  "open_policy",
  "read_config",
  "train",
]
