# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Whole runs from a config: what the command line and notebooks call."""

from prefjax.runs.loading import load_policy, read_config
from prefjax.runs.training import Outcome, train

__all__ = ["Outcome", "load_policy", "read_config", "train"]
