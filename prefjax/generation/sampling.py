# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Responses to token prompts: batches, buckets and keys around the loop."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefjax.core import errors, prng
from prefjax.generation import continuous, decoding, processing
from prefjax.models import base, vision

_SMALLEST_BUCKET = 16
# Fields of a request that lead with N.
_ROWS = ("prompt", "prompt_mask", "keys", "real", "media")


@dataclasses.dataclass(frozen=True)
class Generations:
  """Responses to N prompts, S each, on the host.

  Entries past a response's length are 0. The token that ended a response
  (EOS, or the last of a stop sequence) is part of it and is counted.

  Attributes:
    tokens: int32 [N, S, T].
    lengths: int32 [N, S], number of tokens.
    logps: float32 [N, S, T], log-prob of each token under the distribution
      it was drawn from (temperature, top-k, top-p applied); 0 where greedy.
    policy_logps: float32 [N, S, T], its log-prob under the model itself.
    finish: int32 [N, S], index of `FINISH_REASONS`.
  """

  tokens: np.ndarray
  lengths: np.ndarray
  logps: np.ndarray
  policy_logps: np.ndarray
  finish: np.ndarray

  @property
  def mask(self) -> np.ndarray:
    """bool [N, S, T], True at tokens of a response."""
    return np.arange(self.tokens.shape[-1]) < self.lengths[..., None]

  def responses(self) -> list[list[list[int]]]:
    """Token ids as nested lists, [N][S][length]."""
    return [
      [row[:n].tolist() for row, n in zip(rows, counts, strict=True)]
      for rows, counts in zip(self.tokens, self.lengths, strict=True)
    ]

  def finish_reasons(self) -> list[list[str]]:
    """ "length", "eos" or "stop" of each response, [N][S]."""
    return [
      [decoding.FINISH_REASONS[code] for code in row] for row in self.finish
    ]


def bucket(length: int, smallest: int = _SMALLEST_BUCKET) -> int:
  """The least of 16, 24, 32, 48, 64, 96, ... that is not below `length`."""
  size = smallest
  while size < length:
    size = size * 3 // 2 if size & (size - 1) == 0 else size * 4 // 3
  return size


