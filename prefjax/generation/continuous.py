# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Continuous batching: where a response has ended, the next one begins.

So many rows are decoded at a time. The compiled loop runs until enough of
them have ended; the host then takes these away and puts waiting prompts in
their places, so that a long response does not hold up a batch of short ones.
Rows that began at different times share one clock (`caching.extend`).
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from prefjax.generation import decoding
from prefjax.models import base, caching

_STATIC = ("model", "greedy", "dtype", "cache_dtype")


class Settings(NamedTuple):
  """What all responses share; arrays only.

  Attributes:
    limit: int32 [], most tokens of a response.
    eos: int32 [E].
    stop: int32 [M, L], see `decoding.Request`.
    processors: see `processing`.
  """

  limit: Any
  eos: Any
  stop: Any
  processors: tuple[Any, ...]


class Rows(NamedTuple):
  """A places to fill: prompts and who asks.

  Attributes:
    place: int32 [A], the row; beyond the last for nobody.
    prompt: int32 [A, P], right-aligned.
    prompt_mask: bool [A, P].
    keys: [A] keys.
    sample: int32 [A], number of the response to its prompt.
  """

  place: Any
  prompt: Any
  prompt_mask: Any
  keys: Any
  sample: Any


class State(NamedTuple):
  """R rows; `clock` ticks with every token that the loop has drawn.

  A row that has drawn n tokens began at clock - n + 1.
  """

  clock: jax.Array
  began: jax.Array  # int32 [R]
  rows: Rows
  cache: caching.Cache  # N = R, S = 1
  output: decoding.Output  # [R, 1, ...]
  done: jax.Array  # bool [R, 1]


def _draw(
  settings: Settings,
  greedy: bool,
  rows: Rows,
  step: jax.Array,
  logits: jax.Array,
  output: decoding.Output,
  done: jax.Array,
):
  """(output, done) with the token number step [R] of every row.

  One row at a time under vmap: `decoding` draws for rows in step.
  """

  def one(prompt, mask, key, sample, step, logits, output, done):
    request = decoding.Request(
      prompt=prompt[None],
      prompt_mask=mask[None],
      keys=key[None],
      real=jnp.ones(1, bool),
      limit=settings.limit,
      eos=settings.eos,
      stop=settings.stop,
      processors=settings.processors,
      first=sample,
    )
    state = decoding.State(
      step=step,
      caches=(),
      output=jax.tree.map(lambda x: x[None], output),
      done=done[None],
    )
    drawn = decoding.draw(
      (logits[None, None],), None, request, state.output, step, greedy
    )
    state = decoding.record(state, request, drawn)
    return jax.tree.map(lambda x: x[0], (state.output, state.done))

  found, ended = jax.vmap(one)(
    rows.prompt, rows.prompt_mask, rows.keys, rows.sample, step, logits,
    output, done,
  )  # fmt: skip
  # A row that has ended may have no slot for a token any more.
  found = jax.tree.map(
    lambda old, new: jnp.where(
      done.reshape(-1, *[1] * (old.ndim - 1)), old, new
    ),
    output,
    found,
  )
  return found, ended | (step[:, None] + 1 >= settings.limit)


def _scatter(whole: jax.Array, part: jax.Array, place, axis: int) -> jax.Array:
  """`whole` with `part` at `place` of an axis; places beyond are dropped."""
  index = (*[slice(None)] * axis, place)
  return whole.at[index].set(part.astype(whole.dtype), mode="drop")


@functools.partial(jax.jit, static_argnames=_STATIC, donate_argnames=("state",))
def _admit(
  model: base.Model,
  params: base.Params,
  lora: Any,
  settings: Settings,
  state: State,
  rows: Rows,
  *,
  greedy: bool,
  dtype: Any,
  cache_dtype: Any,
) -> State:
  """Runs prompts, draws their first tokens and puts them into their rows."""
  weights = decoding.in_dtype(params, dtype)
  slots = state.cache.slots
  hidden, cache = model.prefill(
    weights,
    rows.prompt,
    rows.prompt_mask,
    samples=1,
    slots=slots,
    planned=settings.limit,
    cache_dtype=cache_dtype,
    lora=lora,
    dtype=dtype,
  )
  number = rows.place.shape[0]
  output, done = _draw(
    settings,
    greedy,
    rows,
    jnp.zeros(number, jnp.int32),
    model.scores(weights, hidden),
    blank(number, slots),
    jnp.zeros((number, 1), bool),
  )

  def put(whole, part, axis=0):
    return _scatter(whole, part, rows.place, axis)

  cache = model.unstack_cache(cache)
  prompt = jax.tree.map(
    lambda w, p: put(w, p, w.ndim - 4), state.cache.prompt, cache.prompt
  )
  return State(
    clock=state.clock,
    began=put(state.began, jnp.full(number, state.clock)),
    rows=jax.tree.map(put, state.rows, rows),
    cache=state.cache._replace(
      prompt=prompt,
      prompt_mask=put(state.cache.prompt_mask, cache.prompt_mask),
      # What is left of others in `own` is never looked at.
      lengths=put(state.cache.lengths, cache.lengths),
    ),
    output=jax.tree.map(put, state.output, output),
    done=put(state.done, done),
  )


@functools.partial(jax.jit, static_argnames=("model", "dtype"))
def _unstack(model: base.Model, params: base.Params, lora: Any, dtype: Any):
  """(parameters, adapter) as `_advance` takes them."""
  return model.unstack(decoding.in_dtype(params, dtype), lora)


