# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Losses that compare prompts: what an added instruction should change.

MAPL: one response under two prompts that it satisfies to different degrees
(intra), and how a pair's margin should move when instructions are added
(inter).
"""

import jax
import jax.numpy as jnp

from prefjax.core import checks, numerics
from prefjax.losses import base


def mapl_intra_rm(better_rewards, worse_rewards) -> jax.Array:
  """Bradley-Terry between two prompts for one response.

    loss = -log s(better_rewards - worse_rewards)

  Args:
    better_rewards: [B], score of the response under the prompt that it
      satisfies more.
    worse_rewards: [B], score of the same response under the other prompt.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ.

  Limits:
    log 2 for equal scores.

  Reference:
    "Multi-Level Aware Preference Learning: Enhancing RLHF for Complex
    Multi-Instruction Tasks", arXiv:2505.12845 (intra-sample loss; the
    response-conditioned Bradley-Terry model of arXiv:2502.00814).
  """
  better, worse = base.floats(
    "mapl_intra_rm",
    better_rewards=better_rewards,
    worse_rewards=worse_rewards,
  )
  return -jax.nn.log_sigmoid(better - worse)


def mapl_intra_dpo(
  better_logps, worse_logps, ref_better_logps, ref_worse_logps, *, beta=0.1
) -> jax.Array:
  """Implicit-reward form of `mapl_intra_rm`.

    loss = -log s(beta [(better - ref_better) - (worse - ref_worse)])

  The two prompts' log-partition functions do not cancel and are dropped:
  an approximation of the method.

  Args:
    better_logps: [B], policy log-prob of the response under the prompt that
      it satisfies more, summed nats.
    worse_logps: [B], the same response under the other prompt.
    ref_better_logps: [B], reference log-prob under the first prompt.
    ref_worse_logps: [B], reference log-prob under the second prompt.
    beta: > 0, inverse temperature of the implicit reward.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    `dpo` of its four arrays.

  Reference:
    "Multi-Level Aware Preference Learning: Enhancing RLHF for Complex
    Multi-Instruction Tasks", arXiv:2505.12845 (intra-sample loss).
  """
  name = "mapl_intra_dpo"
  checks.in_range(name, 0, low_open=True, beta=beta)
  better, worse, ref_better, ref_worse = base.floats(
    name,
    better_logps=better_logps,
    worse_logps=worse_logps,
    ref_better_logps=ref_better_logps,
    ref_worse_logps=ref_worse_logps,
  )
  margin = (better - ref_better) - (worse - ref_worse)
  return -jax.nn.log_sigmoid(beta * margin)


def _inter(aug_margin, margin, direction, stop_gradient_original):
  """0, without gradient, where the direction is 0."""
  if stop_gradient_original:
    margin = jax.lax.stop_gradient(margin)
  sign = jnp.sign(jnp.asarray(direction).astype(aug_margin.dtype))
  decided = sign != 0
  change = jnp.where(decided, aug_margin - margin, 0.0)
  return jnp.where(decided, -jax.nn.log_sigmoid(sign * change), 0.0)


def mapl_inter_rm(
  aug_chosen_rewards,
  aug_rejected_rewards,
  chosen_rewards,
  rejected_rewards,
  direction,
  *,
  stop_gradient_original=False,
) -> jax.Array:
  """How a pair's score gap should move when instructions are added.

    loss = -log s(direction * [(aug_chosen - aug_rejected)
                               - (chosen - rejected)])

  Args:
    aug_chosen_rewards: [B], score of the chosen response under the prompt
      with instructions added.
    aug_rejected_rewards: [B], the same of the rejected response.
    chosen_rewards: [B], score of the chosen response, original prompt.
    rejected_rewards: [B], score of the rejected response, original prompt.
    direction: [B], +1 where the chosen response satisfies the additions
      more, -1 where the rejected one does, 0 where neither (the row may
      then hold anything).
    stop_gradient_original: whether the original gap is a constant.

  Returns:
    [B] float32, not reduced; exactly 0 where direction is 0.

  Raises:
    ValueError: shapes differ.

  Limits:
    With an original gap of 0 and direction 1 it is Bradley-Terry on the
    augmented pair.

  Reference:
    "Multi-Level Aware Preference Learning: Enhancing RLHF for Complex
    Multi-Instruction Tasks", arXiv:2505.12845 (inter-sample loss, in our
    reconstruction: the paper's formula was not available to us).
  """
  name = "mapl_inter_rm"
  checks.same_shape(
    name, aug_chosen_rewards=aug_chosen_rewards, direction=direction
  )
  aug_chosen, aug_rejected, chosen, rejected = base.floats(
    name,
    aug_chosen_rewards=aug_chosen_rewards,
    aug_rejected_rewards=aug_rejected_rewards,
    chosen_rewards=chosen_rewards,
    rejected_rewards=rejected_rewards,
  )
  return _inter(
    aug_chosen - aug_rejected,
    chosen - rejected,
    direction,
    stop_gradient_original,
  )


def mapl_inter_dpo(
  aug_chosen_logps,
  aug_rejected_logps,
  ref_aug_chosen_logps,
  ref_aug_rejected_logps,
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  direction,
  *,
  beta=0.1,
  stop_gradient_original=False,
) -> jax.Array:
  """Implicit-reward form of `mapl_inter_rm`.

    loss = -log s(direction * beta [D(augmented prompt) - D(prompt)])

  Each margin compares two responses under one prompt, so the partition
  functions cancel.

  Args:
    aug_chosen_logps: [B], policy log-prob of the chosen response under the
      prompt with instructions added, summed nats.
    aug_rejected_logps: [B], the same of the rejected response.
    ref_aug_chosen_logps: [B], reference log-prob of the first.
    ref_aug_rejected_logps: [B], reference log-prob of the second.
    chosen_logps: [B], policy log-prob of the chosen response, original
      prompt.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    direction: [B], +1, -1 or 0 as in `mapl_inter_rm`.
    beta: > 0, inverse temperature of the implicit reward.
    stop_gradient_original: whether the original margin is a constant.

  Returns:
    [B] float32, not reduced; exactly 0 where direction is 0.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    With an original margin of 0 and direction 1 it is `dpo` on the
    augmented pair.

  Reference:
    "Multi-Level Aware Preference Learning: Enhancing RLHF for Complex
    Multi-Instruction Tasks", arXiv:2505.12845 (inter-sample loss, in our
    reconstruction: the paper's formula was not available to us).
  """
  name = "mapl_inter_dpo"
  checks.in_range(name, 0, low_open=True, beta=beta)
  arrays = {
    "aug_chosen_logps": aug_chosen_logps,
    "aug_rejected_logps": aug_rejected_logps,
    "ref_aug_chosen_logps": ref_aug_chosen_logps,
    "ref_aug_rejected_logps": ref_aug_rejected_logps,
    "chosen_logps": chosen_logps,
    "rejected_logps": rejected_logps,
    "ref_chosen_logps": ref_chosen_logps,
    "ref_rejected_logps": ref_rejected_logps,
  }
  checks.same_shape(name, **arrays, direction=direction)
  (aug_chosen, aug_rejected, ref_aug_chosen, ref_aug_rejected, *original) = (
    numerics.to_float32(*arrays.values())
  )
  chosen, rejected, ref_chosen, ref_rejected = original
  aug_margin = (aug_chosen - ref_aug_chosen) - (aug_rejected - ref_aug_rejected)
  margin = (chosen - ref_chosen) - (rejected - ref_rejected)
  return _inter(
    beta * aug_margin, beta * margin, direction, stop_gradient_original
  )
