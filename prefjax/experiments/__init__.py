# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Papers' claims in miniature: seeds, intervals, verdicts.

An experiment is a folder with a module `experiment.py`; see `spec.from_module`
for what it declares and docs/experiments.md for how to write one.
"""

from prefjax.experiments.harness import FIRST_SEED, run
from prefjax.experiments.judging import difference, every, mean, values
from prefjax.experiments.spec import (
  Arms,
  Experiment,
  folder_name,
  from_module,
  known,
)

__all__ = [
  "FIRST_SEED",
  "Arms",
  "Experiment",
  "difference",
  "every",
  "folder_name",
  "from_module",
  "known",
  "mean",
  "run",
  "values",
]
