# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What the rest of the package sees of a language model.

A Model is a static description; parameters travel beside it as a nested
dict with string keys. It turns a Group into hidden states and hands over its
LM head; log-probs are made from the two in `prefjax.kernels`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from prefjax.core import checks, errors, types
from prefjax.kernels import head as head_lib
from prefjax.kernels import sharded
from prefjax.models import (
  attention_choice,
  caching,
  decoder,
  dots,
  layouts,
  unstacked,
  vision,
)
from prefjax.models import config as config_lib
from prefjax.models import lora as lora_lib
from prefjax.models import packing as packing_lib
from prefjax.models import spread as spread_lib

LAYOUTS = ("shared", "concat")

Params = dict[str, Any]  # nested, string keys, arrays only


class GroupHidden(NamedTuple):
  """Final hidden states (after the last norm, before the LM head).

  Values at pads are finite but mean nothing.

  Attributes:
    predict: [B, K, R, D], the state that predicts response token t; t = 0 is
      the last prompt token.
    at: [B, K, R, D], the state at response token t (reward, value heads).
    prompt_end: [B, D], the state at the last prompt token.
    packed: where rows are packed, [C, m, D]: what `predict` holds at real
      tokens, and little besides. See `logps.token_logps`.
    packing: which of them is where, or None.
  """

  predict: jax.Array
  at: jax.Array
  prompt_end: jax.Array
  packed: jax.Array | None = None
  packing: packing_lib.Packing | None = None


