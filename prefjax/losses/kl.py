# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Estimates of the divergence to a reference from sampled tokens alone."""

import jax
import jax.numpy as jnp

from prefjax.core import checks, numerics
from prefjax.losses import base

KINDS = ("k1", "k2", "k3", "abs")

# Below it exp(x) - x - 1 cancels; the series then is exact in float32.
_SMALL = 0.25


def _exp_excess(x) -> jax.Array:
  """exp(x) - x - 1, never negative, exact near 0 too."""
  small = jnp.abs(x) < _SMALL
  near = jnp.where(small, x, 0.0)
  series = 1.0 + near / 7
  for n in (6, 5, 4, 3):
    series = 1.0 + near / n * series
  far = jnp.where(small, 1.0, x)
  return jnp.where(small, near * near / 2 * series, jnp.expm1(far) - far)


def kl_estimate(
  token_logps, ref_token_logps, *, kind="k1", clip=20.0
) -> jax.Array:
  """An estimate of KL(policy || reference) at each sampled token; no loss.

  With lr = ref - policy:

    k1 = -lr     k2 = lr^2 / 2     k3 = exp(lr) - lr - 1     abs = |lr|

  k1 and k3 have the divergence as their mean under the policy; k3 is never
  negative; k2 agrees with k3 to second order.

  Args:
    token_logps: [...], policy log-probs of sampled tokens, nats.
    ref_token_logps: [...], reference log-probs.
    kind: "k1", "k2", "k3" or "abs".
    clip: > 0, bound on |lr| in k3, beyond which there is no gradient.

  Returns:
    [...] float32 nats. As a loss term k3 has another gradient than the same
    estimate inside the reward.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Reference:
    Schulman, "Approximating KL Divergence", 2020; k3 as a loss: Shao et al.,
    "DeepSeekMath", arXiv:2402.03300, equation 4.
  """
  checks.one_of("kl_estimate", KINDS, kind=kind)
  checks.in_range("kl_estimate", 0, low_open=True, clip=clip)
  log_ratio = base.log_ratio("kl_estimate", ref_token_logps, token_logps)
  if kind == "k1":
    return -log_ratio
  if kind == "k2":
    return jnp.square(log_ratio) / 2
  if kind == "abs":
    return numerics.tie_safe_abs(log_ratio)
  return _exp_excess(jnp.clip(log_ratio, -clip, clip))