@functools.partial(jax.jit, static_argnames=_STATIC, donate_argnames=("state",))
def _advance(
  model: base.Model,
  weights: base.Params,
  lora: Any,
  settings: Settings,
  state: State,
  enough: jax.Array,
  *,
  greedy: bool,
  dtype: Any,
  cache_dtype: Any,
) -> State:
  """Decodes until `enough` rows have ended."""
  del cache_dtype

  def body(state: State) -> State:
    step = state.clock - state.began  # place of the last token, [R]
    # Rows that have ended ask for tokens beyond their slots.
    last = jnp.take_along_axis(
      state.output.tokens, step[:, None, None], axis=2, mode="clip"
    )
    params, last = model.pinned(weights, last)
    hidden, cache = model.extend(
      params,
      state.cache,
      last,
      state.clock,
      began=state.began[:, None],
      lora=lora,
      dtype=dtype,
    )
    output, done = _draw(
      settings,
      greedy,
      state.rows,
      step + 1,
      model.scores(params, hidden[:, 0, 0]),
      state.output,
      state.done,
    )
    return state._replace(
      clock=state.clock + 1, cache=cache, output=output, done=done
    )

  return jax.lax.while_loop(
    lambda state: jnp.sum(state.done) < enough, body, state
  )


def blank(number: int, slots: int) -> decoding.Output:
  """Responses without a token."""
  shape = (number, 1, slots)
  return decoding.Output(  # no two are one buffer: they are given away
    tokens=jnp.zeros(shape, jnp.int32),
    lengths=jnp.zeros((number, 1), jnp.int32),
    logps=jnp.zeros(shape, jnp.float32),
    policy_logps=jnp.zeros(shape, jnp.float32),
    finish=jnp.zeros((number, 1), jnp.int32),
  )


def _empty(model, params, rows: Rows, slots: int, dtype, cache_dtype) -> State:
  """Rows that have all ended; `rows` has the right number and width."""
  number = rows.prompt.shape[0]

  def cache(params):
    _, made = model.prefill(
      params,
      rows.prompt,
      np.ones_like(rows.prompt_mask),
      samples=1,
      slots=slots,
      cache_dtype=cache_dtype,
      dtype=dtype,
    )
    return model.unstack_cache(made)

  shapes = jax.eval_shape(cache, params)
  return State(
    clock=jnp.int32(0),
    began=jnp.zeros(number, jnp.int32),
    rows=jax.tree.map(jnp.asarray, rows),
    cache=jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes),
    output=blank(number, slots),
    done=jnp.ones((number, 1), bool),
  )


def decode(
  model: base.Model,
  params: base.Params,
  lora: Any,
  settings: Settings,
  prompts: tuple[np.ndarray, np.ndarray],
  keys: jax.Array,
  *,
  samples: int,
  slots: int,
  rows: int,
  greedy: bool,
  dtype: Any = None,
  cache_dtype: Any = None,
) -> tuple[decoding.Output, int]:
  """Continues N prompts `samples` times each, `rows` responses at a time.

  Args:
    model: the model.
    params: its parameters.
    lora: adapter tree or None.
    settings: of all responses.
    prompts: (ids int32 [N, P] right-aligned, mask bool [N, P]).
    keys: [N] keys.
    samples: S; a prompt is run once for each of them.
    slots: room for a response, T.
    rows: decoded at a time.
    greedy: take the likeliest token instead of drawing one.
    dtype: compute dtype; None for that of the parameters.
    cache_dtype: of keys and values; None for the compute dtype (and
      float32 for bfloat16 on a CPU, which is faster there).

  Returns:
    (Output with arrays on the host [N, S, ...], steps of the loop).
  """
  number = prompts[0].shape[0] * samples
  rows = min(rows, number)
  refill = max(1, rows // 4)  # places that are filled together
  how = dict(greedy=greedy, dtype=dtype, cache_dtype=cache_dtype)

  def ask(waiting: Sequence[int], places: Sequence[int], size: int) -> Rows:
    """The next responses for these places, filled up to `size`."""
    fill = np.resize(np.asarray(waiting, int), size)
    place = np.full(size, rows, np.int32)
    place[: len(places)] = places
    at = fill // samples
    return Rows(
      place=place,
      prompt=prompts[0][at],
      prompt_mask=prompts[1][at],
      keys=keys[at],
      sample=(fill % samples).astype(np.int32),
    )

  state = _empty(model, params, ask([0], [], rows), slots, dtype, cache_dtype)
  out = jax.tree.map(
    lambda x: np.zeros((number, *x.shape[2:]), x.dtype), state.output
  )
  loose = _unstack(model, params, lora, dtype)
  owner = np.full(rows, -1)  # response that a row holds
  waiting = list(range(number))
  while waiting or (owner >= 0).any():
    free = np.flatnonzero(owner < 0).tolist()
    while free and waiting:
      count = min(refill, len(free), len(waiting))
      chosen, places = waiting[:count], free[:count]
      del waiting[:count], free[:count]
      owner[places] = chosen
      asked = ask(chosen, places, refill)
      state = _admit(model, params, lora, settings, state, asked, **how)
    held = int((owner >= 0).sum())
    # Idle rows count as ended; with nobody waiting, all have to end.
    enough = rows if not waiting else rows - held + min(refill, held)
    state = _advance(model, *loose, settings, state, np.int32(enough), **how)
    ended = np.flatnonzero(np.asarray(state.done)[:, 0] & (owner >= 0))
    for whole, part in zip(out, jax.device_get(state.output), strict=True):
      whole[owner[ended]] = part[ended, 0]
    owner[ended] = -1
  shape = (prompts[0].shape[0], samples)
  return (
    jax.tree.map(lambda x: x.reshape(*shape, *x.shape[1:]), out),
    int(state.clock),
  )
