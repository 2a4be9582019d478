# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""How groups of prompts and responses become rows for the decoder.

"shared": one row [prompt | response 1 | ... | response K] a group; dense
layers run once over it, attention is structured: the prompt attends to
itself, each response to the prompt's keys and to its own, at a cost of
P^2 / 2 + K R (P + R / 2) and a block's rounding. "concat": a row
[prompt | response] for each response.
Prompts are right-aligned and responses left-aligned, so that in both the
difference of two slots on a path is the difference of their positions, and
causality and windows are constants of the bucket (P, K, R, window); pads are
masked by validity. Both agree with the rule in `attention.visible`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from prefjax.models import attention, attention_choice, splash
from prefjax.models import config as config_lib
from prefjax.models import packing as packing_lib
from prefjax.models import rope as rope_lib

Config = config_lib.DecoderConfig
Choice = attention_choice.Choice
DEFAULT = attention_choice.Choice()
Tables = dict[config_lib.Rope | None, rope_lib.Tables | None]


class Grid(NamedTuple):
  """A group's embedded prompts and responses.

  Attributes:
    prompt: [B, P, D] embeddings, without learned positions.
    prompt_mask: bool [B, P].
    response: [B, K, R, D].
    token_mask: bool [B, K, R].
    limit: int32 [B, K, R] or None, prompt positions below it are visible.
  """

  prompt: jax.Array
  prompt_mask: jax.Array
  response: jax.Array
  token_mask: jax.Array
  limit: jax.Array | None

  @property
  def shape(self) -> tuple[int, int, int, int]:
    """(B, K, P, R)."""
    b, k, r = self.token_mask.shape
    return b, k, self.prompt_mask.shape[1], r


class Rows(NamedTuple):
  """What the decoder runs on.

  Attributes:
    x: [N, T, D] embeddings, without learned positions.
    positions: int32 [N, T].
    mixes: one attention function for each slot of the pattern.
  """

  x: jax.Array
  positions: jax.Array
  mixes: Sequence[Callable[..., Any]]


def with_prefix(prompt, prompt_mask, prefix, prefix_mask=None):
  """Puts prefix embeddings in front of right-aligned prompts.

  The prompts' pads, and those of the prefix, move in front of the prefix, so
  that the row stays right-aligned.

  Args:
    prompt: [B, P, D] embeddings.
    prompt_mask: bool [B, P].
    prefix: [B, N, D].
    prefix_mask: bool [B, N], which of them are real; None for all.

  Returns:
    (embeddings [B, N + P, D], mask bool [B, N + P]).
  """
  n, p = prefix.shape[1], prompt.shape[1]
  count = n
  if prefix_mask is not None:
    # Real ones first, in their order.
    order = jnp.argsort(~prefix_mask, axis=1, stable=True)
    prefix = jnp.take_along_axis(prefix, order[..., None], axis=1)
    count = jnp.sum(prefix_mask, axis=1, keepdims=True)  # [B, 1]
  before = n - count + p - jnp.sum(prompt_mask, axis=1, keepdims=True)
  slot = jnp.arange(n + p)[None]
  index = jnp.clip(slot - before, 0, n - 1)[..., None]
  is_prefix = (slot >= before) & (slot < before + count)  # [B, N + P]
  moved = jnp.take_along_axis(prefix.astype(prompt.dtype), index, axis=1)
  shifted = jnp.pad(prompt, ((0, 0), (n, 0), (0, 0)))
  mask = jnp.pad(prompt_mask, ((0, 0), (n, 0))) | is_prefix
  return jnp.where(is_prefix[..., None], moved, shifted), mask


def rotary(config: Config, positions, lengths) -> Tables:
  """cos and sin for each distinct rotary embedding of the pattern."""
  return {
    slot.rope: slot.rope
    and rope_lib.tables(
      slot.rope, config.head_dim, config.max_positions, positions, lengths
    )
    for slot in config.pattern
  }


def attend(config: Config, queries, sources):
  """`attention.attend` with the model's scale and cap."""
  return attention.attend(
    queries,
    sources,
    scale=config.query_scale,
    softcap=config.attention_softcap,
  )


