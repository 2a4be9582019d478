# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Methods by name, and the Objective that the trainer runs."""

from prefjax.methods.language_model import (
  Compute,
  LanguageModelObjective,
  token_logps_of,
)
from prefjax.methods.method import Method, VocabNeed
from prefjax.methods.objective import (
  Evaluation,
  Init,
  LossResult,
  Objective,
)
from prefjax.methods.registry import get, mixture, names, register

__all__ = [
  "Compute",
  "Evaluation",
  "Init",
  "LanguageModelObjective",
  "LossResult",
  "Method",
  "Objective",
  "VocabNeed",
  "get",
  "mixture",
  "names",
  "register",
  "token_logps_of",
]
