# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Attention over several key sources, and who may see whom.

`attend` takes the softmax over the union of its sources, so that responses
attend to one copy of their prompt's keys and to their own, and decoding to
prompt, cache and the new token, without any of them being copied together.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from prefjax.models import dots

# Finite, so that a row without any visible key (a pad) stays finite too.
_HIDDEN = -1e30

# Queries a block. Shorter blocks skip more of what nobody sees, and make
# more and smaller products.
BLOCK = 256


class Source(NamedTuple):
  """Keys and values of one origin.

  Attributes:
    keys: [B, S, G, h] shared by all K, or [B, K, S, G, h].
    values: like keys.
    mask: bool, broadcastable to [B, K, T, S]: which query sees which key.
  """

  keys: jax.Array
  values: jax.Array
  mask: jax.Array


def _group(source: jax.Array) -> jax.Array:
  """[B, S, G, h] -> [B, G, S, h]; [B, K, S, G, h] -> [B, G, K, S, h]."""
  return jnp.moveaxis(source, -2, 1)


def attend(
  queries: jax.Array,
  sources: Sequence[Source],
  *,
  scale: float,
  softcap: float | None = None,
) -> jax.Array:
  """softmax(scale q . k, capped) . v over the union of the sources.

  Every group of H / G query heads shares a key head; keys are not repeated.
  Scores and softmax are float32 whatever the dtype of the operands.

  Args:
    queries: [B, K, T, H, h].
    sources: at least one.
    scale: multiplies the scores.
    softcap: cap * tanh(score / cap), or None.

  Returns:
    [B, K, T, H, h]; for a query that sees nothing, a mean of the values.
  """
  b, n, t, heads, size = queries.shape
  g = sources[0].keys.shape[-2]
  m = heads // g
  q = queries.reshape(b, n, t, g, m, size).transpose(0, 3, 1, 4, 2, 5)
  scores = []  # each [B, G, K, m, T, S]
  for source in sources:
    keys = _group(source.keys)
    s = keys.shape[-2]
    rows = (b, g, n * m * t) if keys.ndim == 4 else (b, g, n, m * t)
    dot = dots.matmul(q.reshape(*rows, size), keys, transpose=True)
    dot = dot.reshape(b, g, n, m, t, s) * scale
    if softcap is not None:
      dot = softcap * jnp.tanh(dot / softcap)
    mask = jnp.broadcast_to(source.mask, (*source.mask.shape[:-1], s))
    mask = mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
    scores.append(jnp.where(mask[:, None, :, None], dot, _HIDDEN))
  tops = [jnp.max(score, axis=-1, keepdims=True) for score in scores]
  top = tops[0]
  for other in tops[1:]:
    top = jnp.maximum(top, other)
  top = jax.lax.stop_gradient(top)
  total, out = 0.0, 0.0
  for score, source in zip(scores, sources, strict=True):
    values = _group(source.values)
    weight = jnp.exp(score - top)
    total = total + jnp.sum(weight, axis=-1, keepdims=True)
    s = values.shape[-2]
    rows = (b, g, n * m * t) if values.ndim == 4 else (b, g, n, m * t)
    mixed = dots.matmul(weight.astype(values.dtype).reshape(*rows, s), values)
    out = out + mixed.reshape(b, g, n, m, t, size)
  out = (out / total).astype(queries.dtype)
  return out.transpose(0, 2, 4, 1, 3, 5).reshape(b, n, t, heads, size)


class Span(NamedTuple):
  """A block of queries and, for each source, the keys that it may see."""

  queries: slice
  keys: tuple[slice, ...]