def _positions(grid: Grid):
  """(prompt [B, P], response [B, K, R], path lengths [B])."""
  count = jnp.sum(grid.prompt_mask, axis=1).astype(jnp.int32)  # [B]
  p, r = grid.prompt_mask.shape[1], grid.token_mask.shape[2]
  prompt = jnp.maximum(jnp.arange(p) - (p - count[:, None]), 0)
  response = count[:, None, None] + jnp.arange(r)
  response = jnp.broadcast_to(response, grid.token_mask.shape)
  # The rotary kinds that depend on a sequence's length see the longest path
  # of the group, so that all its responses share one prompt.
  longest = jnp.max(jnp.sum(grid.token_mask, axis=2), axis=1)
  return prompt, response, count + longest.astype(jnp.int32)


def shared(config: Config, grid: Grid, how: Choice = DEFAULT) -> Rows:
  """One row of P + K R slots a group.

  Args:
    config: the decoder.
    grid: the embedded group.
    how: which attention runs.
  """
  b, k, p, r = grid.shape
  prompt_at, response_at, lengths = _positions(grid)
  positions = jnp.concatenate([prompt_at, response_at.reshape(b, -1)], axis=1)
  x = jnp.concatenate(
    [grid.prompt, grid.response.reshape(b, k * r, -1)], axis=1
  )
  tables = rotary(config, positions, lengths)
  impl = how.pick(
    x.dtype,
    scores=b * config.num_heads * (p * p + k * r * (p + r)),
    slots=x.shape[1],
    static=grid.limit is None,
  )

  def make(slot: config_lib.Slot):
    if impl == "splash":
      valid = jnp.concatenate(
        [grid.prompt_mask, grid.token_mask.reshape(b, -1)], axis=1
      )
      mask = splash.shared_mask(p, k, r, slot.window)
      return splash_mix(config, tables[slot.rope], valid, mask, how)
    return _structured_mix(config, grid, tables[slot.rope], slot.window, impl)

  return Rows(x, positions, [make(slot) for slot in config.pattern])


def _structured_mix(config: Config, grid: Grid, table, window, impl: str):
  """Attention of shared rows, prompt and responses apart."""
  b, k, p, r = grid.shape
  prompt_at = _positions(grid)[0]
  slots = jnp.arange(p + r)
  causal = functools.partial(attention.causal, window=window)
  in_prompt = causal(slots[:p], slots[:p])[None, None]
  in_prompt = in_prompt & grid.prompt_mask[:, None, None]  # [B, 1, P, P]
  to_prompt = causal(slots[p:], slots[:p])[None, None]
  to_prompt = to_prompt & grid.prompt_mask[:, None, None]  # [B, 1, R, P]
  if grid.limit is not None:
    to_prompt = to_prompt & (
      prompt_at[:, None, None, :] < grid.limit[..., None]
    )
  own = causal(slots[p:], slots[p:])[None, None]
  own = own & grid.token_mask[:, :, None]  # [B, K, R, R]
  run = functools.partial(
    attention.attend_blocks,
    scale=config.query_scale,
    softcap=config.attention_softcap,
    again=impl == "blocked",
  )

  def mix(q, key, v, cache=None):
    del cache
    q, key = rope_lib.rotate(q, table), rope_lib.rotate(key, table)
    head, tail = zip(*((a[:, :p], a[:, p:]) for a in (q, key, v)), strict=True)
    tail = [a.reshape(b, k, r, *a.shape[2:]) for a in tail]
    prompt = attention.Source(head[1], head[2], in_prompt)
    prompt_out = run(
      head[0][:, None], [prompt], attention.causal_spans(p, window)
    )
    response_out = run(
      tail[0],
      [
        attention.Source(head[1], head[2], to_prompt),
        attention.Source(tail[1], tail[2], own),
      ],
      attention.response_spans(p, r, window),
    )
    response_out = response_out.reshape(b, k * r, *q.shape[2:])
    return jnp.concatenate([prompt_out[:, 0], response_out], axis=1), None

  return mix


def packed(rows: Rows, packing: packing_lib.Packing) -> Rows:
  """The same rows with the pads between their tokens left out.

  Attention unpacks what it is given, and is the same attention.
  """
  n = rows.x.shape[0]

  def wrap(mix):
    def packed_mix(q, key, v, cache=None):
      args = (packing.unpack(a, n) for a in (q, key, v))
      out, kept = mix(*args, cache=cache)
      return packing.pack(out), kept

    return packed_mix

  return Rows(
    packing.pack(rows.x),
    packing.pack(rows.positions),
    [wrap(mix) for mix in rows.mixes],
  )


