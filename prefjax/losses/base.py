# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What every loss does first: check shapes, cast to float32, subtract.

Sign convention of the whole package, for sums over response tokens in nats:

  c = chosen_logps - ref_chosen_logps
  r = rejected_logps - ref_rejected_logps
  D = c - r
  u = logps - ref_logps          (one response with a label)
"""

import jax
import jax.numpy as jnp

from prefjax.core import checks, numerics


def log_ratios(
  function: str,
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
) -> tuple[jax.Array, jax.Array]:
  """(c, r): policy against reference for both responses, float32 [B]."""
  checks.same_shape(
    function,
    chosen_logps=chosen_logps,
    rejected_logps=rejected_logps,
    ref_chosen_logps=ref_chosen_logps,
    ref_rejected_logps=ref_rejected_logps,
  )
  chosen, rejected, ref_chosen, ref_rejected = numerics.to_float32(
    chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps
  )
  return chosen - ref_chosen, rejected - ref_rejected


def log_ratio(function: str, logps, ref_logps, **like) -> jax.Array:
  """u = logps - ref_logps, float32; `like` are arrays of the same shape."""
  checks.same_shape(function, logps=logps, ref_logps=ref_logps, **like)
  logps, ref_logps = numerics.to_float32(logps, ref_logps)
  return logps - ref_logps


def floats(function: str, /, **arrays) -> tuple[jax.Array, ...]:
  """Checks that the arrays share one shape and casts them to float32."""
  checks.same_shape(function, **arrays)
  return numerics.to_float32(*arrays.values())


def token_counts(function: str, like, /, **lengths) -> tuple[jax.Array, ...]:
  """Lengths as float32 of at least 1, checked against `like`'s shape.

  An empty response (truncated away) then divides by 1, not by 0.
  """
  shape = jnp.shape(like)
  for name, value in lengths.items():
    if jnp.shape(value) != shape:
      raise ValueError(
        f"{function}: {name} has shape {jnp.shape(value)}, expected"
        f" {shape} like the log-probs"
      )
  return tuple(
    jnp.maximum(jnp.asarray(value).astype(like.dtype), 1)
    for value in lengths.values()
  )


def masked_logits(
  function: str, mask, mask_name: str = "mask", **logits
) -> tuple[jax.Array, ...]:
  """Logits [..., V] in float32 with masked rows set to 0, then the mask.

  Masked positions may hold anything, NaN included; equal logits there give
  every distribution a finite value and gradient, which the caller drops.
  """
  shape = checks.same_shape(function, **logits)
  if jnp.shape(mask) != shape[:-1]:
    raise ValueError(
      f"{function}: {mask_name} has shape {jnp.shape(mask)}, expected"
      f" {shape[:-1]} for logits of shape {shape}"
    )
  kept = jnp.asarray(mask).astype(bool)
  arrays = numerics.to_float32(*logits.values())
  return *(jnp.where(kept[..., None], x, 0.0) for x in arrays), kept


def masked_tokens(
  function: str, mask, mask_name: str = "mask", **tokens
) -> tuple[jax.Array, ...]:
  """Token values [..., T] in float32 with masked ones set to 0, then mask."""
  checks.same_shape(function, **tokens, **{mask_name: mask})
  kept = jnp.asarray(mask).astype(bool)
  arrays = numerics.to_float32(*tokens.values())
  return *(jnp.where(kept, x, 0.0) for x in arrays), kept


def per_example(function: str, like, /, **values) -> tuple[jax.Array, ...]:
  """Keywords that are one number or one number an example, as floats."""
  shape = jnp.shape(like)
  for name, value in values.items():
    if jnp.shape(value) not in ((), shape):
      raise ValueError(
        f"{function}: {name} has shape {jnp.shape(value)}, expected () or"
        f" {shape}"
      )
  return tuple(
    jnp.asarray(value).astype(like.dtype) for value in values.values()
  )


def same_rows(function: str, /, **arrays) -> None:
  """Checks that token arrays [B, T] and [B, U] share their leading axes."""
  (first, like), *rest = arrays.items()
  for name, value in rest:
    if jnp.shape(value)[:-1] != jnp.shape(like)[:-1]:
      raise ValueError(
        f"{function}: {name} has shape {jnp.shape(value)}, expected"
        f" {jnp.shape(like)[:-1]} rows like {first} {jnp.shape(like)}"
      )


def vocab_kl(log_p, log_q) -> jax.Array:
  """KL(p || q) over the last axis, in nats.

  A token with p = 0 counts 0 whatever its log-probs, and passes no NaN into
  a gradient.
  """
  p = jnp.exp(log_p)
  possible = p > 0
  gap = jnp.where(possible, log_p, 0.0) - jnp.where(possible, log_q, 0.0)
  return jnp.sum(jnp.where(possible, p, 0.0) * gap, axis=-1)
