# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Scores of responses: verified answers, judges, models."""

from prefjax.rewards.answers import final_answer_match
from prefjax.rewards.lengths import overlong_penalty
from prefjax.rewards.votes import debias_order_votes

__all__ = [
  "debias_order_votes",
  "final_answer_match",
  "overlong_penalty",
]
