# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The specification: plain jnp over full logits, differentiated by JAX.

Every other implementation must match these few lines. It is also the
quickest choice where N * V is tiny, and the one to use under forward-mode
differentiation, which a custom gradient does not allow.
"""

import jax
import jax.numpy as jnp

from prefjax.kernels import problem as problem_lib


def log_softmax(z) -> tuple[jax.Array, jax.Array]:
  """Log-probabilities [N, V] and logsumexp [N] of logits [N, V]."""
  top = jax.lax.stop_gradient(jnp.max(z, axis=-1))  # [N]
  shifted = z - top[:, None]
  log_sum = jnp.log(jnp.sum(jnp.exp(shifted), axis=-1))
  return shifted - log_sum[:, None], top + log_sum


def token_stats(problem: problem_lib.Problem, x, weight, bias, targets):
  """Log-prob of the target, logsumexp and entropy of each row.

  Args:
    problem: static options.
    x: [N, D] hidden states.
    weight: [D, V] or [V, D].
    bias: [V] or None.
    targets: int32 [N]; the answer for an id outside 0 .. V - 1 is NaN.

  Returns:
    logps [N], logsumexp [N], entropy [N] (None unless asked for), in nats.
  """
  z = problem_lib.logits(problem, x, weight, bias)  # [N, V]
  logp, logsumexp = log_softmax(z)
  vocab = z.shape[-1]
  index = jnp.clip(targets, 0, vocab - 1)[:, None]
  logps = jnp.take_along_axis(logp, index, axis=-1)[:, 0]
  logps = jnp.where((targets >= 0) & (targets < vocab), logps, jnp.nan)
  entropy = None
  if problem.entropy:
    # A token of probability 0 adds 0, although its log-prob may be -inf.
    possible = jnp.exp(logp) > 0
    safe = jnp.where(possible, logp, 0.0)
    entropy = -jnp.sum(jnp.where(possible, jnp.exp(safe) * safe, 0.0), axis=-1)
  return logps, logsumexp, entropy


def vocab_totals(integrand, reduce, problems, xs, weights, biases, targets):
  """Totals [k][N] and target log-probs [m][N] over the whole vocabulary.

  Args:
    integrand: m arrays -> tuple of k arrays, elementwise.
    reduce: "sum" or "logsumexp".
    problems: per stream static options.
    xs, weights, biases: per stream.
    targets: int32 [N], inside the vocabulary.
  """
  logps = []
  for problem, x, w, b in zip(problems, xs, weights, biases, strict=True):
    logps.append(log_softmax(problem_lib.logits(problem, x, w, b))[0])
  values = integrand(*logps)  # k of [N, V]
  if reduce == "sum":
    totals = tuple(jnp.sum(v, axis=-1) for v in values)
  else:
    totals = tuple(jax.nn.logsumexp(v, axis=-1) for v in values)
  at_target = tuple(
    jnp.take_along_axis(lp, targets[:, None], axis=-1)[:, 0] for lp in logps
  )
  return totals, at_target
