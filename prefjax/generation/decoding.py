# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The decoding loop: one compiled function for a batch of prompts."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from prefjax.generation import mixtures, processing
from prefjax.models import base, caching

# Why a response ended; codes index this tuple.
FINISH_REASONS = ("length", "eos", "stop")
_LENGTH, _EOS, _STOP = range(3)

# Entries of a table of stop sequences that are no token.
ANY, NEVER, _BEFORE = -1, -2, -3


class Request(NamedTuple):
  """N prompts and how to continue them; arrays only.

  Attributes:
    prompt: int32 [N, P], right-aligned.
    prompt_mask: bool [N, P].
    keys: [N] keys, one a prompt.
    real: bool [N], False for rows that only fill up the batch.
    limit: int32 [], most tokens of a response.
    eos: int32 [E], tokens that end a response.
    stop: int32 [M, L], right-aligned sequences that end a response, ANY
      before them; rows of NEVER only fill up the table.
    processors: see `processing`.
    media: `vision.Media` of the N prompts, or None.
    first: int32 [], number of the first sample in the keys.
  """

  prompt: Any
  prompt_mask: Any
  keys: Any
  real: Any
  limit: Any
  eos: Any
  stop: Any
  processors: tuple[processing.Processor, ...]
  media: Any = None
  first: Any = 0


class Partner(NamedTuple):
  """A second model, whose distribution is mixed into what is sampled from.

  Attributes:
    params: of the same decoder.
    lora: adapter tree or None.
    coef: float32 [], its share; see `mixture_logits`.
  """

  params: Any
  lora: Any
  coef: Any


class Output(NamedTuple):
  """Responses; entries past a response's length are 0.

  Attributes:
    tokens: int32 [N, S, T].
    lengths: int32 [N, S].
    logps: float32 [N, S, T], log-probs under the sampling distribution.
    policy_logps: float32 [N, S, T], under the model itself.
    finish: int32 [N, S], an index of FINISH_REASONS.
  """

  tokens: jax.Array
  lengths: jax.Array
  logps: jax.Array
  policy_logps: jax.Array
  finish: jax.Array


class State(NamedTuple):
  """Of the loop; `step` tokens have been drawn."""

  step: jax.Array
  caches: tuple[caching.Cache, ...]  # of the model, and of its partner
  output: Output
  done: jax.Array  # bool [N, S]


def in_dtype(params: base.Params, dtype: Any) -> base.Params:
  """Matrices in the compute dtype, once and not at every step.

  Norms keep their precision: they compute in float32.
  """
  if dtype is None:
    return params

  def cast(path, leaf):
    is_norm = any(str(getattr(k, "key", k)).endswith("norm") for k in path)
    return leaf if is_norm else leaf.astype(dtype)

  return jax.tree_util.tree_map_with_path(cast, params)


def _row_keys(keys: jax.Array, samples: jax.Array, step) -> jax.Array:
  """[N, S] keys of one draw, whatever else is in the batch."""

  def one(key, sample):
    return jax.random.fold_in(jax.random.fold_in(key, sample), step)

  each = jax.vmap(one, in_axes=(None, 0))
  return jax.vmap(each, in_axes=(0, None))(keys, samples)


def likeliest(scores: jax.Array) -> jax.Array:
  """The first of the greatest entries of the last axis; 0 if one is NaN.

  As argmax, which CPUs take several times as long for.
  """
  top = jnp.max(scores, axis=-1, keepdims=True)
  size = scores.shape[-1]
  at = jnp.where(scores < top, size, jnp.arange(size, dtype=jnp.int32))
  return jnp.min(at, axis=-1)


def draw(
  all_logits: tuple[jax.Array, ...],
  coef: Any,
  request: Request,
  output: Output,
  step,
  greedy: bool,
):
  """(tokens, their log-probs under sampler and policy), each [N, S]."""
  logits = all_logits[0]

  def pick(scores: jax.Array, tokens: jax.Array) -> jax.Array:
    logps = jax.nn.log_softmax(scores, axis=-1)
    return jnp.take_along_axis(logps, tokens[..., None], axis=-1)[..., 0]

  history = processing.History(
    request.prompt, request.prompt_mask, output.tokens, step
  )
  mixed = logits
  if len(all_logits) > 1:
    mixed = mixtures.mixture_logits(*all_logits, coef=coef)
  scores = processing.apply(request.processors, mixed, history)
  if greedy:
    tokens = likeliest(scores)
    return tokens, jnp.zeros(tokens.shape, logits.dtype), pick(logits, tokens)
  samples = request.first + jnp.arange(logits.shape[1])
  keys = _row_keys(request.keys, samples, step)
  tokens = jax.vmap(jax.vmap(jax.random.categorical))(keys, scores)
  return tokens, pick(scores, tokens), pick(logits, tokens)


