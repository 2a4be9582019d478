# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Linear heads on hidden states: rewards, values, attributes.

A head is a tree {"weight": [outputs, D], "bias": [outputs]}; the bias may be
left out. What it means is up to the role: a reward reads the last token of a
response, a value every token.
"""

from typing import Any

import jax
import jax.numpy as jnp

from prefjax.core import checks

Head = dict[str, Any]


def init(
  key: jax.Array,
  hidden_size: int,
  num_outputs: int = 1,
  dtype: Any = jnp.float32,
  *,
  bias: bool = True,
  std: float | None = None,
) -> Head:
  """A fresh head.

  Args:
    key: of the draw.
    hidden_size: D.
    num_outputs: 1 for a reward or a value, more for attributes.
    dtype: of the parameters.
    bias: whether there is one; it begins at zero.
    std: of the weights; None for 1 / sqrt(D + 1), with which states of unit
      size give outputs of unit size (Stiennon et al., arXiv 2009.01325,
      appendix B). 0 gives a head that begins by saying 0.

  Returns:
    {"weight": [outputs, D], "bias": [outputs]}.
  """
  checks.in_range(
    "heads.init", 1, hidden_size=hidden_size, num_outputs=num_outputs
  )
  checks.in_range("heads.init", 0, std=std)
  std = (hidden_size + 1) ** -0.5 if std is None else std
  weight = std * jax.random.normal(key, (num_outputs, hidden_size))
  head = {"weight": weight.astype(dtype)}
  if bias:
    head["bias"] = jnp.zeros(num_outputs, dtype)
  return head


def apply(head: Head, hidden: jax.Array) -> jax.Array:
  """Outputs of a head, computed in float32 (float64 for float64).

  Args:
    head: of `init`.
    hidden: [..., D].

  Returns:
    [..., outputs].
  """
  high = jnp.promote_types(hidden.dtype, jnp.float32)
  out = hidden.astype(high) @ head["weight"].astype(high).T
  if "bias" in head:
    out = out + head["bias"].astype(high)
  return out


def last_token(hidden_at: jax.Array, token_mask: jax.Array) -> jax.Array:
  """The state at the last real token of each response.

  It is found by the mask and never by an id, so that a response may hold
  the padding id or end without EOS.

  Args:
    hidden_at: [B, K, R, D], e.g. `GroupHidden.at`.
    token_mask: bool [B, K, R].

  Returns:
    [B, K, D]; for a response without a token the state at its first slot,
    finite and meaningless.
  """
  slots = jnp.arange(token_mask.shape[-1])
  last = jnp.max(jnp.where(jnp.asarray(token_mask, bool), slots, 0), axis=-1)
  index = last[..., None, None]  # [B, K, 1, 1]
  return jnp.take_along_axis(hidden_at, index, axis=-2)[..., 0, :]
