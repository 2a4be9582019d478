# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Beam search: the likeliest responses, found W at a time.

Beams of a prompt are its continuations in the cache, so the prompt is
computed once. A beam that ends moves to a list of the W best finished
responses; the search ends where no running beam can still enter it.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from prefjax.core import errors
from prefjax.generation import decoding, processing, sampling
from prefjax.models import base, caching

_LOW = -1e30  # below any log-prob; -inf would give NaN in differences


class _Paths(NamedTuple):
  """W sequences of each prompt, running or finished."""

  tokens: jax.Array  # int32 [N, W, T]
  logps: jax.Array  # float32 [N, W, T]
  scores: jax.Array  # float32 [N, W], summed or, when finished, normalised
  lengths: jax.Array  # int32 [N, W]
  ended: jax.Array  # bool [N, W], by an end token


class _State(NamedTuple):
  step: jax.Array
  cache: caching.Cache
  running: _Paths
  finished: _Paths
  done: jax.Array  # bool [N]


@dataclasses.dataclass(frozen=True)
class Beams:
  """The best responses to N prompts, W each, best first.

  Attributes:
    generations: the responses; `logps` equal `policy_logps`.
    scores: float32 [N, W], summed log-probs over length^length_penalty.
  """

  generations: sampling.Generations
  scores: np.ndarray


def _take(paths: Any, index: jax.Array) -> Any:
  """Entries [N, W'] of arrays [N, W, ...]."""

  def one(x):
    at = index.reshape(*index.shape, *[1] * (x.ndim - 2))
    return jnp.take_along_axis(x, at, axis=1)

  return jax.tree.map(one, paths)


def _reorder(cache: caching.Cache, index: jax.Array) -> caching.Cache:
  """The cache with continuation index[n, w] in place w."""

  if index.shape[1] == 1:
    return cache

  def one(own):  # [(L,) N, G, W, T, h]
    axis = own.ndim - 3
    n, w = index.shape
    at = index.reshape(*[1] * (axis - 2), n, 1, w, 1, 1)
    return jnp.take_along_axis(own, at, axis=axis)

  return cache._replace(own=jax.tree.map(one, cache.own))


def _normalised(scores, lengths, penalty):
  return scores / lengths.astype(jnp.float32) ** penalty


def _best(paths: _Paths, number: int) -> _Paths:
  return _take(paths, jax.lax.top_k(paths.scores, number)[1])


def _join(first: _Paths, second: _Paths) -> _Paths:
  return jax.tree.map(
    lambda a, b: jnp.concatenate([a, b], axis=1), first, second
  )


def _expand(state: _State, logits, request, penalty):
  """(parents of the new beams [N, W], running, finished) after a token."""
  running, step = state.running, state.step
  n, w, vocab = logits.shape
  history = processing.History(
    request.prompt, request.prompt_mask, running.tokens, step
  )
  scores = processing.apply(request.processors, logits, history)
  logps = jnp.maximum(jax.nn.log_softmax(scores, axis=-1), _LOW)
  total = (running.scores[..., None] + logps).reshape(n, -1)
  # Twice as many as beams: at most W of them end here.
  best, place = jax.lax.top_k(total, min(2 * w, w * vocab))
  parent, token = place // vocab, (place % vocab).astype(jnp.int32)
  plain = jax.nn.log_softmax(logits, axis=-1).reshape(n, -1)
  paths = _take(running, parent)

  def put(rows, value):
    return jax.lax.dynamic_update_slice_in_dim(
      rows, value[..., None].astype(rows.dtype), step, axis=2
    )

  paths = paths._replace(
    tokens=put(paths.tokens, token),
    logps=put(paths.logps, jnp.take_along_axis(plain, place, axis=1)),
    scores=best,
    lengths=paths.lengths + 1,
    ended=jnp.any(token[..., None] == request.eos, axis=-1),
  )
  # As in a search of width W, only the W best candidates may end.
  leaves = paths.ended & (jnp.arange(paths.scores.shape[1]) < w)
  normal = _normalised(paths.scores, paths.lengths, penalty)
  leaving = paths._replace(scores=jnp.where(leaves, normal, _LOW))
  finished = _best(_join(state.finished, leaving), w)
  staying = jnp.where(paths.ended, 2 * _LOW, paths.scores)
  order = jax.lax.top_k(staying, w)[1]
  kept = _take(paths._replace(scores=staying), order)
  return jnp.take_along_axis(parent, order, axis=1), kept, finished