def _ends_with(tokens: jax.Array, step, stop: jax.Array) -> jax.Array:
  """Whether tokens [N, S, T] up to `step` end with a stop sequence, [N, S]."""
  count, longest = stop.shape
  if not count:
    return jnp.zeros(tokens.shape[:2], bool)
  padded = jnp.pad(
    tokens, ((0, 0), (0, 0), (longest, 0)), constant_values=_BEFORE
  )
  tail = jax.lax.dynamic_slice_in_dim(padded, step + 1, longest, axis=2)
  same = (tail[:, :, None] == stop) | (stop == ANY)  # [N, S, M, L]
  return jnp.any(jnp.all(same, axis=-1), axis=-1)


def record(state: State, request: Request, drawn) -> State:
  """Writes what was drawn at `state.step` and sees who is done."""
  token, logp, policy_logp = drawn
  step, output, done = state.step, state.output, state.done

  def put(rows: jax.Array, value: jax.Array) -> jax.Array:
    value = jnp.where(done, 0, value).astype(rows.dtype)
    return jax.lax.dynamic_update_slice_in_dim(
      rows, value[..., None], step, axis=2
    )

  tokens = put(output.tokens, token)
  is_eos = jnp.any(token[..., None] == request.eos, axis=-1)
  stops = _ends_with(tokens, step, request.stop)
  reason = jnp.where(is_eos, _EOS, jnp.where(stops, _STOP, _LENGTH))
  return state._replace(
    step=step + 1,
    output=Output(
      tokens=tokens,
      lengths=output.lengths + ~done,
      logps=put(output.logps, logp),
      policy_logps=put(output.policy_logps, policy_logp),
      finish=jnp.where(done, output.finish, reason),
    ),
    done=done | is_eos | stops,
  )


@functools.partial(
  jax.jit,
  static_argnames=(
    "model",
    "samples",
    "slots",
    "greedy",
    "dtype",
    "cache_dtype",
  ),
)
def decode(
  model: base.Model,
  params: base.Params,
  lora: Any,
  request: Request,
  partner: Partner | None = None,
  *,
  samples: int,
  slots: int,
  greedy: bool,
  dtype: Any = None,
  cache_dtype: Any = None,
) -> Output:
  """Continues every prompt `samples` times; prompts are computed once.

  Args:
    model: the model.
    params: its parameters.
    lora: adapter tree or None.
    request: prompts and settings.
    partner: a second model to mix in, or None.
    samples: S.
    slots: room for a response, T; `request.limit` is at most that.
    greedy: take the likeliest token instead of drawing one.
    dtype: compute dtype; None for that of the parameters.
    cache_dtype: of keys and values; None for the compute dtype (and
      float32 for bfloat16 on a CPU, which is faster there).
  """
  n = request.prompt.shape[0]
  sides = [(in_dtype(params, dtype), lora)]
  if partner is not None:
    sides.append((in_dtype(partner.params, dtype), partner.lora))
  coef = None if partner is None else partner.coef
  all_logits, caches = [], []
  for i, (weights, adapter) in enumerate(sides):
    hidden, cache = model.prefill(
      weights,
      request.prompt,
      request.prompt_mask,
      samples=samples,
      slots=slots,
      planned=request.limit,
      cache_dtype=cache_dtype,
      lora=adapter,
      dtype=dtype,
      media=request.media,
    )
    logits = model.scores(weights, hidden)  # [N, V]
    shape = (n, samples, logits.shape[-1])
    all_logits.append(jnp.broadcast_to(logits[:, None], shape))
    caches.append(model.unstack_cache(cache))
    sides[i] = model.unstack(weights, adapter)
  blank = jnp.zeros((n, samples, slots), logits.dtype)
  state = State(
    step=jnp.int32(0),
    caches=tuple(caches),
    output=Output(
      tokens=blank.astype(jnp.int32),
      lengths=jnp.zeros((n, samples), jnp.int32),
      logps=blank,
      policy_logps=blank,
      finish=jnp.full((n, samples), _LENGTH, jnp.int32),
    ),
    done=jnp.broadcast_to(~request.real[:, None], (n, samples)),
  )

  def advance(state: State, all_logits) -> State:
    drawn = draw(
      tuple(all_logits), coef, request, state.output, state.step, greedy
    )
    return record(state, request, drawn)

  def body(state: State) -> State:
    last = jax.lax.dynamic_slice_in_dim(
      state.output.tokens, state.step - 1, 1, axis=2
    )
    all_logits, caches = [], []
    for (weights, adapter), cache in zip(sides, state.caches, strict=True):
      weights, last = model.pinned(weights, last)
      hidden, cache = model.extend(
        weights, cache, last, state.step - 1, lora=adapter, dtype=dtype
      )
      all_logits.append(model.scores(weights, hidden[:, :, 0]))
      caches.append(cache)
    return advance(state._replace(caches=tuple(caches)), all_logits)

  def unfinished(state: State) -> jax.Array:
    return (state.step < request.limit) & ~jnp.all(state.done)

  return jax.lax.while_loop(unfinished, body, advance(state, all_logits)).output
