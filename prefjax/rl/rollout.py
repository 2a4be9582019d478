# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Samples from any next-token function, for small models and notebooks."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from prefjax.core import checks


class Samples(NamedTuple):
  """Responses to B prompts; entries past a response's end are 0.

  Attributes:
    tokens: int32 [B, T], the end token included.
    mask: bool [B, T], tokens of the responses.
    logps: float32 [B, T], under the distribution that was drawn from.
    policy_logps: float32 [B, T], under the model itself.
    has_eos: bool [B], whether the response ended by itself.
  """

  tokens: jax.Array
  mask: jax.Array
  logps: jax.Array
  policy_logps: jax.Array
  has_eos: jax.Array


def rollout(
  key: jax.Array,
  apply_fn: Callable[[Any, jax.Array], jax.Array],
  params: Any,
  prompts: Any,
  *,
  max_new_tokens: int,
  temperature: float = 0.7,
  eos_id: int,
) -> Samples:
  """Draws a response to each prompt.

  Keeps no cache: the function is run on whole rows for every token, which is
  right for any causal function and slow for large ones; `generation.generate`
  is the decoder for language models.

  Args:
    key: of the draws; row b draws from fold_in(key, b).
    apply_fn: (params, tokens int32 [B, P + T]) -> logits [B, P + T, V]; the
      logits at a place may depend on the tokens up to it alone.
    params: its parameters.
    prompts: int [B, P], without pads.
    max_new_tokens: T, the end included.
    temperature: divides the logits, above 0.
    eos_id: token that ends a response.

  Returns:
    Samples.

  Raises:
    ValueError: temperature or max_new_tokens is not positive.

  Limits:
    At temperature 1 logps and policy_logps are equal.
  """
  checks.in_range("rollout", 0, low_open=True, temperature=temperature)
  checks.in_range("rollout", 1, max_new_tokens=max_new_tokens)
  prompts = jnp.asarray(prompts, jnp.int32)
  rows, width = prompts.shape
  keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(rows))
  whole = jnp.pad(prompts, ((0, 0), (0, max_new_tokens)))

  def draw(carry, t):
    whole, done = carry
    logits = apply_fn(params, whole)[:, width + t - 1].astype(jnp.float32)
    scores = logits / temperature
    now = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, t)
    token = jax.vmap(jax.random.categorical)(now, scores)
    token = jnp.where(done, 0, token).astype(jnp.int32)

    def pick(values):
      logps = jax.nn.log_softmax(values, axis=-1)
      own = jnp.take_along_axis(logps, token[:, None], axis=-1)[:, 0]
      return jnp.where(done, 0.0, own)

    whole = jax.lax.dynamic_update_slice_in_dim(
      whole, token[:, None], width + t, axis=1
    )
    out = (token, ~done, pick(scores), pick(logits))
    return (whole, done | (token == eos_id)), out

  start = (whole, jnp.zeros(rows, bool))
  (_, done), found = jax.lax.scan(draw, start, jnp.arange(max_new_tokens))
  return Samples(*(jnp.moveaxis(x, 0, 1) for x in found), done)