def generate(
  model: base.Model,
  params: base.Params,
  prompts: Sequence[Sequence[int]],
  *,
  max_new_tokens: int,
  num_samples: int = 1,
  temperature: float = 1.0,
  top_k: int | None = None,
  top_p: float | None = None,
  min_p: float | None = None,
  repetition_penalty: float = 1.0,
  greedy: bool = False,
  processors: Sequence[processing.Processor] = (),
  eos_ids: Sequence[int] | None = None,
  stop: Sequence[Sequence[int]] = (),
  seed: int = 0,
  step: int = 0,
  prompt_ids: Sequence[int] | None = None,
  lora: Any = None,
  dtype: Any = None,
  cache_dtype: Any = None,
  batch_size: int | None = None,
  rows: int | None = None,
  partner: decoding.Partner | None = None,
  place: Callable[[Any], Any] | None = None,
  media: vision.Media | None = None,
) -> Generations:
  """Continues prompts with a model.

  A draw depends on (seed, step, prompt id, sample, place in the response)
  and the model's distribution alone, not on what else is in the batch. A
  prompt is computed once for all of its samples. Lengths are rounded up to a
  few buckets, so that other prompts seldom compile anything.

  Args:
    model: the model.
    params: its parameters.
    prompts: N lists of token ids, at least one id each.
    max_new_tokens: most tokens of a response, EOS included.
    num_samples: responses to each prompt, S.
    temperature: divides the logits; 0 is the same as `greedy`.
    top_k: draw among the k likeliest tokens only.
    top_p: draw among the likeliest tokens of this total probability only.
    min_p: draw among tokens of at least this share of the probability of the
      likeliest one only.
    repetition_penalty: lowers the logits of what prompt and response have
      said already; 1 does not. A greedy choice looks at it too.
    greedy: always take the likeliest token.
    processors: more changes of the distribution, after the above; see
      `processing`.
    eos_ids: tokens that end a response; None for the model's own EOS, empty
      for none.
    stop: token sequences that end a response as well.
    seed: of the draws.
    step: a second number to tell draws apart, e.g. the training step.
    prompt_ids: [N] numbers that stand for the prompts in the keys; None for
      0 .. N - 1.
    lora: adapter tree or None.
    dtype: compute dtype; None for that of the parameters.
    cache_dtype: of keys and values; None for the compute dtype (and
      float32 for bfloat16 on a CPU, which is faster there).
    batch_size: prompts that are decoded together; None for all.
    rows: responses that are decoded at a time, the next beginning where one
      has ended (continuous batching), so that a long one holds up nobody;
      on one device, and each sample runs its prompt. None for `batch_size`.
    partner: a second model of the same decoder to mix in; `policy_logps`
      stay those of the first.
    place: puts rows [N, ...] on devices, e.g. spread over a mesh; None
      leaves that to JAX.
    media: images and frames that come before the prompts, or None.

  Returns:
    Generations, in the order of the prompts; T is `max_new_tokens`.

  Raises:
    ConfigError: a setting out of range.
    DataError: an empty prompt or an id outside the vocabulary.
    ModelError: prompt and response exceed the model's positions.
  """
  count = len(prompts)
  check_positive(max_new_tokens=max_new_tokens, num_samples=num_samples)
  if batch_size is not None:
    check_positive(batch_size=batch_size)
  check_prompts(prompts, model.config.vocab_size)
  greedy = greedy or temperature == 0
  standard = processing.standard(
    temperature, top_k, top_p, min_p, repetition_penalty, greedy=greedy
  )
  if eos_ids is None:
    eos = model.config.eos_id
    eos_ids = () if eos is None else (eos,)
  ids = range(count) if prompt_ids is None else prompt_ids
  if len(ids) != count:
    raise errors.ConfigError(
      f"prompt_ids has {len(ids)} entries for {count} prompts"
    )
  if count:
    seen = 0 if media is None else media.number
    seen = vision.prefix_tokens(model.config, seen)
    model.check_length(seen + max(map(len, prompts)), max_new_tokens)
  if rows is not None:
    check_positive(rows=rows)
    for name, value in dict(
      batch_size=batch_size, partner=partner, place=place, media=media
    ).items():
      if value is not None:
        raise errors.ConfigError(f"rows: does not go together with {name}")
  slots = bucket(max_new_tokens)
  keys = prng.example_keys(seed, step, "generation", np.asarray(ids, np.int64))
  compute = dict(
    greedy=greedy,
    dtype=None if dtype is None else jnp.dtype(dtype),
    cache_dtype=None if cache_dtype is None else jnp.dtype(cache_dtype),
  )
  processors = (*standard, *processors)
  if rows is not None and count:
    found, _ = continuous.decode(
      model,
      params,
      lora,
      continuous.Settings(
        limit=np.int32(max_new_tokens),
        eos=padded(list(eos_ids)),
        stop=_stops(stop),
        processors=processors,
      ),
      align(prompts, bucket(max(map(len, prompts))), count),
      keys,
      samples=num_samples,
      slots=slots,
      rows=rows,
      **compute,
    )
    return Generations(
      *(x[..., :max_new_tokens] if x.ndim == 3 else x for x in found)
    )
  shape = (count, num_samples, max_new_tokens)
  parts = decoding.Output(
    tokens=np.zeros(shape, np.int32),
    lengths=np.zeros(shape[:2], np.int32),
    logps=np.zeros(shape, np.float32),
    policy_logps=np.zeros(shape, np.float32),
    finish=np.zeros(shape[:2], np.int32),
  )
  for which, width, size in _batches([len(p) for p in prompts], batch_size):
    prompt, mask = align([prompts[i] for i in which], width, size)
    fill = np.resize(which, size)  # repeated rows only fill up the batch
    request = decoding.Request(
      prompt=prompt,
      prompt_mask=mask,
      keys=keys[fill],
      real=np.arange(size) < len(which),
      limit=np.int32(max_new_tokens),
      eos=padded(list(eos_ids)),
      stop=_stops(stop),
      processors=processors,
      media=jax.tree.map(lambda x, fill=fill: np.asarray(x)[fill], media),
    )
    if place is not None:
      request = request._replace(
        **place({name: getattr(request, name) for name in _ROWS})
      )
    output = decoding.decode(
      model,
      params,
      lora,
      request,
      partner,
      samples=num_samples,
      slots=slots,
      **compute,
    )
    for whole, part in zip(parts, jax.device_get(output), strict=True):
      part = part[: len(which)]
      whole[which] = part if whole.ndim == 2 else part[..., :max_new_tokens]
  return Generations(**parts._asdict())


