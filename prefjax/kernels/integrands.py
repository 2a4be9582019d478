# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Ready-made integrands for `vocab_sum`.

An integrand maps the log-probs that m models give the same tokens to a
summand, elementwise and at any shape. All of these stay finite, with a
finite gradient, where a token is impossible under a model that weighs it
(log-prob -inf): 0 log 0 = 0.

Argument order is (policy, reference) or (student, teacher) throughout.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from prefjax.core import checks


def _weighted(logp, value) -> jax.Array:
  """exp(logp) * value, 0 where the probability is 0."""
  possible = jnp.exp(logp) > 0
  weight = jnp.where(possible, jnp.exp(jnp.where(possible, logp, 0.0)), 0.0)
  return weight * jnp.where(possible, value, 0.0)


def _kl(first, second) -> jax.Array:
  possible = jnp.exp(first) > 0
  gap = jnp.where(possible, first, 0.0) - jnp.where(possible, second, 0.0)
  return _weighted(first, gap)


def forward_kl(policy, reference) -> jax.Array:
  """KL(reference || policy): what distillation and TDPO's sequential KL sum."""
  return _kl(reference, policy)


def reverse_kl(policy, reference) -> jax.Array:
  """KL(policy || reference): the penalty of KL-regularised RL."""
  return _kl(policy, reference)


def jsd(beta: float = 0.5) -> Callable[..., jax.Array]:
  """Generalised Jensen-Shannon divergence between student and teacher.

  beta KL(teacher || M) + (1 - beta) KL(student || M) with
  M = beta teacher + (1 - beta) student. Divided by beta it tends to the
  forward KL as beta goes to 0, by 1 - beta to the reverse KL as it goes to 1.

  Args:
    beta: weight of the teacher, strictly between 0 and 1.

  Returns:
    integrand of (student, teacher) log-probs.

  Raises:
    ValueError: beta is outside (0, 1).

  Reference: Agarwal et al., On-Policy Distillation of Language Models,
    arXiv 2306.13649, equation 1.
  """
  checks.in_range("jsd", 0.0, 1.0, low_open=True, high_open=True, beta=beta)

  def integrand(student, teacher):
    # -inf in both would make logaddexp's gradient NaN.
    lowest = jnp.finfo(student.dtype).min / 4
    student = jnp.maximum(student, lowest)
    teacher = jnp.maximum(teacher, lowest)
    mixture = jnp.logaddexp(teacher + jnp.log(beta), student + jnp.log1p(-beta))
    return beta * _kl(teacher, mixture) + (1 - beta) * _kl(student, mixture)

  return integrand


def expected_advantage(policy, aligned, reference) -> jax.Array:
  """policy * (log aligned - log reference), the token advantage of ADPA.

  Times beta its sum is the expectation under the policy of the optimal
  advantage beta (log pi_aligned - log pi_reference).
  """
  return _weighted(policy, aligned - reference)


def entropy(policy) -> jax.Array:
  """-p log p."""
  possible = jnp.exp(policy) > 0
  return -_weighted(policy, jnp.where(possible, policy, 0.0))


def log_collision(policy) -> jax.Array:
  """2 log p; with reduce="logsumexp", log sum_v p_v^2 (WPO)."""
  return 2.0 * policy


def difference(first, second) -> jax.Array:
  """log p - log q.

  With reduce="logsumexp", `at_target - total` is the log-softmax of the
  difference of two models' logits at the target (NextQuill's causal effect,
  contrastive decoding): the softmax does not see each row's constant.
  """
  return first - second