@functools.partial(
  jax.jit,
  static_argnames=("model", "beams", "slots", "dtype", "cache_dtype"),
)
def _search(
  model: base.Model,
  params: base.Params,
  lora: Any,
  request: decoding.Request,
  penalty: Any,
  *,
  beams: int,
  slots: int,
  dtype: Any,
  cache_dtype: Any,
) -> _Paths:
  params = decoding.in_dtype(params, dtype)
  n = request.prompt.shape[0]
  hidden, cache = model.prefill(
    params,
    request.prompt,
    request.prompt_mask,
    samples=beams,
    slots=slots,
    planned=request.limit,
    cache_dtype=cache_dtype,
    lora=lora,
    dtype=dtype,
  )
  logits = model.scores(params, hidden)
  params, lora = model.unstack(params, lora)
  logits = jnp.broadcast_to(logits[:, None], (n, beams, logits.shape[-1]))
  blank = _Paths(
    tokens=jnp.zeros((n, beams, slots), jnp.int32),
    logps=jnp.zeros((n, beams, slots), logits.dtype),
    # Beams begin alike: only the first may be continued.
    scores=jnp.where(jnp.arange(beams) == 0, 0.0, _LOW)
    * jnp.ones((n, 1), jnp.float32),
    lengths=jnp.zeros((n, beams), jnp.int32),
    ended=jnp.zeros((n, beams), bool),
  )
  state = _State(
    step=jnp.int32(0),
    cache=model.unstack_cache(cache),
    running=blank,
    finished=blank._replace(scores=jnp.full((n, beams), 2 * _LOW)),
    done=~request.real,
  )

  def advance(state: _State, logits) -> _State:
    parent, running, finished = _expand(state, logits, request, penalty)

    def keep(new, old):
      done = state.done.reshape(-1, *[1] * (new.ndim - 1))
      return jnp.where(done, old, new)

    running = jax.tree.map(keep, running, state.running)
    finished = jax.tree.map(keep, finished, state.finished)
    # The best that a running beam can still get: no further loss, and the
    # length that divides it most.
    longest = jnp.where(penalty > 0, request.limit, state.step + 1)
    hope = _normalised(running.scores[:, 0], longest, penalty)
    full = finished.scores[:, -1] > _LOW
    done = state.done | (full & (hope <= finished.scores[:, -1]))
    return state._replace(
      step=state.step + 1,
      cache=_reorder(state.cache, parent),
      running=running,
      finished=finished,
      done=done,
    )

  def body(state: _State) -> _State:
    last = jax.lax.dynamic_slice_in_dim(
      state.running.tokens, state.step - 1, 1, axis=2
    )
    weights, last = model.pinned(params, last)
    hidden, cache = model.extend(
      weights, state.cache, last, state.step - 1, lora=lora, dtype=dtype
    )
    logits = model.scores(weights, hidden[:, :, 0])
    return advance(state._replace(cache=cache), logits)

  def unfinished(state: _State) -> jax.Array:
    return (state.step < request.limit) & ~jnp.all(state.done)

  state = jax.lax.while_loop(unfinished, body, advance(state, logits))
  # What the limit cut off competes with what ended; not where all is settled.
  cut = state.running._replace(
    scores=jnp.where(
      state.done[:, None] | (state.running.scores <= _LOW),
      2 * _LOW,
      _normalised(state.running.scores, state.running.lengths, penalty),
    )
  )
  return _best(_join(state.finished, cut), beams)


def beam_search(
  model: base.Model,
  params: base.Params,
  prompts: Sequence[Sequence[int]],
  *,
  max_new_tokens: int,
  num_beams: int = 4,
  length_penalty: float = 1.0,
  repetition_penalty: float = 1.0,
  processors: Sequence[processing.Processor] = (),
  eos_ids: Sequence[int] | None = None,
  lora: Any = None,
  dtype: Any = None,
  cache_dtype: Any = None,
) -> Beams:
  """The likeliest responses that a search of limited width finds.

  Args:
    model: the model.
    params: its parameters.
    prompts: N lists of token ids, at least one id each.
    max_new_tokens: most tokens of a response, EOS included.
    num_beams: responses kept at a time, W.
    length_penalty: a response is ranked by its summed log-prob over its
      length to this power; 0 ranks by the sum.
    repetition_penalty: as for `generate`.
    processors: changes of the distribution that is searched.
    eos_ids: tokens that end a response; None for the model's own EOS.
    lora: adapter tree or None.
    dtype: compute dtype; None for that of the parameters.
    cache_dtype: of keys and values; None for the compute dtype (and
      float32 for bfloat16 on a CPU, which is faster there).

  Returns:
    Beams. Fewer than W responses may exist (a tiny vocabulary): the others
    have length 0.

  Raises:
    ConfigError, DataError, ModelError: as `generate`.
  """
  sampling.check_positive(max_new_tokens=max_new_tokens, num_beams=num_beams)
  sampling.check_prompts(prompts, model.config.vocab_size)
  if not -100 < length_penalty < 100:
    raise errors.ConfigError(f"length_penalty={length_penalty} is no exponent")
  if not prompts:
    raise errors.DataError("prompts: there are none")
  if eos_ids is None:
    eos = model.config.eos_id
    eos_ids = () if eos is None else (eos,)
  longest = max(map(len, prompts))
  model.check_length(longest, max_new_tokens)
  ids, mask = sampling.align(prompts, sampling.bucket(longest), len(prompts))
  request = decoding.Request(
    prompt=ids,
    prompt_mask=mask,
    keys=np.zeros(len(prompts), np.uint32),
    real=np.ones(len(prompts), bool),
    limit=np.int32(max_new_tokens),
    eos=sampling.padded(list(eos_ids)),
    stop=np.zeros((0, 0), np.int32),
    processors=(
      *processing.standard(repetition_penalty=repetition_penalty),
      *processors,
    ),
  )
  found = jax.device_get(
    _search(
      model,
      params,
      lora,
      request,
      np.float32(length_penalty),
      beams=num_beams,
      slots=sampling.bucket(max_new_tokens),
      dtype=None if dtype is None else jnp.dtype(dtype),
      cache_dtype=None if cache_dtype is None else jnp.dtype(cache_dtype),
    )
  )
  exists = found.scores > _LOW
  lengths = np.where(exists, found.lengths, 0)
  kept = np.arange(max_new_tokens) < lengths[..., None]
  logps = np.where(kept, found.logps[..., :max_new_tokens], 0)
  eos_code = decoding.FINISH_REASONS.index("eos")
  made = sampling.Generations(
    tokens=np.where(kept, found.tokens[..., :max_new_tokens], 0),
    lengths=lengths,
    logps=logps,
    policy_logps=logps.copy(),
    finish=np.where(found.ended & exists, eos_code, 0).astype(np.int32),
  )
  return Beams(made, np.where(exists, found.scores, -np.inf))
