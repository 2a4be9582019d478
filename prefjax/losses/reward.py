# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Losses of scalar reward models."""

import jax
import jax.numpy as jnp

from prefjax.core import checks, masking, numerics
from prefjax.losses import base


def bradley_terry(
  chosen_rewards,
  rejected_rewards,
  margin=None,
  smoothing=None,
  *,
  temperature=1.0,
) -> jax.Array:
  """The loss of reward models: the better response scores higher.

    z = (chosen - rejected - margin) / temperature
    loss = -(1 - smoothing) log s(z) - smoothing log s(-z)

  Args:
    chosen_rewards: [B], score of the better response.
    rejected_rewards: [B], score of the other one.
    margin: [B], a number or None, gap that the scores should exceed; no
      gradient flows into it. A negative one only weakens a doubtful label.
    smoothing: [B], a number or None, in [0, 1]: probability that the label
      is wrong.
    temperature: > 0, divides the gap.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    smoothing=0.5 without a margin is least at equal scores.

  Reference:
    Wang et al., "Secrets of RLHF in Large Language Models Part II: Reward
    Modeling", arXiv:2401.06080 (margin and soft labels).
  """
  name = "bradley_terry"
  checks.in_range(name, 0, low_open=True, temperature=temperature)
  checks.in_range(name, 0, 1, smoothing=smoothing)
  chosen, rejected = base.floats(
    name, chosen_rewards=chosen_rewards, rejected_rewards=rejected_rewards
  )
  margin, smoothing = base.per_example(
    name,
    chosen,
    margin=0.0 if margin is None else margin,
    smoothing=0.0 if smoothing is None else smoothing,
  )
  gap = chosen - rejected - jax.lax.stop_gradient(margin)
  return numerics.soft_log_sigmoid_loss(gap / temperature, smoothing)


def reward_centering(chosen_rewards, rejected_rewards) -> jax.Array:
  """Keeps the scores of pairs around 0; an auxiliary of `bradley_terry`.

    loss = (chosen + rejected)^2

  Bradley-Terry sees differences alone, so the level of the scores may drift;
  a small weight (0.01) is enough.

  Args:
    chosen_rewards: [B], score of the better response.
    rejected_rewards: [B], score of the other one.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ.

  Limits:
    0 where the scores of a pair cancel.

  Reference:
    Eisenstein et al., "Helping or Herding? Reward Model Ensembles Mitigate
    but do not Eliminate Reward Hacking", arXiv:2312.09244, equation 2.
  """
  chosen, rejected = base.floats(
    "reward_centering",
    chosen_rewards=chosen_rewards,
    rejected_rewards=rejected_rewards,
  )
  return jnp.square(chosen + rejected)


def metarm_difference(scores, mask=None) -> jax.Array:
  """How well a reward model tells responses to one prompt apart; no loss.

    J = 2 / k^2 * sum_{i<j} s(|r_i - r_j|)

  A quantity to maximise; `metarm_gradient` does. It needs no labels, so it
  can be taken on samples of the current policy.

  Args:
    scores: [B, K], scores of K responses to each prompt.
    mask: [B, K] or None, which responses exist; others may hold anything.

  Returns:
    [B] float32, at least (k - 1) / (2 k), its value at equal scores, where
    the gradient is 0; 0 with fewer than two responses.

  Raises:
    ValueError: shapes differ or not two axes.

  Reference:
    Dou et al., "MetaRM: Shifted Distributions Alignment via Meta-Learning",
    arXiv:2405.00438.
  """
  checks.rank("metarm_difference", 2, scores=scores)
  (scores,) = numerics.to_float32(scores)
  if mask is None:
    mask = jnp.ones(scores.shape, bool)
  checks.same_shape("metarm_difference", scores=scores, mask=mask)
  kept = jnp.asarray(mask).astype(bool)
  scores = masking.replace(scores, kept)
  gap = numerics.tie_safe_abs(scores[:, :, None] - scores[:, None, :])
  k = scores.shape[1]
  upper = jnp.triu(jnp.ones((k, k), bool), 1)  # each pair once
  pair = kept[:, :, None] & kept[:, None, :] & upper[None]
  total = jnp.sum(jnp.where(pair, jax.nn.sigmoid(gap), 0.0), axis=(1, 2))
  number = jnp.sum(kept, axis=1).astype(scores.dtype)
  return 2 * total / jnp.square(jnp.maximum(number, 1))


def metarm_gradient(difference_fn, loss_fn, params, *, meta_lr=5e-6):
  """The gradient of a loss after a step that tells responses apart; no loss.

    params' = params + meta_lr * d difference / d params
    gradient = d loss / d params at params'

  Apply the gradient to params, not to params'. First order: the inner step
  is not differentiated.

  Args:
    difference_fn: params -> scalar to raise, such as the mean of
      `metarm_difference` on samples of the current policy.
    loss_fn: params -> scalar to lower, such as the mean of `bradley_terry`.
    params: any pytree of float arrays.
    meta_lr: step size of the inner ascent; in bfloat16 a small step may
      round away.

  Returns:
    (loss, gradients), both at params'.

  Raises:
    ValueError: meta_lr is negative.

  Limits:
    meta_lr=0 is the plain gradient; a small one adds meta_lr H dJ.

  Reference:
    Dou et al., "MetaRM: Shifted Distributions Alignment via Meta-Learning",
    arXiv:2405.00438.
  """
  checks.in_range("metarm_gradient", 0, meta_lr=meta_lr)
  ascent = jax.grad(difference_fn)(params)
  shifted = jax.tree.map(
    lambda p, g: (p + meta_lr * g).astype(jnp.result_type(p)), params, ascent
  )
  return jax.value_and_grad(loss_fn)(shifted)
