# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Losses that stay unbiased when labels are flipped at a known rate."""

import jax
import numpy as np

from prefjax.core import checks, numerics
from prefjax.losses import base


def _excess(function: str, like, epsilon) -> jax.Array:
  """e / (1 - 2 e), () or like `like`.

  In double precision where e is a number of the host: near 0.5 the rounding
  of e itself is what the quotient magnifies.
  """
  if not isinstance(epsilon, jax.Array):
    epsilon = np.asarray(epsilon, np.float64)
  base.per_example(function, like, epsilon=epsilon)
  (excess,) = base.per_example(
    function, like, excess=epsilon / (1 - 2 * epsilon)
  )
  return excess


def _unbiased(margin, excess) -> jax.Array:
  """((1 - e) L(h) - e L(-h)) / (1 - 2 e) for the logistic loss L.

  This is smoothing by the negative amount -e / (1 - 2 e), and so runs the
  very code of `dpo`; at e = 0 it is the same to the last bit.
  """
  return numerics.soft_log_sigmoid_loss(margin, -excess)


def rdpo(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  *,
  beta=0.1,
  epsilon=0.1,
) -> jax.Array:
  """Robust DPO: its mean over label flips is the clean DPO loss.

    h = beta D, L(h) = -log s(h)
    loss = ((1 - e) L(h) - e L(-h)) / (1 - 2 e)

  The loss is unbounded below and its gradient never vanishes: train for few
  epochs, clip gradients, and do not stop on its value.

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    beta: > 0, inverse temperature of the implicit reward.
    epsilon: e in [0, 0.5), probability that a label was flipped: a number,
      or [B] where it is known for each pair.

  Returns:
    [B] float32, not reduced, may be negative; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    epsilon=0 is `dpo` bit for bit; (1 - e) rdpo(pair) + e rdpo(swapped pair)
    is dpo(pair).

  Reference:
    Chowdhury, Kini and Natarajan, "Provably Robust DPO: Aligning Language
    Models with Noisy Feedback", arXiv:2403.00409.
  """
  checks.in_range("rdpo", 0, low_open=True, beta=beta)
  checks.in_range("rdpo", 0, 0.5, high_open=True, epsilon=epsilon)
  c, r = base.log_ratios(
    "rdpo", chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps
  )
  return _unbiased(beta * (c - r), _excess("rdpo", c, epsilon))


def rdpo_gradient_weight(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  *,
  beta=0.1,
  epsilon=0.1,
) -> jax.Array:
  """How hard `rdpo` pushes a pair, -d rdpo / d h; not a loss.

    weight = s(-h) + e / (1 - 2 e)

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    beta: > 0, inverse temperature of the implicit reward.
    epsilon: e in [0, 0.5), a number or [B].

  Returns:
    [B] float32, at least e / (1 - 2 e).

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    beta times it is minus the gradient of `rdpo` into chosen_logps.

  Reference:
    Chowdhury, Kini and Natarajan, "Provably Robust DPO: Aligning Language
    Models with Noisy Feedback", arXiv:2403.00409.
  """
  name = "rdpo_gradient_weight"
  checks.in_range(name, 0, low_open=True, beta=beta)
  checks.in_range(name, 0, 0.5, high_open=True, epsilon=epsilon)
  c, r = base.log_ratios(
    name, chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps
  )
  return jax.nn.sigmoid(-beta * (c - r)) + _excess(name, c, epsilon)


def robust_bt(chosen_rewards, rejected_rewards, *, epsilon=0.1) -> jax.Array:
  """Reward-model form of `rdpo`: Bradley-Terry under flipped labels.

    h = chosen_rewards - rejected_rewards
    loss = ((1 - e) L(h) - e L(-h)) / (1 - 2 e), L(h) = -log s(h)

  Args:
    chosen_rewards: [B], scores of the chosen responses.
    rejected_rewards: [B], scores of the rejected responses.
    epsilon: e in [0, 0.5), probability that a label was flipped: a number
      or [B].

  Returns:
    [B] float32, not reduced, may be negative; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    epsilon=0 is -log s(h).

  Reference:
    Chowdhury, Kini and Natarajan, "Provably Robust DPO: Aligning Language
    Models with Noisy Feedback", arXiv:2403.00409.
  """
  checks.in_range("robust_bt", 0, 0.5, high_open=True, epsilon=epsilon)
  chosen, rejected = base.floats(
    "robust_bt",
    chosen_rewards=chosen_rewards,
    rejected_rewards=rejected_rewards,
  )
  return _unbiased(chosen - rejected, _excess("robust_bt", chosen, epsilon))


def noise_corrected(losses, swapped_losses, *, epsilon=0.1) -> jax.Array:
  """The same correction for any pair loss; not a loss by itself.

    ((1 - e) loss(pair) - e loss(swapped pair)) / (1 - 2 e)

  Args:
    losses: [B], any loss of the pairs as labelled.
    swapped_losses: [B], the same loss with chosen and rejected swapped.
    epsilon: e in [0, 0.5), probability that a label was flipped: a number
      or [B].

  Returns:
    [B] float32, not reduced; its mean over flips is the clean loss.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    epsilon=0 is losses; with `dpo` it is `rdpo`.

  Reference:
    Natarajan et al., "Learning with Noisy Labels", NeurIPS 2013 (unbiased
    estimator), used in arXiv:2403.00409.
  """
  checks.in_range("noise_corrected", 0, 0.5, high_open=True, epsilon=epsilon)
  losses, swapped_losses = base.floats(
    "noise_corrected", losses=losses, swapped_losses=swapped_losses
  )
  excess = _excess("noise_corrected", losses, epsilon)
  return (1 + excess) * losses - excess * swapped_losses
