# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Distributions between two models."""

import jax
import jax.numpy as jnp

from prefjax.core import checks, numerics


def mixture_logits(logits, ref_logits, *, coef=0.5) -> jax.Array:
  """The geometric mixture of two models' next-token distributions.

    log p = log softmax( (1 - coef) log policy + coef log reference )

  Args:
    logits: [..., V], of the policy.
    ref_logits: [..., V], of the reference.
    coef: in [0, 1]; 0 is the policy, 1 the reference.

  Returns:
    [..., V] float32 log-probs. A token that a model with a share in the
    mixture forbids (-inf) is forbidden.

  Raises:
    ValueError: shapes differ or coef is out of range.

  Reference:
    Munos et al., "Nash Learning from Human Feedback", arXiv:2312.00886.
  """
  checks.in_range("mixture_logits", 0, 1, coef=coef)
  checks.same_shape("mixture_logits", logits=logits, ref_logits=ref_logits)
  logits, ref_logits = numerics.to_float32(logits, ref_logits)

  def share(weight, x):
    # 0 * -inf is NaN, but a model without a share forbids nothing.
    return jnp.where(weight == 0, 0.0, weight * x)

  mixed = share(1 - jnp.asarray(coef), logits) + share(
    jnp.asarray(coef), ref_logits
  )
  return jax.nn.log_softmax(mixed, axis=-1)