def _cuts(length: int, block: int) -> list[tuple[int, int]]:
  """Blocks of about equal size that cover `length`."""
  count = -(-length // block)
  size = -(-length // count)
  size = -(-size // 8) * 8
  return [(a, min(a + size, length)) for a in range(0, length, size)]


def causal_spans(
  length: int, window: int | None, block: int | None = None
) -> list[Span]:
  """Spans of slots that see earlier slots of the same row."""
  spans = []
  for start, stop in _cuts(length, block or BLOCK):
    first = 0 if window is None else max(0, start - window + 1)
    spans.append(Span(slice(start, stop), (slice(first, stop),)))
  return spans


def response_spans(
  prompt: int, response: int, window: int | None, block: int | None = None
) -> list[Span]:
  """Spans of response slots that see their prompt and their own response."""
  spans = []
  for start, stop in _cuts(response, block or BLOCK):
    own = first = 0
    if window is not None:
      own = max(0, start - window + 1)
      # Of a prompt that nobody sees any more one key stays: a source is
      # never empty.
      first = min(max(0, prompt + start - window + 1), prompt - 1)
    spans.append(
      Span(slice(start, stop), (slice(first, prompt), slice(own, stop)))
    )
  return spans


def attend_blocks(
  queries: jax.Array,
  sources: Sequence[Source],
  spans: Sequence[Span],
  *,
  scale: float,
  softcap: float | None = None,
  again: bool = False,
) -> jax.Array:
  """`attend`, one block of queries after the other.

  Each block is multiplied with the keys of its span only; of a causal row
  that saves nearly half.

  Args:
    queries: [B, K, T, H, h].
    sources: at least one; masks with all of their last two dimensions.
    spans: blocks that cover the queries in order.
    scale: multiplies the scores.
    softcap: cap * tanh(score / cap), or None.
    again: the backward pass computes a block's scores again, so that those
      of all blocks never exist at the same time.
  """

  def block(queries, sources):
    return attend(queries, sources, scale=scale, softcap=softcap)

  if again:
    block = jax.checkpoint(block)
  out = []
  for span in spans:
    parts = []
    for source, keys in zip(sources, span.keys, strict=True):
      axis = source.keys.ndim - 3
      index = (slice(None),) * axis + (keys,)
      mask = source.mask[..., span.queries, keys]
      parts.append(Source(source.keys[index], source.values[index], mask))
    out.append(block(queries[:, :, span.queries], parts))
  return out[0] if len(out) == 1 else jnp.concatenate(out, axis=2)


def _lineage(parents: Sequence[int]) -> jax.Array:
  """is_ancestor[b, a]: a is b or an ancestor of b, bool [n, n]."""
  rows = []
  for branch in range(len(parents)):
    line, at = set(), branch
    while at >= 0 and at not in line:
      line.add(at)
      at = parents[at]
    rows.append([a in line for a in range(len(parents))])
  return jnp.asarray(rows, bool)


def _same_path(branch: jax.Array, parents: Sequence[int]) -> jax.Array:
  """[N, T, T]: whether the key's branch lies on the query's path."""
  lineage = _lineage(parents)
  return lineage[branch[:, :, None], branch[:, None, :]]


def path_positions(
  valid: jax.Array, branch: jax.Array, parents: Sequence[int]
) -> jax.Array:
  """Number of real tokens before each slot on its own path, int32 [N, T].

  Args:
    valid: bool [N, T], real tokens.
    branch: int [N, T], the branch of each slot.
    parents: for each branch its parent, -1 for a root.
  """
  slots = jnp.arange(valid.shape[1])
  earlier = slots[None, :] < slots[:, None]
  before = earlier & _same_path(branch, parents) & valid[:, None, :]
  return jnp.sum(before, axis=-1).astype(jnp.int32)


def visible(
  valid: jax.Array,
  branch: jax.Array,
  parents: Sequence[int],
  positions: jax.Array,
  window: int | None,
) -> jax.Array:
  """The visibility rule in full, bool [N, T queries, T keys].

  A query sees a real key on its own path, at or before its own slot and less
  than `window` positions back. This is the specification of every faster
  layout, and the mask of trees of segments.

  Args:
    valid: bool [N, T].
    branch: int [N, T].
    parents: for each branch its parent, -1 for a root.
    positions: int [N, T], from `path_positions`.
    window: sliding window in positions, or None.
  """
  slots = jnp.arange(valid.shape[1])
  mask = slots[None, :] <= slots[:, None]
  mask = mask & valid[:, None, :] & _same_path(branch, parents)
  if window is not None:
    distance = positions[:, :, None] - positions[:, None, :]
    mask = mask & (distance < window)
  return mask


def causal(
  query_slots: jax.Array, key_slots: jax.Array, window: int | None
) -> jax.Array:
  """bool [..., T, S] for slots whose differences are those of positions."""
  distance = query_slots[..., :, None] - key_slots[..., None, :]
  mask = distance >= 0
  return mask if window is None else mask & (distance < window)