def check_positive(**values: Any) -> None:
  """Checks that values are whole numbers above 0.

  Raises:
    ConfigError: names the first that is not.
  """
  for name, value in values.items():
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
      raise errors.ConfigError(f"{name}={value!r} is not a positive integer")


def check_prompts(prompts: Sequence[Sequence[int]], vocab_size: int) -> None:
  """Checks that prompts hold ids of a vocabulary, one at least.

  Raises:
    DataError: names the first that does not.
  """
  for i, prompt in enumerate(prompts):
    if not len(prompt):
      raise errors.DataError(
        f"prompts[{i}]: is empty; start it with a BOS token"
      )
    low, high = min(prompt), max(prompt)
    if low < 0 or high >= vocab_size:
      raise errors.DataError(
        f"prompts[{i}]: id {low if low < 0 else high} is outside the"
        f" vocabulary of {vocab_size} tokens; is it another model's tokenizer?"
      )


def _batches(
  lengths: Sequence[int], batch_size: int | None
) -> Iterator[tuple[np.ndarray, int, int]]:
  """(indices of the prompts, prompt slots, rows) of each batch.

  Prompts of like length go together, so that short ones are not padded to
  the longest.
  """
  if not lengths:
    return
  if batch_size is None or batch_size >= len(lengths):
    yield np.arange(len(lengths)), bucket(max(lengths)), len(lengths)
    return
  order = np.argsort(lengths, kind="stable")
  for start in range(0, len(order), batch_size):
    rows = order[start : start + batch_size]
    yield rows, bucket(max(lengths[i] for i in rows)), batch_size


def align(prompts, width: int, size: int) -> tuple[np.ndarray, np.ndarray]:
  """(ids int32 [size, width] right-aligned, mask)."""
  ids = np.zeros((size, width), np.int32)
  mask = np.zeros((size, width), bool)
  for i in range(size):
    prompt = prompts[i % len(prompts)]
    ids[i, width - len(prompt) :] = prompt
    mask[i, width - len(prompt) :] = True
  return ids, mask


def padded(ids: list[int]) -> np.ndarray:
  """Ids and fillers that no token equals; few lengths, so few programs."""
  size = -(-max(len(ids), 1) // 4) * 4
  return np.asarray(ids + [-1] * (size - len(ids)), np.int32)


def _stops(stop: Sequence[Sequence[int]]) -> np.ndarray:
  """int32 [M, L], right-aligned; see `decoding.Request.stop`."""
  if any(not len(sequence) for sequence in stop):
    raise errors.ConfigError("stop: holds an empty sequence")
  longest = max(map(len, stop), default=0)
  table = np.full(
    (-(-len(stop) // 4) * 4, bucket(longest, 8) if stop else 0),
    decoding.ANY,
    np.int32,
  )
  table[len(stop) :] = decoding.NEVER
  for row, sequence in zip(table, stop, strict=False):
    row[len(row) - len(sequence) :] = sequence
  return table
