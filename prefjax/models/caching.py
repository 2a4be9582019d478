# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Decoding with keys and values kept: one prompt, S continuations of it.

The prompt's keys are computed and stored once and read by all of its
continuations; each continuation has slots of its own. A query attends to
prompt, own slots and new tokens as sources of one softmax, so no cache is ever
copied to be extended. Rotary kinds that depend on the length of
the sequence take the planned one from the start, since what is cached cannot
follow a length that grows.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from prefjax.models import (
  attention,
  decoder,
  layer_scan,
  layouts,
  unstacked,
  vision,
)
from prefjax.models import config as config_lib
from prefjax.models import lora as lora_lib
from prefjax.models import rope as rope_lib

Config = config_lib.DecoderConfig


class Kept(NamedTuple):
  """Keys and values of a layer, or of a stack of layers.

  On CPUs bfloat16 is kept as 16-bit words: XLA would turn a whole cache into
  float32 and back to write one token into it. What `unstack_cache` returns
  has keys [..., h, T], as a query is multiplied with them fastest there.
  """

  keys: jax.Array
  values: jax.Array


class Cache(NamedTuple):
  """What decoding remembers, laid out like the parameters.

  Attributes:
    prompt: Kept [(L,) N, G, P, h] of the prompts.
    prompt_mask: bool [N, P], right-aligned.
    own: Kept [(L,) N, G, (S,) T, h] of the continuations, S where it is
      more than 1.
    lengths: int32 [N], planned tokens of prompt and continuation together.
  """

  prompt: Any
  prompt_mask: jax.Array
  own: Any
  lengths: jax.Array

  @property
  def counts(self) -> jax.Array:
    """Real tokens of each prompt, int32 [N]."""
    return jnp.sum(self.prompt_mask, axis=1).astype(jnp.int32)

  @property
  def slots(self) -> int:
    """Room for the tokens of a continuation, T."""
    first = jax.tree.leaves(self.own, is_leaf=_is_kept)[0]
    return first.values.shape[-2]


def _is_kept(node: Any) -> bool:
  return isinstance(node, Kept)


def _beside(cache: Cache):
  """The caches as the layers take them: prompt and own beside each other."""
  return jax.tree.map(
    lambda prompt, own: (prompt, own),
    cache.prompt,
    cache.own,
    is_leaf=_is_kept,
  )


def _keep(x: jax.Array, dtype) -> jax.Array:
  """[N, (S,) T, G, h] as it lies in a cache."""
  x = jnp.moveaxis(x, -2, 1).astype(dtype)
  return layer_scan.to_words(x) if layer_scan.pays(dtype) else x


def _turned(kept: Kept) -> Kept:
  """The last two axes of the keys exchanged."""
  return kept._replace(keys=jnp.swapaxes(kept.keys, -1, -2))


def _put(own: Kept, new: Kept, at: jax.Array | int, key_axis: int) -> Kept:
  """`own` with `new` from slot `at` on; slots of keys are on `key_axis`."""

  def put(whole: jax.Array, part: jax.Array, axis: int) -> jax.Array:
    if part.ndim > whole.ndim:  # a single continuation has no axis S
      part = jnp.squeeze(part, axis=-3)
    axis += whole.ndim
    return jax.lax.dynamic_update_slice_in_dim(whole, part, at, axis)

  return Kept(
    put(own.keys, new.keys, key_axis), put(own.values, new.values, -2)
  )


