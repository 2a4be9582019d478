# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Losses that need no reference model."""

import jax
import jax.numpy as jnp

from prefjax.core import checks, numerics
from prefjax.losses import base

# Keeps log(1 - p) finite when a response is (numerically) certain.
_LARGEST_MEAN_LOGP = -1e-6


def nll(logps, lengths) -> jax.Array:
  """Negative log-likelihood per token of one response (SFT, auxiliaries).

    loss = -logps / max(lengths, 1)

  Args:
    logps: [B], log-prob of the response, summed nats.
    lengths: [B], counted tokens of the response.

  Returns:
    [B] float32 nats per token, not reduced; lower is better. For a mean over
    all tokens of a batch, weight each example by its length.

  Raises:
    ValueError: shapes differ.

  Limits:
    An empty response gives -logps, which is 0 for an empty sum.

  Reference:
    Maximum likelihood; the auxiliary of most methods here.
  """
  (logps,) = numerics.to_float32(logps)
  (count,) = base.token_counts("nll", logps, lengths=lengths)
  return -logps / count


def slic(chosen_logps, rejected_logps, *, delta=1.0, beta=1.0) -> jax.Array:
  """Sequence likelihood calibration: a hinge on the log-prob difference.

    loss = max(0, delta - beta (chosen_logps - rejected_logps))

  The published method adds lambda * NLL of a target: mix in `nll`.

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    delta: >= 0, margin asked for (in units of beta * nats).
    beta: > 0, scale of the difference.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    delta=1 is `hinge` with zero reference log-probs.

  Reference:
    Zhao et al., "SLiC-HF: Sequence Likelihood Calibration with Human
    Feedback", arXiv:2305.10425, rank calibration loss.
  """
  checks.in_range("slic", 0, delta=delta)
  checks.in_range("slic", 0, low_open=True, beta=beta)
  chosen, rejected = base.floats(
    "slic", chosen_logps=chosen_logps, rejected_logps=rejected_logps
  )
  return jax.nn.relu(delta - beta * (chosen - rejected))


def simpo(
  chosen_logps,
  rejected_logps,
  chosen_lengths,
  rejected_lengths,
  *,
  beta=2.5,
  gamma=1.375,
  label_smoothing=0.0,
) -> jax.Array:
  """SimPO: per-token log-prob as reward, with a target margin.

    m = beta (chosen / |w| - rejected / |l|) - gamma
    loss = -(1 - e) log s(m) - e log s(-m)

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    chosen_lengths: [B], |w|, counted tokens of the chosen response.
    rejected_lengths: [B], |l|, counted tokens of the rejected response.
    beta: > 0, scale of the per-token reward.
    gamma: target margin in reward units, that is, after beta (the default is
      gamma / beta = 0.55).
    label_smoothing: e in [0, 0.5].

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    gamma=0 with both lengths n is reference-free `dpo` at beta / n.

  Reference:
    Meng, Xia and Chen, "SimPO: Simple Preference Optimization with a
    Reference-Free Reward", arXiv:2405.14734, Eq. 6.
  """
  checks.in_range("simpo", 0, low_open=True, beta=beta)
  checks.in_range("simpo", 0, 0.5, label_smoothing=label_smoothing)
  chosen, rejected = base.floats(
    "simpo", chosen_logps=chosen_logps, rejected_logps=rejected_logps
  )
  chosen_count, rejected_count = base.token_counts(
    "simpo",
    chosen,
    chosen_lengths=chosen_lengths,
    rejected_lengths=rejected_lengths,
  )
  gap = chosen / chosen_count - rejected / rejected_count
  return numerics.soft_log_sigmoid_loss(beta * gap - gamma, label_smoothing)


def cpo(
  chosen_logps,
  rejected_logps,
  chosen_lengths,
  *,
  beta=0.1,
  alpha=1.0,
  label_smoothing=0.0,
) -> jax.Array:
  """Contrastive preference optimisation: reference-free DPO plus NLL.

    m = beta (chosen - rejected)
    loss = -(1 - e) log s(m) - e log s(-m) + alpha nll(chosen)

  The likelihood term is per token of each example; some code averages it
  over all tokens of the batch instead.

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    chosen_lengths: [B], counted tokens of the chosen response.
    beta: > 0, scale of the margin.
    alpha: >= 0, weight of the likelihood term.
    label_smoothing: e in [0, 0.5].

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    alpha=0 is `dpo` with zero reference log-probs.

  Reference:
    Xu et al., "Contrastive Preference Optimization: Pushing the Boundaries
    of LLM Performance in Machine Translation", arXiv:2401.08417.
  """
  checks.in_range("cpo", 0, low_open=True, beta=beta)
  checks.in_range("cpo", 0, alpha=alpha)
  checks.in_range("cpo", 0, 0.5, label_smoothing=label_smoothing)
  chosen, rejected = base.floats(
    "cpo", chosen_logps=chosen_logps, rejected_logps=rejected_logps
  )
  (count,) = base.token_counts("cpo", chosen, chosen_lengths=chosen_lengths)
  preference = numerics.soft_log_sigmoid_loss(
    beta * (chosen - rejected), label_smoothing
  )
  return preference - alpha * chosen / count


def orpo(
  chosen_logps,
  rejected_logps,
  chosen_lengths,
  rejected_lengths,
  *,
  beta=0.1,
) -> jax.Array:
  """Odds-ratio preference optimisation: NLL plus a log odds ratio.

    a = chosen / |w|, b = rejected / |l|       (both at most -1e-6)
    o = (a - log(1 - e^a)) - (b - log(1 - e^b))
    loss = nll(chosen) - beta log s(o)

  The published code takes the likelihood over prompt and response; this is
  over the response only.

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    chosen_lengths: [B], |w|, counted tokens of the chosen response.
    rejected_lengths: [B], |l|, counted tokens of the rejected response.
    beta: >= 0, weight of the odds-ratio term (the paper's lambda).

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    beta=0 is `nll` of the chosen response.

  Reference:
    Hong, Lee and Thorne, "ORPO: Monolithic Preference Optimization without
    Reference Model", arXiv:2403.07691, Eqs. 6 and 7.
  """
  checks.in_range("orpo", 0, beta=beta)
  chosen, rejected = base.floats(
    "orpo", chosen_logps=chosen_logps, rejected_logps=rejected_logps
  )
  chosen_count, rejected_count = base.token_counts(
    "orpo",
    chosen,
    chosen_lengths=chosen_lengths,
    rejected_lengths=rejected_lengths,
  )

  def log_odds(mean_logp):
    mean_logp = jnp.minimum(mean_logp, _LARGEST_MEAN_LOGP)
    return mean_logp - numerics.log1mexp(mean_logp)

  likelihood = -chosen / chosen_count
  odds_ratio = log_odds(chosen / chosen_count) - log_odds(
    rejected / rejected_count
  )
  return likelihood - beta * jax.nn.log_sigmoid(odds_ratio)
