# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A linear head on hidden states: rewards, values, attributes."""

from typing import Any

import jax
import jax.numpy as jnp


def init(
  key, hidden_size: int, num_outputs: int = 1, dtype: Any = jnp.float32
) -> dict[str, jax.Array]:
  """Parameters of a head; weights of size 1 / sqrt(D + 1), bias 0.

  Args:
    key: PRNG key.
    hidden_size: D.
    num_outputs: O.
    dtype: of the parameters.

  Returns:
    {"weight": [D, O], "bias": [O]}.
  """
  scale = (hidden_size + 1) ** -0.5
  weight = scale * jax.random.normal(key, (hidden_size, num_outputs))
  return {
    "weight": weight.astype(dtype),
    "bias": jnp.zeros(num_outputs, dtype),
  }


def apply(head: dict[str, jax.Array], hidden: jax.Array) -> jax.Array:
  """hidden [..., D] -> float32 [..., O]."""
  dtype = jnp.promote_types(hidden.dtype, jnp.float32)
  return hidden.astype(dtype) @ head["weight"].astype(dtype) + head[
    "bias"
  ].astype(dtype)


def last_token(hidden: jax.Array, token_mask: jax.Array) -> jax.Array:
  """States at the last real token, by mask and never by token id.

  Args:
    hidden: [B, K, R, D].
    token_mask: bool [B, K, R], left-aligned.

  Returns:
    [B, K, D]; slot 0 of an empty response.
  """
  length = jnp.sum(jnp.asarray(token_mask, bool), axis=-1)  # [B, K]
  last = jnp.maximum(length - 1, 0)[..., None, None]
  return jnp.take_along_axis(hidden, last, axis=2)[:, :, 0]
