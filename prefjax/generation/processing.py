# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""From a model's logits to the distribution that is sampled from.

A processor is a small pytree with a call: (logits [N, S, V], history) ->
logits [N, S, V]. Its numbers are leaves, so another temperature compiles
nothing; what shapes depend on (k of top-k) is static. Processors are applied
in the order in which they are given.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from prefjax.core import errors


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


def _processor(*data: str, static: Sequence[str] = ()):
  """A frozen dataclass whose fields are leaves, but for the static ones."""

  def wrap(cls):
    cls = dataclasses.dataclass(frozen=True)(cls)
    return functools.partial(
      jax.tree_util.register_dataclass,
      data_fields=data,
      meta_fields=tuple(static),
    )(cls)

  return wrap


@_processor("value")
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


@_processor("p")
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


def apply(
  processors: Sequence[Processor], logits: jax.Array, history: History
) -> jax.Array:
  """Applies processors in turn."""
  for processor in processors:
    logits = processor(logits, history)
  return logits


def standard(
  temperature: float, top_k: int | None, top_p: float | None
) -> tuple[Processor, ...]:
  """Temperature, then top-k, then top-p; what changes nothing is left out.

  Raises:
    ConfigError: a value out of range.
  """
  if not 0 < temperature < float("inf"):
    raise errors.ConfigError(
      f"temperature={temperature} is not a positive number (greedy decoding"
      " is temperature=0 or greedy=True)"
    )
  processors: list[Processor] = []
  if temperature != 1.0:
    processors.append(Temperature(float(temperature)))
  if top_k is not None:
    if isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1:
      raise errors.ConfigError(f"top_k={top_k!r} is not a positive integer")
    processors.append(TopK(top_k))
  if top_p is not None:
    if not 0 < top_p <= 1:
      raise errors.ConfigError(f"top_p={top_p} is outside (0, 1]")
    if top_p < 1:
      processors.append(TopP(float(top_p)))
  return tuple(processors)
