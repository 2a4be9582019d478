# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Rewards and penalties that depend on the length of a response."""

import jax
import jax.numpy as jnp

from prefjax.core import numerics


def overlong_penalty(lengths, *, max_length=20480, cache=4096) -> jax.Array:
  """A soft penalty on responses that come close to the limit.

    0 up to max_length - cache, then falling evenly to -1 at max_length, and
    -1 beyond.

  Args:
    lengths: [...], tokens of the responses.
    max_length: > 0, the limit in tokens.
    cache: in (0, max_length], tokens over which the penalty sets in.

  Returns:
    [...] float32 in [-1, 0], to be added to the reward.

  Raises:
    ValueError: a number is out of range.

  Reference:
    Yu et al., "DAPO: An Open-Source LLM Reinforcement Learning System at
    Scale", arXiv:2503.14476, equation 13.
  """
  if not 0 < cache <= max_length:
    raise ValueError(
      f"overlong_penalty: cache={cache}, expected a number above 0, at most"
      f" max_length={max_length}"
    )
  (lengths,) = numerics.to_float32(lengths)
  return jnp.clip((max_length - cache - lengths) / cache, -1.0, 0.0)
