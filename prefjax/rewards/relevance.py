# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Regularised relevance: a reward from embeddings, length and repetition.

The method is R3, "Preference-free Alignment Learning with Regularized
Relevance Reward", arXiv:2402.03469.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefjax.core import checks, errors, masking, numerics

STOPS = ("USER:", "ASSISTANT:", "\n\n\n\n", "\n\n--", "\n\n____")

_WORDS = re.compile(r"\w+|[^\w\s]+")
# Words a hundred: the unit of lengths in the closed formula too.
_HUNDRED = 100.0
_WIDTH = 64  # words that padded texts are a multiple of


def clean_response(*, text: str, stops: Sequence[str] = STOPS) -> str:
  """A response up to where it starts to play another role.

  Args:
    text: the response.
    stops: it is cut at the earliest of these.

  Returns:
    The text before it, without newlines and spaces at the ends.
  """
  text = text.strip("\n ")
  cuts = [at for at in (text.find(stop) for stop in stops if stop) if at >= 0]
  return text[: min(cuts, default=len(text))].strip("\n ")


def tokenize_words(*, text: str) -> list[str]:
  """Runs of word characters and runs of punctuation, in order."""
  return _WORDS.findall(text)


def length_incentive(lengths, *, unit=100.0) -> jax.Array:
  """Lengths in hundreds of words.

  Args:
    lengths: [B], words of the responses.
    unit: > 0, words that give an incentive of 1.

  Returns:
    [B] float32.

  Raises:
    ValueError: unit is out of range.
  """
  checks.in_range("length_incentive", 0, low_open=True, unit=unit)
  return numerics.to_float32(lengths)[0] / unit


def ngram_diversity(tokens, mask, *, n=3) -> jax.Array:
  """Share of distinct n-grams.

  Args:
    tokens: int [B, T].
    mask: [B, T], which tokens there are; the others are taken out before
      n-grams are formed.
    n: 1 or more.

  Returns:
    [B] float32 in (0, 1]; 1 where there is no n-gram.

  Raises:
    ValueError: shapes differ or n is out of range.
  """
  checks.same_shape("ngram_diversity", tokens=tokens, mask=mask)
  checks.rank("ngram_diversity", 2, tokens=tokens)
  checks.in_range("ngram_diversity", 1, n=n)
  kept = jnp.asarray(mask).astype(bool)
  # Real tokens first, in their order.
  order = jnp.argsort(~kept, axis=-1, stable=True)
  tokens = jnp.take_along_axis(jnp.asarray(tokens), order, axis=-1)
  length = jnp.sum(kept, axis=-1, keepdims=True)
  places = tokens.shape[1] - n + 1
  if places < 1:
    return jnp.ones(tokens.shape[0], jnp.float32)
  grams = jnp.stack([tokens[:, i : i + places] for i in range(n)], axis=-1)
  exists = jnp.arange(places)[None] < length - n + 1  # [B, places]
  # Sorted by token, equal n-grams are neighbours: no places^2 table.
  keys = tuple(grams[..., i] for i in range(n)) + (~exists,)
  order = jnp.lexsort(keys, axis=-1)
  grams = jnp.take_along_axis(grams, order[..., None], axis=1)
  exists = jnp.take_along_axis(exists, order, axis=1)
  changes = jnp.any(grams[:, 1:] != grams[:, :-1], axis=-1)
  first = jnp.ones((tokens.shape[0], 1), bool)
  fresh = jnp.concatenate([first, changes], axis=1)
  number = jnp.sum(exists, axis=-1)
  distinct = jnp.sum(fresh & exists, axis=-1)
  return jnp.where(number > 0, distinct / jnp.maximum(number, 1), 1.0).astype(
    jnp.float32
  )


def mean_pool(hidden, mask) -> jax.Array:
  """Mean of the states of real tokens.

  Args:
    hidden: [B, T, D].
    mask: [B, T], which tokens there are; others may hold anything.

  Returns:
    [B, D] float32; 0 for an empty text.

  Raises:
    ValueError: shapes do not fit.
  """
  if jnp.shape(mask) != jnp.shape(hidden)[:-1]:
    raise ValueError(
      f"mean_pool: mask has shape {jnp.shape(mask)}, expected"
      f" {jnp.shape(hidden)[:-1]}"
    )
  (hidden,) = numerics.to_float32(hidden)
  kept = jnp.asarray(mask).astype(bool)[..., None]
  total = jnp.sum(masking.replace(hidden, kept), axis=-2)
  number = jnp.sum(kept, axis=-2).astype(total.dtype)
  return total / jnp.maximum(number, 1)


