# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Losses that also anchor each response on its own, not the margin alone.

They say where the chosen and the rejected log-ratio should go, and so keep
the chosen response from losing probability along with the rejected one.
"""

import jax
import jax.numpy as jnp

from prefjax.core import checks
from prefjax.losses import base


def nca_pair(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  *,
  beta=0.01,
) -> jax.Array:
  """Noise contrastive alignment of a pair.

    loss = -log s(beta c) - 0.5 log s(-beta c) - 0.5 log s(-beta r)

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    beta: > 0, inverse temperature of the implicit reward.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    No gradient into the chosen response at beta c = log 2: its log-ratio
    has a finite goal.

  Reference:
    Chen et al., "Noise Contrastive Alignment of Language Models with
    Explicit Rewards", arXiv:2402.05369.
  """
  checks.in_range("nca_pair", 0, low_open=True, beta=beta)
  c, r = base.log_ratios(
    "nca_pair",
    chosen_logps,
    rejected_logps,
    ref_chosen_logps,
    ref_rejected_logps,
  )
  return (
    -jax.nn.log_sigmoid(beta * c)
    - 0.5 * jax.nn.log_sigmoid(-beta * c)
    - 0.5 * jax.nn.log_sigmoid(-beta * r)
  )


def bco_pair(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  *,
  beta=0.01,
  delta=0.0,
) -> jax.Array:
  """Binary classifier optimisation: chosen above, rejected below a shift.

    loss = -log s(beta c - delta) - log s(-(beta r - delta))

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    beta: > 0, inverse temperature of the implicit reward.
    delta: [] or number, reward shift: the running mean of all implicit
      rewards, updated by `running_mean_update` with the current batch
      before use; no gradient flows into it.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    delta=0 is -log s(beta c) - log s(-beta r).

  Reference:
    Jung et al., "Binary Classifier Optimization for Large Language Model
    Alignment", arXiv:2404.04656.
  """
  checks.in_range("bco_pair", 0, low_open=True, beta=beta)
  c, r = base.log_ratios(
    "bco_pair",
    chosen_logps,
    rejected_logps,
    ref_chosen_logps,
    ref_rejected_logps,
  )
  shift = jax.lax.stop_gradient(jnp.asarray(delta, c.dtype))
  return -jax.nn.log_sigmoid(beta * c - shift) - jax.nn.log_sigmoid(
    shift - beta * r
  )


def sppo_hard(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  *,
  beta=0.001,
) -> jax.Array:
  """Self-play preference optimisation with hard labels.

    loss = (c - 0.5 / beta)^2 + (r + 0.5 / beta)^2

  Large by design: the log-ratios are pulled to +-500 nats at beta=0.001.

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    beta: > 0; the log-ratios aim at +-0.5 / beta.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    0.5 / beta^2 at the reference; 0 at c = -r = 0.5 / beta.

  Reference:
    Wu et al., "Self-Play Preference Optimization for Language Model
    Alignment", arXiv:2405.00675.
  """
  checks.in_range("sppo_hard", 0, low_open=True, beta=beta)
  c, r = base.log_ratios(
    "sppo_hard",
    chosen_logps,
    rejected_logps,
    ref_chosen_logps,
    ref_rejected_logps,
  )
  goal = 0.5 / beta
  return jnp.square(c - goal) + jnp.square(r + goal)


def apo_zero(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  *,
  beta=0.1,
) -> jax.Array:
  """Anchored preference optimisation for chosen better than the model.

    loss = s(-beta c) + s(beta r)

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    beta: > 0, inverse temperature of the implicit reward.

  Returns:
    [B] float32 in [0, 2], not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    1 at the reference; values at (c, r) and (-c, -r) sum to 2.

  Reference:
    D'Oosterlinck et al., "Anchored Preference Optimization and Contrastive
    Revisions: Addressing Underspecification in Alignment",
    arXiv:2408.06266.
  """
  checks.in_range("apo_zero", 0, low_open=True, beta=beta)
  c, r = base.log_ratios(
    "apo_zero",
    chosen_logps,
    rejected_logps,
    ref_chosen_logps,
    ref_rejected_logps,
  )
  return jax.nn.sigmoid(-beta * c) + jax.nn.sigmoid(beta * r)


def apo_down(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  *,
  beta=0.1,
) -> jax.Array:
  """Anchored preference optimisation for chosen worse than the model.

    loss = s(beta c) + s(-beta D)

  Pushes the chosen response down on purpose, and the rejected one further:
  use it only where the model's own outputs are better than both.

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    beta: > 0, inverse temperature of the implicit reward.

  Returns:
    [B] float32 in [0, 2], not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    1 at the reference, where only the rejected response has a gradient.

  Reference:
    D'Oosterlinck et al., "Anchored Preference Optimization and Contrastive
    Revisions: Addressing Underspecification in Alignment",
    arXiv:2408.06266.
  """
  checks.in_range("apo_down", 0, low_open=True, beta=beta)
  c, r = base.log_ratios(
    "apo_down",
    chosen_logps,
    rejected_logps,
    ref_chosen_logps,
    ref_rejected_logps,
  )
  return jax.nn.sigmoid(beta * c) + jax.nn.sigmoid(-beta * (c - r))


def cal_dpo(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  *,
  beta=0.001,
  calibration_weight=0.5,
) -> jax.Array:
  """Calibrated DPO: a margin loss plus set values of both log-ratios.

    loss = -log s(D)
           + calibration_weight [(c - 1/(2 beta))^2 + (r + 1/(2 beta))^2]

  There is no beta inside the sigmoid, as in the published code.

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    beta: > 0; the log-ratios aim at +-1 / (2 beta).
    calibration_weight: >= 0.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    calibration_weight=0 is `dpo` at beta 1.

  Reference:
    Xiao et al., "Cal-DPO: Calibrated Direct Preference Optimization for
    Language Model Alignment", arXiv:2412.14516.
  """
  checks.in_range("cal_dpo", 0, low_open=True, beta=beta)
  checks.in_range("cal_dpo", 0, calibration_weight=calibration_weight)
  c, r = base.log_ratios(
    "cal_dpo",
    chosen_logps,
    rejected_logps,
    ref_chosen_logps,
    ref_rejected_logps,
  )
  goal = 1 / (2 * beta)
  calibration = jnp.square(c - goal) + jnp.square(r + goal)
  return -jax.nn.log_sigmoid(c - r) + calibration_weight * calibration


def dpop(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  *,
  beta=0.3,
  lam=50.0,
) -> jax.Array:
  """DPO-positive: a penalty once the chosen response loses probability.

    loss = -log s(beta (D - lam max(0, -c)))

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    beta: > 0, inverse temperature of the implicit reward.
    lam: >= 0, price of each nat that the chosen response falls below the
      reference.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    lam=0, or c >= 0, is `dpo`.

  Reference:
    Pal et al., "Smaug: Fixing Failure Modes of Preference Optimisation with
    DPO-Positive", arXiv:2402.13228.
  """
  checks.in_range("dpop", 0, low_open=True, beta=beta)
  checks.in_range("dpop", 0, lam=lam)
  c, r = base.log_ratios(
    "dpop", chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps
  )
  return -jax.nn.log_sigmoid(beta * (c - r - lam * jax.nn.relu(-c)))
