# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""From a model's logits to the distribution that is sampled from.

A processor is a small pytree with a call: (logits [N, S, V], history) ->
logits [N, S, V]. Its numbers are leaves, so another temperature compiles
nothing; what shapes depend on (k of top-k) is static. Processors are applied
in the order in which they are given.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from prefjax.core import errors, pytrees


class History(NamedTuple):
  """What has been said before the token that is to be drawn.

  Attributes:
    prompt: int32 [N, P], right-aligned.
    prompt_mask: bool [N, P].
    tokens: int32 [N, S, T], of which the first `step` count.
    step: int32 [], number of tokens drawn so far.
  """

  prompt: jax.Array
  prompt_mask: jax.Array
  tokens: jax.Array
  step: jax.Array


class Processor(Protocol):
  """A change of the distribution over the next token."""

  def __call__(self, logits: jax.Array, history: History) -> jax.Array:
    """float32 [N, S, V] -> float32 [N, S, V]; -inf rules a token out."""


def _processor(*, static: Sequence[str] = ()):
  """A frozen dataclass whose fields are leaves, but for the static ones."""

  def wrap(cls):
    return pytrees.register(dataclasses.dataclass(frozen=True)(cls), static)

  return wrap


@_processor()
class Temperature:
  """Logits divided by a positive temperature."""

  value: Any

  def __call__(self, logits: jax.Array, history: History) -> jax.Array:
    del history
    return logits / self.value


@_processor(static=("k",))
class TopK:
  """The k likeliest tokens; ties with the last of them stay in."""

  k: int

  def __call__(self, logits: jax.Array, history: History) -> jax.Array:
    del history
    if self.k >= logits.shape[-1]:
      return logits
    least = jax.lax.top_k(logits, self.k)[0][..., -1:]
    return jnp.where(logits >= least, logits, -jnp.inf)


@_processor()
class TopP:
  """The smallest set of likeliest tokens of probability p or more.

  Nucleus sampling (Holtzman et al., arXiv 1904.09751). The likeliest token
  always stays; ties with the last one stay in.
  """

  p: Any

  def __call__(self, logits: jax.Array, history: History) -> jax.Array:
    del history
    ordered = jnp.sort(logits, axis=-1, descending=True)
    probs = jax.nn.softmax(ordered, axis=-1)
    before = jnp.cumsum(probs, axis=-1) - probs
    kept = (before < self.p) | (jnp.arange(logits.shape[-1]) == 0)
    least = jnp.min(jnp.where(kept, ordered, jnp.inf), axis=-1, keepdims=True)
    return jnp.where(logits >= least, logits, -jnp.inf)


@_processor()
class MinP:
  """Tokens with at least p times the probability of the likeliest one.

  Nguyen et al., "Turning Up the Heat: Min-p Sampling for Creative and
  Coherent LLM Outputs", arXiv:2407.01082.
  """

  p: Any

  def __call__(self, logits: jax.Array, history: History) -> jax.Array:
    del history
    best = jnp.max(logits, axis=-1, keepdims=True)
    # The likeliest token stays whatever rounding does.
    least = jnp.minimum(best + jnp.log(self.p), best)
    return jnp.where(logits >= least, logits, -jnp.inf)


def _said(history: History, shape: tuple[int, ...]) -> jax.Array:
  """bool [N, S, V]: tokens of the prompt and of the response so far."""
  n, s, v = shape
  rows, columns = jnp.arange(n)[:, None], jnp.arange(s)[None, :]
  # Ids beyond the vocabulary are dropped: they stand for pads.
  prompt = jnp.where(history.prompt_mask, history.prompt, v)  # [N, P]
  said = jnp.zeros((n, v), bool).at[rows, prompt].set(True, mode="drop")
  slots = jnp.arange(history.tokens.shape[-1])
  own = jnp.where(slots < history.step, history.tokens, v)  # [N, S, T]
  said = jnp.broadcast_to(said[:, None], shape)
  return said.at[rows[..., None], columns[..., None], own].set(
    True, mode="drop"
  )


@_processor()
class RepetitionPenalty:
  """Positive logits of what was said divided by a number, others multiplied.

  Keskar et al., "CTRL: A Conditional Transformer Language Model for
  Controllable Generation", arXiv:1909.05858, section 4.1. The prompt counts
  as said.
  """

  value: Any

  def __call__(self, logits: jax.Array, history: History) -> jax.Array:
    said = _said(history, logits.shape)
    lowered = jnp.where(logits > 0, logits / self.value, logits * self.value)
    return jnp.where(said, lowered, logits)


@_processor()
class Allowed:
  """Only some tokens of the vocabulary: a bool [V] mask."""

  mask: Any

  def __call__(self, logits: jax.Array, history: History) -> jax.Array:
    del history
    return jnp.where(jnp.asarray(self.mask, bool), logits, -jnp.inf)


@_processor()
class Grammar:
  """A finite automaton over tokens: only what it knows next may be said.

  Attributes:
    transitions: int32 [Q, V], the state after a token, -1 where the token
      may not be said. A response begins in state 0; every state that can be
      reached needs a token, such as the one that ends the response.
  """

  transitions: Any

  def __call__(self, logits: jax.Array, history: History) -> jax.Array:
    table = jnp.asarray(self.transitions)
    state = jnp.zeros(history.tokens.shape[:2], jnp.int32)

    def follow(t, state):
      token = jax.lax.dynamic_index_in_dim(
        history.tokens, t, axis=2, keepdims=False
      )
      # Rows that are done may hold anything; state -1 is no place to look.
      return jnp.maximum(table[state, token], 0)

    state = jax.lax.fori_loop(0, history.step, follow, state)
    return jnp.where(table[state] >= 0, logits, -jnp.inf)


def apply(
  processors: Sequence[Processor], logits: jax.Array, history: History
) -> jax.Array:
  """Applies processors in turn."""
  for processor in processors:
    logits = processor(logits, history)
  return logits


def _check(name: str, value: Any, low: float, high: float) -> None:
  """A number above `low`, at most `high`."""
  is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
  if not is_number or not low < value <= high:
    raise errors.ConfigError(f"{name}={value!r} is outside ({low:g}, {high:g}]")


def standard(
  temperature: float = 1.0,
  top_k: int | None = None,
  top_p: float | None = None,
  min_p: float | None = None,
  repetition_penalty: float = 1.0,
  *,
  greedy: bool = False,
) -> tuple[Processor, ...]:
  """Repetition penalty, temperature, top-k, top-p, min-p, in this order.

  What changes nothing is left out; a greedy choice only looks at the first.

  Raises:
    ConfigError: a value out of range.
  """
  processors: list[Processor] = []
  _check("repetition_penalty", repetition_penalty, 0, 1e6)
  if repetition_penalty != 1.0:
    processors.append(RepetitionPenalty(float(repetition_penalty)))
  if greedy:
    return tuple(processors)
  if not 0 < temperature < float("inf"):
    raise errors.ConfigError(
      f"temperature={temperature} is not a positive number (greedy decoding"
      " is temperature=0 or greedy=True)"
    )
  if temperature != 1.0:
    processors.append(Temperature(float(temperature)))
  if top_k is not None:
    if isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1:
      raise errors.ConfigError(f"top_k={top_k!r} is not a positive integer")
    processors.append(TopK(top_k))
  if top_p is not None:
    _check("top_p", top_p, 0, 1)
    if top_p < 1:
      processors.append(TopP(float(top_p)))
  if min_p is not None and min_p != 0:
    _check("min_p", min_p, 0, 1)
    processors.append(MinP(float(min_p)))
  return tuple(processors)
