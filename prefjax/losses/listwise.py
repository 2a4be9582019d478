# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Losses of a whole ranked list: K responses to one prompt with scores.

The order of the responses means nothing; only `scores` does. Responses with
equal scores are not compared with each other. Sums run over a prompt's
positions or pairs, as in the papers, so that longer lists weigh more.
"""

import jax
import jax.numpy as jnp

from prefjax.core import checks, masking, numerics

# 2^score - 1 of more than this is held, far inside float32.
_LARGEST_EXPONENT = 80.0
_GAINS = ("exponential", "linear")


def _group(function: str, mask, **arrays) -> tuple[jax.Array, ...]:
  """Arrays [B, K] in float32 with 0 where masked, then the mask."""
  checks.same_shape(function, **arrays, mask=mask)
  checks.rank(function, 2, mask=mask)
  kept = jnp.asarray(mask).astype(bool)
  floats = numerics.to_float32(*arrays.values())
  return *(masking.replace(x, kept) for x in floats), kept


def _beats(scores, kept) -> jax.Array:
  """bool [B, K, K]: whether response i scores strictly above j."""
  both = kept[:, :, None] & kept[:, None, :]
  return both & (scores[:, :, None] > scores[:, None, :])


def plackett_luce(logps, ref_logps, scores, mask, *, beta=0.1) -> jax.Array:
  """DPO for a ranking: each response is drawn before all worse ones.

    r_i = beta (logps_i - ref_logps_i)
    loss = - sum_i [ r_i - log( exp r_i + sum_{j worse than i} exp r_j ) ]

  Args:
    logps: [B, K], policy log-probs of the responses, summed nats.
    ref_logps: [B, K], reference log-probs.
    scores: [B, K], higher is better; equal ones are not compared.
    mask: [B, K], which responses exist; others may hold anything.
    beta: > 0, inverse temperature of the implicit reward.

  Returns:
    [B] float32, not reduced; lower is better. 0 where nothing is better
    than anything.

  Raises:
    ValueError: shapes differ, not two axes, or beta is out of range.

  Limits:
    Two responses give `dpo`. At equal r_i and distinct scores it is log K!.

  Reference:
    Rafailov et al., "Direct Preference Optimization: Your Language Model is
    Secretly a Reward Model", arXiv:2305.18290, equation 20 (Plackett-Luce).
  """
  checks.in_range("plackett_luce", 0, low_open=True, beta=beta)
  logps, ref_logps, scores, kept = _group(
    "plackett_luce", mask, logps=logps, ref_logps=ref_logps, scores=scores
  )
  reward = beta * (logps - ref_logps)  # [B, K]
  itself = jnp.eye(reward.shape[1], dtype=bool)[None]
  rivals = _beats(scores, kept) | itself
  # Differences first: huge rewards that are alike lose nothing.
  behind = jnp.where(rivals, reward[:, None, :] - reward[:, :, None], -jnp.inf)
  return jnp.sum(jax.nn.logsumexp(behind, axis=-1), axis=-1)


def _discounts(reward, scores, kept) -> jax.Array:
  """1 / log(1 + rank) of each response by reward, ranks from 1.

  Equal rewards, as at the start of training, rank by score; a rank shared by
  both would leave such pairs without weight.
  """
  higher = reward[:, None, :] > reward[:, :, None]
  level = reward[:, None, :] == reward[:, :, None]
  better = scores[:, None, :] > scores[:, :, None]
  twin = scores[:, None, :] == scores[:, :, None]
  k = reward.shape[1]
  earlier = jnp.tril(jnp.ones((k, k), bool), -1)[None]
  ahead = kept[:, None, :] & (higher | (level & (better | (twin & earlier))))
  rank = 1.0 + jnp.sum(ahead, axis=-1)
  return 1.0 / jnp.log1p(rank.astype(reward.dtype))


def lipo_lambda(
  logps, ref_logps, scores, mask, *, beta=0.1, gain="exponential"
) -> jax.Array:
  """LiPO-lambda: pairs weighted by what swapping them does to the ranking.

    r_i = beta (logps_i - ref_logps_i), rank_i its place by r
    w_ij = |G_i - G_j| * |1 / log(1 + rank_i) - 1 / log(1 + rank_j)|
    loss = sum_{scores_i > scores_j} -w_ij log s(r_i - r_j)

  The weights are the change of the discounted gain and carry no gradient.

  Args:
    logps: [B, K], policy log-probs of the responses, summed nats.
    ref_logps: [B, K], reference log-probs.
    scores: [B, K], higher is better, in [0, 1] in the paper; equal ones are
      not compared.
    mask: [B, K], which responses exist; others may hold anything.
    beta: > 0, inverse temperature of the implicit reward.
    gain: G = 2^score - 1 ("exponential", with score held at 80) or the
      score itself ("linear", for scores of another scale).

  Returns:
    [B] float32, not reduced; lower is better. 0 where nothing is better
    than anything.

  Raises:
    ValueError: shapes differ, not two axes, or a keyword is out of range.

  Limits:
    Two responses of scores 1 and 0 give `dpo` times 1 / log 2 - 1 / log 3.

  Reference:
    Liu et al., "LiPO: Listwise Preference Optimization through
    Learning-to-Rank", arXiv:2402.01878 (LiPO-lambda).
  """
  checks.in_range("lipo_lambda", 0, low_open=True, beta=beta)
  checks.one_of("lipo_lambda", _GAINS, gain=gain)
  logps, ref_logps, scores, kept = _group(
    "lipo_lambda", mask, logps=logps, ref_logps=ref_logps, scores=scores
  )
  reward = beta * (logps - ref_logps)
  if gain == "exponential":
    gains = jnp.exp2(jnp.minimum(scores, _LARGEST_EXPONENT)) - 1
  else:
    gains = scores
  discount = _discounts(reward, scores, kept)
  weight = jax.lax.stop_gradient(
    jnp.abs(gains[:, :, None] - gains[:, None, :])
    * jnp.abs(discount[:, :, None] - discount[:, None, :])
  )
  beats = _beats(scores, kept)
  gap = jnp.where(beats, reward[:, :, None] - reward[:, None, :], 0.0)
  pairs = jnp.where(beats, -weight * jax.nn.log_sigmoid(gap), 0.0)
  return jnp.sum(pairs, axis=(1, 2))


def all_pairs(
  logps, lengths, scores, mask, *, delta=0.0, sft_weight=1.0
) -> jax.Array:
  """RRHF: hinge on every pair of a list, and likelihood of the best.

    p_i = logps_i / |y_i|
    loss = sum_{scores_i > scores_j} max(0, delta - (p_i - p_j))
           - sft_weight * p_best

  Reference-free. p_best is the mean over responses that share the best
  score; the likelihood is per token, as in the published code.

  Args:
    logps: [B, K], policy log-probs of the responses, summed nats.
    lengths: [B, K], counted tokens of the responses.
    scores: [B, K], higher is better; equal ones are not compared.
    mask: [B, K], which responses exist; others may hold anything.
    delta: >= 0, margin in nats a token; 0 in the paper.
    sft_weight: >= 0, weight of the likelihood.

  Returns:
    [B] float32, not reduced; lower is better. 0 for a prompt without
    responses.

  Raises:
    ValueError: shapes differ, not two axes, or a keyword is out of range.

  Limits:
    sft_weight=0 is 0 once the order is right by delta. One response gives
    sft_weight * `nll`.

  Reference:
    Yuan et al., "RRHF: Rank Responses to Align Language Models with Human
    Feedback without tears", arXiv:2304.05302, equations 2 to 4.
  """
  checks.in_range("all_pairs", 0, delta=delta, sft_weight=sft_weight)
  logps, lengths, scores, kept = _group(
    "all_pairs", mask, logps=logps, lengths=lengths, scores=scores
  )
  per_token = logps / jnp.maximum(lengths, 1)
  beats = _beats(scores, kept)
  gap = per_token[:, :, None] - per_token[:, None, :]
  ranking = jnp.sum(
    jnp.where(beats, jax.nn.relu(delta - gap), 0.0), axis=(1, 2)
  )
  is_best = kept & ~jnp.any(beats, axis=1)
  best = masking.masked_mean(per_token, is_best, axis=-1)
  return ranking - sft_weight * best