def concat(config: Config, grid: Grid, how: Choice = DEFAULT) -> Rows:
  """B K rows of P + R slots; arguments as `shared`."""
  b, k, p, r = grid.shape

  def rows(prompt, response):
    prompt = jnp.broadcast_to(prompt[:, None], (b, k, *prompt.shape[1:]))
    joined = jnp.concatenate([prompt, response], axis=2)
    return joined.reshape(b * k, p + r, *joined.shape[3:])

  prompt_at, response_at, lengths = _positions(grid)
  positions = rows(prompt_at, response_at)
  valid = rows(grid.prompt_mask, grid.token_mask)
  tables = rotary(config, positions, jnp.repeat(lengths, k))
  slots = jnp.arange(p + r)
  extra = None
  if grid.limit is not None:
    limit = grid.limit.reshape(b * k, r)
    limit = jnp.pad(limit, ((0, 0), (p, 0)), constant_values=p)  # [BK, P+R]
    in_response = slots >= p
    extra = in_response | (positions[:, None, :] < limit[..., None])
  x = rows(grid.prompt, grid.response)
  impl = how.pick(
    x.dtype,
    scores=b * k * config.num_heads * (p + r) ** 2,
    slots=p + r,
    static=extra is None,
  )

  def make(slot: config_lib.Slot):
    table = tables[slot.rope]
    if impl == "splash":
      mask = splash.causal_mask(p + r, slot.window)
      return splash_mix(config, table, valid, mask, how)
    mask = attention.causal(slots, slots, slot.window) & valid[:, None]
    if extra is not None:
      mask = mask & extra
    spans = attention.causal_spans(p + r, slot.window)
    return masked_mix(config, table, mask, spans=spans, again=impl == "blocked")

  return Rows(x, positions, [make(slot) for slot in config.pattern])


def splash_mix(config: Config, table, valid, mask, how: Choice):
  """Attention within rows under a static mask, by the TPU kernel."""

  def mix(q, key, v, cache=None):
    del cache
    out = splash.attend(
      rope_lib.rotate(q, table),
      rope_lib.rotate(key, table),
      v,
      valid,
      mask,
      scale=config.query_scale,
      softcap=config.attention_softcap,
      spread=how.spread,
      interpret=how.interpret,
    )
    return out, None

  return mix


def masked_mix(
  config: Config, table, mask, keep: bool = False, spans=None, again=False
):
  """Attention within rows under an explicit mask bool [N, T, T].

  With `keep` it hands out the rotated keys and the values, for a cache;
  `spans` and `again` are those of `attention.attend_blocks`.
  """

  def mix(q, key, v, cache=None):
    del cache
    q, key = rope_lib.rotate(q, table), rope_lib.rotate(key, table)
    source = attention.Source(key, v, mask[:, None])
    if spans is None:
      out = attend(config, q[:, None], [source])
    else:
      out = attention.attend_blocks(
        q[:, None],
        [source],
        spans,
        scale=config.query_scale,
        softcap=config.attention_softcap,
        again=again,
      )
    return out[:, 0], (key, v) if keep else None

  return mix


def tree(
  config: Config, x, valid, branch, parents, *, keep=False, lengths=None
) -> Rows:
  """Rows of segments that continue one another, e.g. the steps of a search.

  Args:
    config: the decoder.
    x: [N, T, D] embeddings.
    valid: bool [N, T].
    branch: int32 [N, T], the segment of each slot; a parent's slots come
      before its children's.
    parents: for each segment the one it continues, -1 for a root.
    keep: hand out keys and values.
    lengths: int32 [N], what rotary kinds that depend on the length take for
      it; None for the longest path.
  """
  if len(parents) == 1:  # a plain row: no T x T count is needed
    before = jnp.cumsum(valid, axis=1) - valid
    positions = before.astype(jnp.int32)
  else:
    positions = attention.path_positions(valid, branch, parents)
  if lengths is None:
    lengths = jnp.max(jnp.where(valid, positions + 1, 0), axis=1)
  tables = rotary(config, positions, lengths)

  def make(slot: config_lib.Slot):
    mask = attention.visible(valid, branch, parents, positions, slot.window)
    return masked_mix(config, tables[slot.rope], mask, keep)

  return Rows(x, positions, [make(slot) for slot in config.pattern])
