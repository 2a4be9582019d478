# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Implicit feedback, personalisation and simulated users."""

from prefjax.feedback.judging import (
  annotate,
  judge_preferences,
  preference_from_votes,
)
from prefjax.losses.personalised import (
  causal_preference_effect,
  preference_token_weights,
)

__all__ = [
  "annotate",
  "causal_preference_effect",
  "judge_preferences",
  "preference_from_votes",
  "preference_token_weights",
]
