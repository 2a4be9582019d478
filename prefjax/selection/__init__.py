# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Which examples to train on, and how far to trust their labels."""

from prefjax.selection.choosing import best_of_n, rejection_select
from prefjax.selection.consensus import consensus_ratings
from prefjax.selection.ensembles import train_ensemble
from prefjax.selection.partners import p2c_disagreement, p2c_partners
from prefjax.selection.strength import (
  preference_strength,
  strength_groups,
  strength_recipe,
)

__all__ = [
  "best_of_n",
  "consensus_ratings",
  "p2c_disagreement",
  "p2c_partners",
  "preference_strength",
  "rejection_select",
  "strength_groups",
  "strength_recipe",
  "train_ensemble",
]
