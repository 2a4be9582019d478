# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Decoding with keys and values kept: one prompt, S continuations of it.

The prompt's keys are computed and stored once and read by all of its
continuations; each continuation has slots of its own. A query attends to
prompt, own slots and the new tokens as three sources of one softmax, so no
cache is ever copied to be extended. Rotary kinds that depend on the length of
the sequence take the planned one from the start, since what is cached cannot
follow a length that grows.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from prefjax.models import attention, decoder, layouts, vision
from prefjax.models import config as config_lib
from prefjax.models import lora as lora_lib
from prefjax.models import rope as rope_lib

Config = config_lib.DecoderConfig
Kept = dict[str, dict[str, tuple[jax.Array, jax.Array]]]  # keys and values


class Cache(NamedTuple):
  """What decoding remembers; part -> slot -> (keys, values).

  Attributes:
    prompt: keys and values [(L,) N, P, G, h] of the prompts.
    prompt_mask: bool [N, P], right-aligned.
    own: keys and values [(L,) N, S, T, G, h] of the continuations.
    lengths: int32 [N], planned tokens of prompt and continuation together.
  """

  prompt: Kept
  prompt_mask: jax.Array
  own: Kept
  lengths: jax.Array

  @property
  def counts(self) -> jax.Array:
    """Real tokens of each prompt, int32 [N]."""
    return jnp.sum(self.prompt_mask, axis=1).astype(jnp.int32)


def _beside(cache: Cache):
  """The caches as the layers take them: prompt and own beside each other."""
  return {
    part: {
      slot: (*kept, *cache.own[part][slot]) for slot, kept in slots.items()
    }
    for part, slots in cache.prompt.items()
  }


def prefill(
  config: Config,
  params: Any,
  tokens: jax.Array,
  mask: jax.Array,
  *,
  samples: int,
  slots: int,
  planned: Any = None,
  spec: lora_lib.LoraSpec | None = None,
  lora: Any = None,
  dtype: Any = None,
  cache_dtype: Any = None,
  media: vision.Media | None = None,
) -> tuple[jax.Array, Cache]:
  """Runs the prompts and makes room for their continuations.

  Args:
    config: the decoder.
    params: its parameters.
    tokens: int [N, P], right-aligned.
    mask: bool [N, P], at least one real token a row.
    samples: continuations of each prompt, S.
    slots: room for the tokens of each continuation, T.
    planned: int32 [], how many of them are expected at most; None for T.
    spec: what the adapter tree means.
    lora: adapter tree or None.
    dtype: compute dtype; None for that of the parameters.
    cache_dtype: of keys and values; None for the compute dtype.
    media: images and frames before the prompts, or None.

  Returns:
    (hidden state of each prompt's last token [N, D], cache).
  """
  if dtype is None:
    dtype = params["embed"]["tokens"].dtype
  cache_dtype = dtype if cache_dtype is None else cache_dtype
  x = decoder.embed(config, params, jnp.where(mask, tokens, 0), dtype)
  seen = None
  if media is not None:
    seen = vision.prefix(config, params, media, dtype)
  if seen is not None:
    x, mask = layouts.with_prefix(x, mask, *seen)
  segments = jnp.zeros(mask.shape, jnp.int32)
  planned = slots if planned is None else planned
  lengths = jnp.sum(mask, axis=1).astype(jnp.int32) + planned
  rows = layouts.tree(
    config, x, mask, segments, (-1,), keep=True, lengths=lengths
  )
  x = decoder.place(config, params, rows.x, rows.positions)
  x, kept = decoder.run(config, params, x, rows.mixes, spec=spec, lora=lora)
  kept = jax.tree.map(lambda a: a.astype(cache_dtype), kept)

  def empty(a: jax.Array) -> jax.Array:  # [(L,) N, P, G, h]
    shape = (*a.shape[:-3], samples, slots, *a.shape[-2:])
    return jnp.zeros(shape, cache_dtype)

  own = jax.tree.map(empty, kept)
  return x[:, -1], Cache(kept, mask, own, lengths)


