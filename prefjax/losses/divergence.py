# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Other divergences to the reference: f-DPO and token-level KL control."""

import jax
import jax.numpy as jnp

from prefjax.core import checks, masking
from prefjax.losses import base

# exp of more than this is held: float32 ends at exp(88).
_LARGEST_EXPONENT = 80.0
_DIVERGENCES = ("reverse_kl", "forward_kl", "js", "alpha")


def _capped_exp(x: jax.Array) -> jax.Array:
  return jnp.exp(jnp.minimum(x, _LARGEST_EXPONENT))


def _reward_gap(c: jax.Array, r: jax.Array, divergence: str, alpha):
  """f'(c) - f'(r) of two log-ratios."""
  if divergence == "reverse_kl":
    return c - r
  if divergence == "forward_kl":
    return _capped_exp(-r) - _capped_exp(-c)
  if divergence == "js":
    return jax.nn.log_sigmoid(c) - jax.nn.log_sigmoid(r)

  # expm1 keeps precision as alpha goes to 0. Where both sides are held their
  # difference is 0, and stays it: alpha divides afterwards, or a compiler may
  # fuse one side's product into the difference and leave its rounding.
  def side(u):
    return jnp.expm1(jnp.minimum(-alpha * u, _LARGEST_EXPONENT))

  return (side(r) - side(c)) / alpha


def f_dpo(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  *,
  beta=0.1,
  divergence="reverse_kl",
  alpha=0.5,
) -> jax.Array:
  """DPO whose regulariser is another f-divergence to the reference.

    loss = -log s(beta (g(c) - g(r)))
    g(u) = u                      "reverse_kl"
           -exp(-u)               "forward_kl"
           log s(u)               "js"
           -exp(-alpha u) / alpha "alpha" (plus a constant)

  Exponents are held at 80, beyond which there is no gradient.

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    beta: > 0, strength of the regulariser.
    divergence: "reverse_kl", "forward_kl", "js" or "alpha".
    alpha: in (0, 1], read by "alpha" only. Other code may write 1 - alpha.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    "reverse_kl" is `dpo`; "alpha" goes to it as alpha goes to 0 and is
    "forward_kl" at alpha=1.

  Reference:
    Wang et al., "Beyond Reverse KL: Generalizing Direct Preference
    Optimization with Diverse Divergence Constraints", arXiv:2309.16240.
  """
  checks.in_range("f_dpo", 0, low_open=True, beta=beta)
  checks.in_range("f_dpo", 0, 1, low_open=True, alpha=alpha)
  checks.one_of("f_dpo", _DIVERGENCES, divergence=divergence)
  c, r = base.log_ratios(
    "f_dpo", chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps
  )
  gap = _reward_gap(c, r, divergence, alpha)
  return -jax.nn.log_sigmoid(beta * gap)


def tdpo(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  chosen_kl,
  rejected_kl,
  *,
  beta=0.1,
  alpha=0.5,
  variant=2,
) -> jax.Array:
  """Token-level DPO: the margin less a difference of sequential KLs.

    loss = -log s(beta (D - a (rejected_kl - chosen_kl)))

  Variant 2 takes a = alpha and no gradient into chosen_kl; variant 1 takes
  a = 1 and both gradients.

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    chosen_kl: [B], sum over the chosen response's tokens of KL(reference
      || policy), nats, from `sequential_kl`.
    rejected_kl: [B], the same along the rejected response.
    beta: > 0, inverse temperature of the implicit reward.
    alpha: weight of the KL difference in variant 2; variant 1 ignores it.
    variant: 1 or 2.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    Equal KLs give `dpo`.

  Reference:
    Zeng et al., "Token-level Direct Preference Optimization",
    arXiv:2404.11999.
  """
  checks.in_range("tdpo", 0, low_open=True, beta=beta)
  checks.one_of("tdpo", (1, 2), variant=variant)
  c, r = base.log_ratios(
    "tdpo", chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps
  )
  _, chosen_kl, rejected_kl = base.floats(
    "tdpo",
    chosen_logps=chosen_logps,
    chosen_kl=chosen_kl,
    rejected_kl=rejected_kl,
  )
  if variant == 1:
    excess = rejected_kl - chosen_kl
  else:
    excess = alpha * (rejected_kl - jax.lax.stop_gradient(chosen_kl))
  return -jax.nn.log_sigmoid(beta * (c - r - excess))


def sequential_kl(logits, ref_logits, mask) -> jax.Array:
  """Sum over tokens of KL(reference || policy); not a loss by itself.

    sum_t sum_v ref_tv (log ref_tv - log pi_tv)

  Whole-vocabulary arrays: for large vocabularies use the tiled sums of
  `prefjax.kernels`, which give the same number.

  Args:
    logits: [B, T, V], policy logits that predict response token t.
    ref_logits: [B, T, V], reference logits.
    mask: [B, T], which tokens count; others may hold anything.

  Returns:
    [B] float32 nats, >= 0.

  Raises:
    ValueError: shapes differ.

  Limits:
    0 for equal distributions; constants added to logits change nothing.

  Reference:
    Zeng et al., "Token-level Direct Preference Optimization",
    arXiv:2404.11999 (sequential KL divergence).
  """
  logits, ref_logits, kept = base.masked_logits(
    "sequential_kl", mask, logits=logits, ref_logits=ref_logits
  )
  log_policy = jax.nn.log_softmax(logits, axis=-1)
  log_ref = jax.nn.log_softmax(ref_logits, axis=-1)
  token_kl = base.vocab_kl(log_ref, log_policy)  # [B, T]
  return masking.masked_sum(token_kl, kept, axis=-1)