@dataclasses.dataclass(frozen=True)
class Model:
  """A decoder and how it is run; static, hashable, without arrays.

  Attributes:
    config: what the decoder is made of.
    lora: what an adapter tree means, where the model is given one.
  """

  config: config_lib.DecoderConfig
  lora: lora_lib.LoraSpec | None = None

  def init(self, key, dtype: Any = jnp.float32) -> Params:
    """Random parameters."""
    params = decoder.init(self.config, key, dtype)
    if self.config.vision is not None:
      params["vision"] = vision.init(self.config, key, dtype)
    return params

  def shapes(self, dtype: Any = jnp.float32) -> Params:
    """The parameter tree as ShapeDtypeStructs; computes nothing."""
    shapes = decoder.shapes(self.config, dtype)
    if self.config.vision is not None:
      shapes["vision"] = vision.shapes(self.config, dtype)
    return shapes

  def head(self, params: Params, dtype: Any = None) -> head_lib.Head:
    """The LM head, with its soft cap; multiplied in `dtype` if given."""
    return decoder.head(self.config, params, dtype)

  def check_length(self, prompt_tokens: int, response_tokens: int) -> None:
    """Checks that a prompt and its response fit the model's positions.

    Raises:
      ModelError: they do not.
    """
    total = prompt_tokens + response_tokens
    if total > self.config.max_positions:
      raise errors.ModelError(
        f"{prompt_tokens} prompt + {response_tokens} response tokens are"
        f" {total}, but the {self.config.family} model has"
        f" {self.config.max_positions} positions: shorten them"
      )

  def hidden(
    self,
    params: Params,
    group: types.Group,
    *,
    layout: str = "shared",
    lora: Any = None,
    dtype: Any = None,
    key: jax.Array | None = None,
    remat: str = "none",
    prefix_embeddings: jax.Array | None = None,
    sharding: sharded.Sharding | None = None,
    attention: str = "auto",
  ) -> GroupHidden:
    """Hidden states of every response of a group.

    Args:
      params: from `init` or a checkpoint.
      group: prompts and responses. `prompt_limit`, where present, is the
        number of prompt tokens that the query at a response token sees.
        Features of its images and frames come before each prompt.
      layout: "shared" computes each prompt once; "concat" once a response.
        They agree up to rounding.
      lora: adapter tree, or None for the base model.
      dtype: compute dtype; None for that of the parameters.
      key: one key, or [B] keys, for adapter dropout; None drops nothing.
      remat: "none", "dots" or "full", see `decoder.run`.
      prefix_embeddings: [B, N, D], visible before each prompt, in place of
        those of the images; positions count them, `prompt_limit` does not.
      sharding: how rows and weights lie on a mesh, None on one device.
      attention: "auto", "xla", "blocked" or "splash"; see
        `attention_choice.Choice`.

    Returns:
      GroupHidden in the compute dtype.

    Raises:
      ModelError: the slots exceed a table of learned positions, or an
        adapter is given to a model without a LoraSpec.
      ValueError: unknown layout or remat.
    """
    checks.one_of("hidden", LAYOUTS, layout=layout)
    config = self.config
    b, k, p, r = group.shape
    if dtype is None:
      dtype = params["embed"]["tokens"].dtype
    prefix_mask = None
    if prefix_embeddings is None:
      seen = vision.prefix(config, params, group, dtype)
      if seen is not None:
        prefix_embeddings, prefix_mask = seen
    prefix = 0 if prefix_embeddings is None else prefix_embeddings.shape[1]
    if config.learned_positions:
      self.check_length(prefix + p, r)
    prompt_mask = jnp.asarray(group.prompt_mask, bool)
    token_mask = jnp.asarray(group.token_mask, bool)
    # Pads may hold anything, ids outside the vocabulary included.
    prompt = jnp.where(prompt_mask, group.prompt, 0)
    response = jnp.where(token_mask, group.response, 0)
    prompt = decoder.embed(config, params, prompt, dtype)
    limit = group.prompt_limit
    seen_before = prefix
    if prefix_mask is not None:
      seen_before = jnp.sum(prefix_mask, axis=1)[:, None, None]  # [B, 1, 1]
    if prefix_embeddings is not None:
      prompt, prompt_mask = layouts.with_prefix(
        prompt, prompt_mask, prefix_embeddings, prefix_mask
      )
    grid = layouts.Grid(
      prompt=prompt,
      prompt_mask=prompt_mask,
      response=decoder.embed(config, params, response, dtype),
      token_mask=token_mask,
      limit=None if limit is None else jnp.asarray(limit) + seen_before,
    )
    make = layouts.shared if layout == "shared" else layouts.concat
    repeats = 1 if layout == "shared" else k
    spread = _spread(sharding)
    rows = make(config, grid, attention_choice.Choice(attention, spread))
    packing = None
    drops = lora is not None and key is not None and self.lora.dropout
    # Adapter dropout is drawn by rows, and an encoder's features are none of
    # the tokens that slots were counted for.
    if group.packed and layout == "shared" and not (drops or prefix):
      ways = 1 if spread is None else spread.count(spread.rows)
      cells = ways if b % ways == 0 else 1
      packing = packing_lib.make(prompt_mask, token_mask, group.packed, cells)
      rows = layouts.packed(rows, packing)
    x = self._run(params, rows, lora, key, remat, repeats, spread)
    packed = None
    if packing is not None:
      packed = packing.predictors(x)
      x = packing.unpack(x, b)
    p = p + prefix
    if layout == "shared":
      prompt_end = x[:, p - 1]  # [B, D]
      at = x[:, p:].reshape(b, k, r, -1)
      first = jnp.broadcast_to(prompt_end[:, None], (b, k, x.shape[-1]))
    else:
      at = x[:, p:].reshape(b, k, r, -1)
      first = x[:, p - 1].reshape(b, k, -1)
      prompt_end = first[:, 0]
    predict = jnp.concatenate([first[:, :, None], at[:, :, :-1]], axis=2)
    return GroupHidden(predict, at, prompt_end, packed, packing)

  def rows(
    self,
    params: Params,
    tokens,
    mask=None,
    *,
    segments=None,
    parents: Sequence[int] = (-1,),
    lora: Any = None,
    dtype: Any = None,
    key: jax.Array | None = None,
    remat: str = "none",
  ) -> jax.Array:
    """Hidden states of plain rows, or of trees of segments.

    Args:
      params: the parameters.
      tokens: int [N, T].
      mask: bool [N, T], real tokens, padded on either side; None for all.
      segments: int [N, T], the segment of each slot; None for one segment.
      parents: for each segment the one it continues, -1 for a root; a
        token sees its own segment and those that lead to it.
      lora: adapter tree or None.
      dtype: compute dtype; None for that of the parameters.
      key: one key or [N] keys for adapter dropout.
      remat: as in `hidden`.

    Returns:
      [N, T, D] after the final norm; at pads finite and meaningless.

    Raises:
      ModelError: the slots exceed a table of learned positions.
    """
    tokens = jnp.asarray(tokens)
    if dtype is None:
      dtype = params["embed"]["tokens"].dtype
    valid = (
      jnp.ones(tokens.shape, bool) if mask is None else jnp.asarray(mask, bool)
    )
    if self.config.learned_positions and segments is None:
      self.check_length(tokens.shape[1], 0)
    if segments is None:
      segments = jnp.zeros(tokens.shape, jnp.int32)
    x = decoder.embed(self.config, params, jnp.where(valid, tokens, 0), dtype)
    segments = jnp.asarray(segments)
    rows = layouts.tree(self.config, x, valid, segments, tuple(parents))
    return self._run(params, rows, lora, key, remat, 1)

  def scores(self, params: Params, hidden: jax.Array) -> jax.Array:
    """Logits [..., V] of hidden states [..., D], float32 (or wider)."""
    head = self.head(params, hidden.dtype)
    (scores,) = dots.project(hidden, head.weight, transposed=True)
    scores = scores.astype(jnp.promote_types(scores.dtype, jnp.float32))
    if head.softcap is not None:
      scores = head.softcap * jnp.tanh(scores / head.softcap)
    return scores

  def prefill(
    self,
    params: Params,
    tokens,
    mask,
    *,
    samples: int,
    slots: int,
    planned: Any = None,
    lora: Any = None,
    dtype: Any = None,
    cache_dtype: Any = None,
    media: vision.Media | None = None,
  ) -> tuple[jax.Array, caching.Cache]:
    """Runs prompts and makes room to continue each of them.

    Args:
      params: the parameters.
      tokens: int [N, P], right-aligned.
      mask: bool [N, P], at least one real token a row.
      samples: continuations of each prompt, S; they share its keys.
      slots: room for the tokens of a continuation, T.
      planned: int32 [], how many of them are expected at most; None for T.
        Only rotary kinds that depend on the length look at it.
      lora: adapter tree or None.
      dtype: compute dtype; None for that of the parameters.
      cache_dtype: of keys and values; None for the compute dtype (and
        float32 for bfloat16 on a CPU, which is faster there).
      media: images and frames before the prompts, or None.

    Returns:
      (hidden state of each prompt's last token [N, D], cache).
    """
    self._check_lora(lora)
    return caching.prefill(
      self.config,
      params,
      jnp.asarray(tokens),
      jnp.asarray(mask, bool),
      samples=samples,
      slots=slots,
      planned=planned,
      spec=self.lora,
      lora=lora,
      dtype=dtype,
      cache_dtype=cache_dtype,
      media=media,
    )

  def unstack(self, params: Params, lora: Any = None) -> tuple[Params, Any]:
    """(params, lora) in the layout that `extend` is fastest with.

    It costs a pass over the parameters: for many steps. Only `extend` takes
    the result, with a cache of `unstack_cache`; elsewhere than on a CPU
    nothing changes.
    """
    return caching.unstack(self.config, params, lora)

  def pinned(
    self, params: Params, tokens: jax.Array
  ) -> tuple[Params, jax.Array]:
    """Both, for `extend` and `scores` inside a loop: see `unstacked`."""
    return unstacked.pinned(params, tokens)

  def unstack_cache(self, cache: caching.Cache) -> caching.Cache:
    """The cache of `prefill` to go with what `unstack` returns."""
    return caching.unstack_cache(self.config, cache)

  def extend(
    self,
    params: Params,
    cache: caching.Cache,
    tokens,
    start,
    *,
    began: jax.Array | None = None,
    lora: Any = None,
    dtype: Any = None,
  ) -> tuple[jax.Array, caching.Cache]:
    """Runs the next C tokens of every continuation.

    Args:
      params: the parameters.
      cache: of `prefill`, with `start` tokens of each continuation.
      tokens: int [N, S, C]; start + C is at most T.
      start: int32 [], tokens that the continuations have already.
      began: int32 [N, S], see `caching.extend`; None where all began at 0.
      lora: adapter tree or None.
      dtype: compute dtype; None for that of the parameters.

    Returns:
      (hidden states [N, S, C, D], cache with these tokens).
    """
    self._check_lora(lora)
    return caching.extend(
      self.config,
      params,
      cache,
      jnp.asarray(tokens),
      start,
      began=began,
      spec=self.lora,
      lora=lora,
      dtype=dtype,
    )

  def _check_lora(self, lora) -> None:
    if lora is not None and self.lora is None:
      raise errors.ModelError(
        "an adapter was given to a model without a LoraSpec: build it with"
        " Model(config, lora=LoraSpec(...))"
      )

  def _run(
    self, params, rows, lora, key, remat, repeats, spread=None
  ) -> jax.Array:
    """Places rows and runs the layers; keys are spread over the rows."""
    self._check_lora(lora)
    keys = None
    if key is not None and lora is not None and self.lora.dropout:
      n = rows.x.shape[0] // repeats
      keys = key if key.ndim else jax.random.split(key, n)
      each = jax.vmap(lambda k: jax.random.split(k, repeats))(keys)
      keys = each.reshape(-1)
    x = decoder.place(self.config, params, rows.x, rows.positions)
    return decoder.run(
      self.config,
      params,
      x,
      rows.mixes,
      spec=self.lora,
      lora=lora,
      keys=keys,
      remat=remat,
      spread=spread,
    )[0]


def _spread(sharding: sharded.Sharding | None) -> spread_lib.Spread | None:
  """What the LM head's sharding says of the decoder under it."""
  if sharding is None:
    return None
  return spread_lib.Spread(
    sharding.mesh, sharding.rows, sharding.vocab, sharding.hidden
  )


def logits(
  model: Model, params: Params, tokens, mask=None, **options: Any
) -> jax.Array:
  """Logits of whole rows; for inspection, tests and small vocabularies.

  Training code takes `Model.hidden` and `prefjax.kernels` instead, which
  never hold [B, T, V].

  Args:
    model: the model.
    params: its parameters.
    tokens: int [B, T].
    mask: bool [B, T], real tokens, padded on either side; None for all.
      A token's position is the number of real tokens before it.
    **options: of `Model.rows`: lora, dtype, segments, parents, ...

  Returns:
    float32 [B, T, V], after the soft cap; meaningless at pads.
  """
  return model.scores(params, model.rows(params, tokens, mask, **options))
