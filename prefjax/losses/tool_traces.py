# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reward models that reason with tools before they score."""

import jax
import jax.numpy as jnp

from prefjax.core import checks, numerics, tool_traces
from prefjax.losses import base

# What a token of a trace belongs to.
NONE = tool_traces.NONE
TOOL = tool_traces.TOOL
OBSERVATION = tool_traces.OBSERVATION
RATIONALE = tool_traces.RATIONALE
ANSWER = tool_traces.ANSWER


def _nll(logps, segments, weights) -> jax.Array:
  """Weighted negative log-probs over the number of tokens that count."""
  table = jnp.asarray(weights, logps.dtype)
  segments = jnp.asarray(segments)
  known = (segments >= NONE) & (segments <= ANSWER)
  weight = jnp.where(known, table[jnp.where(known, segments, NONE)], 0.0)
  counted = weight > 0
  total = jnp.sum(jnp.where(counted, -logps, 0.0) * weight, axis=-1)
  number = jnp.sum(counted, axis=-1).astype(logps.dtype)
  return total / jnp.maximum(number, 1)


def themis(
  chosen_rewards,
  rejected_rewards,
  chosen_token_logps,
  chosen_segments,
  rejected_token_logps,
  rejected_segments,
  *,
  rm_weight=0.5,
  tool_weight=1.0,
  observation_weight=1.0,
  rationale_weight=1.0,
  answer_weight=1.0,
) -> jax.Array:
  """Themis: ranks two answers, and learns to write their tool traces.

    nll = sum_t w(segment_t) (-logp_t) / max(1, #{t: w(segment_t) > 0})
    loss = (nll_chosen + nll_rejected) / 2
           - rm_weight log s(chosen_rewards - rejected_rewards)

  Args:
    chosen_rewards: [B], score of the better answer.
    rejected_rewards: [B], score of the other one.
    chosen_token_logps: [B, T], log-probs of each token of the text with the
      better answer, nats; tokens that do not count may hold anything.
    chosen_segments: int [B, T], 0 none, 1 tool, 2 observation, 3 rationale,
      4 answer.
    rejected_token_logps: [B, U], the same for the other answer, whose answer
      tokens never count.
    rejected_segments: int [B, U].
    rm_weight: >= 0, of the ranking.
    tool_weight: >= 0, of thoughts and calls.
    observation_weight: >= 0, of what tools said.
    rationale_weight: >= 0, of the rationale.
    answer_weight: >= 0, of the better answer itself.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    All weights but rm_weight=1 at 0 are Bradley-Terry.

  Reference:
    Li et al., "Tool-Augmented Reward Modeling", arXiv:2310.01045.
  """
  name = "themis"
  checks.in_range(
    name,
    0,
    rm_weight=rm_weight,
    tool_weight=tool_weight,
    observation_weight=observation_weight,
    rationale_weight=rationale_weight,
    answer_weight=answer_weight,
  )
  chosen, rejected = base.floats(
    name, chosen_rewards=chosen_rewards, rejected_rewards=rejected_rewards
  )
  checks.same_shape(
    name,
    chosen_token_logps=chosen_token_logps,
    chosen_segments=chosen_segments,
  )
  checks.same_shape(
    name,
    rejected_token_logps=rejected_token_logps,
    rejected_segments=rejected_segments,
  )
  first, second = numerics.to_float32(chosen_token_logps, rejected_token_logps)
  weights = (0.0, tool_weight, observation_weight, rationale_weight)
  nll = _nll(first, chosen_segments, (*weights, answer_weight))
  nll = nll + _nll(second, rejected_segments, (*weights, 0.0))
  return nll / 2 - rm_weight * jax.nn.log_sigmoid(chosen - rejected)