def _source(kept: Kept, mask: jax.Array, dtype) -> attention.Source:
  """What was kept, as attention takes it."""

  def back(x: jax.Array) -> jax.Array:
    if x.dtype == jnp.uint16:
      x = layer_scan.from_words(x, jnp.bfloat16)
    return jnp.moveaxis(x, 1, -2).astype(dtype)

  return attention.Source(back(kept.keys), back(kept.values), mask)


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
    cache_dtype: of keys and values; None for the compute dtype (and
      float32 for bfloat16 on a CPU, which is faster there).
    media: images and frames before the prompts, or None.

  Returns:
    (hidden state of each prompt's last token [N, D], cache).
  """
  if dtype is None:
    dtype = params["embed"]["tokens"].dtype
  if cache_dtype is None:
    # A CPU turns bfloat16 into float32 faster once than at every step.
    cache_dtype = jnp.float32 if layer_scan.pays(dtype) else dtype
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

  def keeping(mix):
    def run(q, key, v, cache):
      out, (key, v) = mix(q, key, v, cache)
      return out, Kept(_keep(key, cache_dtype), _keep(v, cache_dtype))

    return run

  mixes = [keeping(mix) for mix in rows.mixes]
  x, kept = decoder.run(config, params, x, mixes, spec=spec, lora=lora)

  def empty(a: jax.Array) -> jax.Array:  # [(L,) N, G, P, h]
    # An axis of 1 would be taken off in front of every product, and what is
    # then read is not what was written: the compiler would copy.
    among = (samples,) if samples > 1 else ()
    shape = (*a.shape[:-2], *among, slots, a.shape[-1])
    return jnp.zeros(shape, a.dtype)

  own = jax.tree.map(empty, kept)
  return x[:, -1], Cache(kept, mask, own, lengths)


def unstack(config: Config, params: Any, lora: Any) -> tuple[Any, Any]:
  """(params, lora) as `extend` is fastest with them, for many steps."""
  if not unstacked.pays():
    return params, lora
  count = config.num_blocks
  return unstacked.weights(params, count), unstacked.apart(lora, count)


def unstack_cache(config: Config, cache: Cache) -> Cache:
  """The cache of `prefill` to go with what `unstack` returns."""
  if not unstacked.pays():
    return cache
  prompt, own = (
    jax.tree.map(
      _turned, unstacked.apart(part, config.num_blocks), is_leaf=_is_kept
    )
    for part in (cache.prompt, cache.own)
  )
  return cache._replace(prompt=prompt, own=own)


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
  room = cache.slots
  cache_dtype = jax.tree.leaves(cache.own)[0].dtype
  if cache_dtype == jnp.uint16:
    cache_dtype = jnp.bfloat16
  # Stacked caches would be copied by a scan that hands them back: there the
  # new tokens are a source of their own, and written after all layers.
  at_once = isinstance(params["blocks"], tuple)
  if at_once:
    # Or the prompt's keys are turned back once, in front of a loop.
    pinned, tokens = unstacked.pinned(cache.prompt, tokens)
    cache = cache._replace(prompt=pinned)
  slots = jnp.arange(p)
  if began is None:
    fresh, at = start + jnp.arange(c), start  # slots
    held = jnp.arange(room)
  else:
    # The newest token lies at `at`, older ones further back.
    at = start % room
    fresh = (start - began)[..., None]  # [N, S, 1], its own number of tokens
    held = fresh - (at - jnp.arange(room)) % room  # [N, S, T]
  is_held = held >= 0
  if not at_once:
    is_held = is_held & (held < fresh[..., :1])

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
    to_own = attention.causal(fresh, held, slot.window)
    to_own = to_own & is_held[..., None, :]
    to_new = attention.causal(fresh, fresh, slot.window)

    def mix(q, key, v, cache):
      prompt, own = cache
      q = rope_lib.rotate(q, tables[slot.rope])
      key = rope_lib.rotate(key, tables[slot.rope])
      q, key, v = (a.reshape(n, s, *a.shape[1:]) for a in (q, key, v))
      new = Kept(_keep(key, cache_dtype), _keep(v, cache_dtype))
      if at_once:
        own = new = _put(own, _turned(new), at, -1)
        # XLA folds this into the products.
        prompt, own = _turned(prompt), _turned(own)
      wide = jnp.promote_types(q.dtype, cache_dtype)
      sources = [
        _source(prompt, to_prompt, wide),
        _source(own, to_own, wide),
      ]
      if not at_once:
        newest = (a.astype(wide) for a in (key, v))
        sources.append(attention.Source(*newest, to_new))
      out = layouts.attend(config, q.astype(wide), sources).astype(q.dtype)
      return out.reshape(n * s, *out.shape[2:]), new

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

  if not at_once:
    new = jax.tree.map(
      lambda own, new: _put(own, new, at, -2),
      cache.own,
      new,
      is_leaf=_is_kept,
    )
  return x.reshape(n, s, c, -1), cache._replace(own=new)
