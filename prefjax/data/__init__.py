# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Records, readers, pair building and the batches that training sees."""

from prefjax.data.label_noise import flip_preferences
from prefjax.data.step_pairs import (
  first_error_step,
  make_step_pairs,
  split_steps,
  step_token_mask,
)

__all__ = [
  "first_error_step",
  "flip_preferences",
  "make_step_pairs",
  "split_steps",
  "step_token_mask",
]