def extend(
  config: Config,
  params: Any,
  cache: Cache,
  tokens: jax.Array,
  start: jax.Array | int,
  *,
  began: jax.Array | None = None,
  spec: lora_lib.LoraSpec | None = None,
  lora: Any = None,
  dtype: Any = None,
) -> tuple[jax.Array, Cache]:
  """Runs the next C tokens of every continuation.

  Continuations that began at different times share a clock: with `began`
  their slots are a ring that `start` goes round, and a continuation has
  start - began tokens, at most T.

  Args:
    config: the decoder.
    params: its parameters.
    cache: with the tokens before `start`.
    tokens: int [N, S, C].
    start: number of tokens each continuation has already, int32 [].
    began: what `start` was when each continuation had none, int32 [N, S];
      C must then be 1. None where all began at 0.
    spec: what the adapter tree means.
    lora: adapter tree or None.
    dtype: compute dtype; None for that of the parameters.

  Returns:
    (hidden states [N, S, C, D], cache with these tokens).
  """
  if dtype is None:
    dtype = params["embed"]["tokens"].dtype
  n, s, c = tokens.shape
  counts, p = cache.counts, cache.prompt_mask.shape[1]
  room = jax.tree.leaves(cache.own)[0].shape[-3]
  slots = jnp.arange(p)
  if began is None:
    fresh, old, at = start + jnp.arange(c), jnp.arange(room), start  # slots
    is_old = old < start
  else:
    # The newest token lies just behind `at`, older ones further back.
    at = start % room
    fresh = (start - began)[..., None]  # [N, S, 1], its own number of tokens
    old = fresh - 1 - (at - 1 - jnp.arange(room)) % room  # [N, S, T]
    is_old = old >= 0

  def rows(a: jax.Array) -> jax.Array:  # [N, ...] -> [N S, ...]
    return jnp.repeat(a, s, axis=0)

  if began is None:
    places = rows(counts[:, None] + fresh)  # [N S, C]
  else:
    places = (counts[:, None, None] + fresh).reshape(n * s, c)
  tables = layouts.rotary(config, places, rows(cache.lengths))

  def make(slot: config_lib.Slot):
    to_prompt = attention.causal(p + fresh, slots, slot.window)
    if began is None:
      to_prompt = to_prompt & cache.prompt_mask[:, None]  # [N, C, P]
      to_prompt = to_prompt[:, None]
    else:
      to_prompt = to_prompt & cache.prompt_mask[:, None, None]  # [N, S, 1, P]
    to_own = attention.causal(fresh, old, slot.window) & is_old[..., None, :]
    to_new = attention.causal(fresh, fresh, slot.window)

    def mix(q, key, v, cache):
      prompt_key, prompt_value, own_key, own_value = cache
      q = rope_lib.rotate(q, tables[slot.rope])
      key = rope_lib.rotate(key, tables[slot.rope])
      q, key, v = (a.reshape(n, s, *a.shape[1:]) for a in (q, key, v))
      sources = (
        (prompt_key, prompt_value, to_prompt),
        (own_key, own_value, to_own),
        (key, v, to_new),
      )
      out = layouts.attend(
        config,
        q,
        [
          attention.Source(keys.astype(q.dtype), values.astype(q.dtype), mask)
          for keys, values, mask in sources
        ],
      )
      return out.reshape(n * s, *out.shape[2:]), (key, v)

    return mix

  x = decoder.embed(config, params, tokens.reshape(n * s, c), dtype)
  x = decoder.place(config, params, x, places)
  x, new = decoder.run(
    config,
    params,
    x,
    [make(slot) for slot in config.pattern],
    caches=_beside(cache),
    spec=spec,
    lora=lora,
  )

  def put(own: jax.Array, fresh: jax.Array) -> jax.Array:
    return jax.lax.dynamic_update_slice_in_dim(
      own, fresh.astype(own.dtype), at, axis=own.ndim - 3
    )

  own = jax.tree.map(put, cache.own, new)
  return x.reshape(n, s, c, -1), cache._replace(own=own)
