# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Scores of responses: verified answers, judges, models."""

from prefjax.rewards.actions import parse_action
from prefjax.rewards.answers import final_answer_match
from prefjax.rewards.arithmetic import calculator, check_calculation
from prefjax.rewards.attributes import (
  attribute_log_likelihood,
  attribute_reward,
)
from prefjax.rewards.dates import day_difference, target_day, week_day
from prefjax.rewards.density import (
  density_ratio,
  density_ratio_scorer,
  parse_domain,
)
from prefjax.rewards.followups import (
  FOLLOWUPS,
  flr,
  flr_categories,
  followup_logprob,
  score_followups,
)
from prefjax.rewards.functions import (
  Reward,
  RewardFunction,
  get,
  names,
  register,
)
from prefjax.rewards.judge_tokens import judge_probabilities
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
from prefjax.rewards.tool_rewards import tool_reward
from prefjax.rewards.tools import TOOLS, Tool, code_tool, lookup_tool
from prefjax.rewards.votes import debias_order_votes

__all__ = [
  "FOLLOWUPS",
  "Reward",
  "RewardFunction",
  "TOOLS",
  "Tool",
  "attribute_log_likelihood",
  "attribute_reward",
  "calculator",
  "code_tool",
  "check_calculation",
  "clean_response",
  "day_difference",
  "debias_order_votes",
  "density_ratio",
  "density_ratio_scorer",
  "extract_answer",
  "final_answer_match",
  "flr",
  "flr_categories",
  "followup_logprob",
  "get",
  "judge_probabilities",
  "length_incentive",
  "lookup_tool",
  "maths_equal",
  "mean_pool",
  "ngram_diversity",
  "names",
  "overlong_penalty",
  "parse_action",
  "parse_domain",
  "parse_number",
  "preference_vs_policy",
  "r3",
  "register",
  "relevance",
  "relevance_scorer",
  "score_followups",
  "target_day",
  "tokenize_words",
  "tool_reward",
  "week_day",
]
