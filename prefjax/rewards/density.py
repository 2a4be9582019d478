# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Density ratio of a strong and a weak model as a reward without training."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from prefjax.core import checks, numerics

_NORMALIZE = ("none", "tokens")
# Log-probs are held above it, so that two impossible texts are equal.
_FLOOR = -1e6


def density_ratio(
  strong_logps,
  weak_logps,
  strong_lengths=None,
  weak_lengths=None,
  *,
  normalize="none",
) -> jax.Array:
  """How much likelier a response is under the stronger model.

    log pi_strong(y | x) - log pi_weak(y | x)

  With a strong model tuned from the weak one it is DPO's implicit reward, up
  to scale and a constant of the prompt.

  Args:
    strong_logps: [...], log-probs of the responses under the strong model,
      summed nats.
    weak_logps: [...], under the weak model, with its own tokenizer.
    strong_lengths: [...] or None, tokens of the strong model's tokenizer.
    weak_lengths: [...] or None, of the weak one's; None takes the strong
      lengths.
    normalize: "none", or "tokens": each log-prob per token.

  Returns:
    [...] float32; 0 for equal models.

  Raises:
    ValueError: shapes differ, or "tokens" without strong_lengths.

  Reference:
    "Dr. SoW: Density Ratio of Strong-over-weak LLMs for Reducing the Cost
    of Human Annotation in Preference Tuning", arXiv:2411.02481.
  """
  checks.one_of("density_ratio", _NORMALIZE, normalize=normalize)
  checks.same_shape(
    "density_ratio",
    strong_logps=strong_logps,
    weak_logps=weak_logps,
    strong_lengths=strong_lengths,
    weak_lengths=weak_lengths,
  )
  strong, weak = (
    jnp.maximum(x, _FLOOR)
    for x in numerics.to_float32(strong_logps, weak_logps)
  )
  if normalize == "none":
    return strong - weak
  if strong_lengths is None:
    raise ValueError("density_ratio: normalize='tokens' needs strong_lengths")
  if weak_lengths is None:
    weak_lengths = strong_lengths
  strong_lengths, weak_lengths = (
    jnp.maximum(jnp.asarray(n).astype(strong.dtype), 1)
    for n in (strong_lengths, weak_lengths)
  )
  return strong / strong_lengths - weak / weak_lengths


def parse_domain(
  *,
  text: str,
  domains: Sequence[str] = ("SAFETY", "REASONING", "CHAT"),
  default: str = "CHAT",
) -> str:
  """The domain that a router named between [START] and [END].

  Args:
    text: the router's reply.
    domains: what it may name.
    default: for a reply without a domain.

  Returns:
    One of domains, or the default.
  """
  _, found, rest = text.partition("[START]")
  label, closed, _ = rest.partition("[END]")
  label = label.strip()
  return label if found and closed and label in domains else default
