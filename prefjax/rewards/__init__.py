# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Scores of responses: verified answers, judges, models."""

from prefjax.rewards.answers import final_answer_match
from prefjax.rewards.attributes import (
  attribute_log_likelihood,
  attribute_reward,
)
from prefjax.rewards.density import density_ratio, parse_domain
from prefjax.rewards.followups import (
  FOLLOWUPS,
  flr,
  flr_categories,
  followup_logprob,
)
from prefjax.rewards.functions import (
  Reward,
  RewardFunction,
  get,
  names,
  register,
)
from prefjax.rewards.lengths import overlong_penalty
from prefjax.rewards.numbers import (
  extract_answer,
  maths_equal,
  parse_number,
)
from prefjax.rewards.preferences import preference_vs_policy
from prefjax.rewards.relevance import (
  clean_response,
  length_incentive,
  mean_pool,
  ngram_diversity,
  r3,
  relevance,
  relevance_scorer,
  tokenize_words,
)
from prefjax.rewards.votes import debias_order_votes

__all__ = [
  "FOLLOWUPS",
  "Reward",
  "RewardFunction",
  "attribute_log_likelihood",
  "attribute_reward",
  "clean_response",
  "debias_order_votes",
  "density_ratio",
  "extract_answer",
  "final_answer_match",
  "flr",
  "flr_categories",
  "followup_logprob",
  "get",
  "length_incentive",
  "maths_equal",
  "mean_pool",
  "ngram_diversity",
  "names",
  "overlong_penalty",
  "parse_domain",
  "parse_number",
  "preference_vs_policy",
  "r3",
  "register",
  "relevance",
  "relevance_scorer",
  "tokenize_words",
]