def relevance(query_embeddings, response_embeddings) -> jax.Array:
  """Dot product of two embeddings.

  Args:
    query_embeddings: [..., D].
    response_embeddings: [..., D].

  Returns:
    [...] float32.

  Raises:
    ValueError: shapes differ.
  """
  checks.same_shape(
    "relevance",
    query_embeddings=query_embeddings,
    response_embeddings=response_embeddings,
  )
  query, response = numerics.to_float32(query_embeddings, response_embeddings)
  return jnp.sum(query * response, axis=-1)


def r3(
  relevance,
  lengths,
  diversity,
  open_ended,
  *,
  max_length=512,
  relevance_range=(0.0, 3.5),
  unit=100.0,
  use_length=True,
  use_repetition=True,
  use_relevance=True,
  branch=True,
) -> jax.Array:
  """Relevance, kept honest by length and repetition.

    open:   lengths / unit * relevance * diversity
    closed: (relevance - low) / (high - low) * max_length / 100 * diversity

  Args:
    relevance: [B], of the response to the query, or to the reference answer
      of a closed question.
    lengths: [B], words of the responses.
    diversity: [B], from `ngram_diversity`.
    open_ended: [B], whether the question is open.
    max_length: > 0, longest response, so that both formulas share a range.
    relevance_range: (low, high), usual relevance; depends on the encoder.
    unit: > 0, words that give a length factor of 1.
    use_length: False leaves the length out of the open formula.
    use_repetition: False leaves the diversity out.
    use_relevance: False leaves the relevance out, and takes no closed
      formula.
    branch: False takes the open formula always.

  Returns:
    [B] float32, not clipped.

  Raises:
    ValueError: shapes differ or a keyword is out of range.
  """
  checks.in_range("r3", 0, low_open=True, max_length=max_length)
  low, high = relevance_range
  if not low < high:
    raise ValueError(
      f"r3: relevance_range={tuple(relevance_range)}, expected low < high"
    )
  checks.same_shape(
    "r3",
    relevance=relevance,
    lengths=lengths,
    diversity=diversity,
    open_ended=open_ended,
  )
  relevance, diversity = numerics.to_float32(relevance, diversity)
  reward = jnp.ones_like(relevance)
  if use_length:
    reward = length_incentive(lengths, unit=unit).astype(relevance.dtype)
  if use_relevance:
    reward = reward * relevance
    if branch:
      closed = (relevance - low) / (high - low) * (max_length / _HUNDRED)
      is_open = jnp.asarray(open_ended).astype(bool)
      reward = jnp.where(is_open, reward, closed)
  return reward * diversity if use_repetition else reward


def relevance_scorer(
  encode_fn: Callable[[list[str]], Any], **options: Any
) -> Callable[..., np.ndarray]:
  """A scorer of texts from any sentence encoder (host).

  Args:
    encode_fn: texts -> embeddings [N, D].
    **options: keywords of `r3`.

  Returns:
    (prompts, responses, references=None, open_ended=None) -> float32 [B].
    A row is closed where open_ended is false; it then needs a reference.
  """

  def score(
    prompts: Sequence[str],
    responses: Sequence[str],
    references: Sequence[str | None] | None = None,
    open_ended: Sequence[bool] | None = None,
  ) -> np.ndarray:
    number = len(prompts)
    is_open = [True] * number if open_ended is None else list(open_ended)
    references = [None] * number if references is None else list(references)
    for name, values in (
      ("responses", responses),
      ("references", references),
      ("open_ended", is_open),
    ):
      if len(values) != number:
        raise errors.DataError(
          f"relevance_scorer: {len(values)} {name} for {number} prompts"
        )
    targets = []
    for row in range(number):
      if not is_open[row] and references[row] is None:
        raise errors.DataError(
          f"relevance_scorer: row {row} is closed, but has no reference"
        )
      targets.append(prompts[row] if is_open[row] else references[row])
    texts = [clean_response(text=text) for text in responses]
    words = [tokenize_words(text=text) for text in texts]
    ids = {w: i for i, w in enumerate(sorted({w for ws in words for w in ws}))}
    # Few widths, so that the programs below are compiled for few shapes.
    width = -(-max(map(len, words), default=0) // _WIDTH) * _WIDTH
    tokens = np.zeros((number, width), np.int32)
    mask = np.zeros((number, width), bool)
    for row, row_words in enumerate(words):
      tokens[row, : len(row_words)] = [ids[w] for w in row_words]
      mask[row, : len(row_words)] = True
    values = r3(
      relevance(np.asarray(encode_fn(targets)), np.asarray(encode_fn(texts))),
      mask.sum(axis=1),
      ngram_diversity(tokens, mask),
      np.asarray(is_open),
      **options,
    )
    return np.asarray(values)

  return score
