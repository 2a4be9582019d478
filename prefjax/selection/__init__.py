# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Which examples to train on, and how far to trust their labels."""

from prefjax.selection.ensembles import train_ensemble
from prefjax.selection.strength import (
  preference_strength,
  strength_groups,
  strength_recipe,
)

__all__ = [
  "preference_strength",
  "strength_groups",
  "strength_recipe",
  "train_ensemble",
]
