# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Log-probs of given continuations, for rewards that ask a language model.

A model is a pair (apply_fn, params): apply_fn(params, group) gives the
log-prob of every response token of a `core.types.Group`, [B, K, R]. Prompts
share one row with all their continuations, texts of a like length a batch,
and shapes come from a short list, so that few programs are compiled.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from prefjax.core import errors, types

ApplyFn = Callable[[Any, types.Group], Any]
_STEP = 16  # slots are multiples of it, then of an eighth of their size


@dataclasses.dataclass(frozen=True)
class Item:
  """A prompt and its continuations, as token ids.

  Attributes:
    prompt: at least one id.
    responses: K lists of ids.
  """

  prompt: Sequence[int]
  responses: Sequence[Sequence[int]]


def slots(length: int) -> int:
  """The size of the smallest bucket that holds a length."""
  step = _STEP
  while step * 8 < length:
    step *= 2
  return max(step, -(-length // step) * step)


def make_group(items: Sequence[Item], rows: int) -> types.Group:
  """Pads items to one group of `rows` rows; the last ones may be empty."""
  k = max(len(item.responses) for item in items)
  p = slots(max(len(item.prompt) for item in items))
  r = slots(max((len(x) for item in items for x in item.responses), default=1))
  prompt = np.zeros((rows, p), np.int32)
  prompt_mask = np.zeros((rows, p), bool)
  prompt_mask[:, -1] = True  # a prompt has a token, in empty rows too
  response = np.zeros((rows, k, r), np.int32)
  token_mask = np.zeros((rows, k, r), bool)
  for i, item in enumerate(items):
    n = len(item.prompt)
    prompt[i, p - n :] = item.prompt
    prompt_mask[i, p - n :] = True
    for j, ids in enumerate(item.responses):
      response[i, j, : len(ids)] = ids
      token_mask[i, j, : len(ids)] = True
  return types.Group(
    prompt=prompt,
    prompt_mask=prompt_mask,
    response=response,
    token_mask=token_mask,
    token_weights=token_mask.astype(np.float32),
    response_mask=token_mask.any(axis=-1),
  )


def batches(
  items: Sequence[Item], batch_size: int
) -> Iterator[tuple[list[int], types.Group]]:
  """(indices of items, their group), items of a like length together.

  Every group has `batch_size` rows, in the slots of its longest one; the last
  rows may be empty. Items without a continuation are left out.

  Raises:
    DataError: an item has an empty prompt.
  """
  if any(not len(item.prompt) for item in items):
    raise errors.DataError("sequences: a prompt has no token")

  def size(i: int) -> tuple[int, int]:
    return len(items[i].responses), slots(len(items[i].prompt))

  def longest(i: int) -> int:
    return max(map(len, items[i].responses), default=0)

  kept = [i for i in range(len(items)) if items[i].responses]
  # Long ones apart from short ones.
  order = sorted(kept, key=lambda i: (*size(i), longest(i)))
  # No group is longer than the longest item, which the model can hold.
  most = max((size(i)[1] + slots(longest(i)) for i in order), default=0)
  while order:
    rows: list[int] = []
    number = len(items[order[0]].responses)
    # Different lengths share a group: an empty row costs as much as they do.
    for i in order[:batch_size]:
      # Sorted, so that the newest prompt is the longest.
      whole = size(i)[1] + slots(max(map(longest, [*rows, i])))
      if size(i)[0] != number or (rows and whole > most):
        break
      rows.append(i)
    order = order[len(rows) :]
    yield rows, make_group([items[i] for i in rows], batch_size)


def token_logps(
  apply_fn: ApplyFn,
  params: Any,
  items: Sequence[Item],
  *,
  batch_size: int = 8,
) -> list[list[np.ndarray]]:
  """Log-probs of every token of every continuation.

  Args:
    apply_fn: (params, group) -> [B, K, R].
    params: of the model.
    items: N of them.
    batch_size: rows of a batch.

  Returns:
    N lists of K float32 arrays, as long as the continuations, nats.

  Raises:
    DataError: an item has an empty prompt.
  """
  out: list[list[np.ndarray]] = [[] for _ in items]
  for rows, group in batches(items, batch_size):
    found = np.asarray(apply_fn(params, group), np.float32)
    for place, row in enumerate(rows):
      out[row] = [
        found[place, j, : len(ids)]
        for j, ids in enumerate(items[row].responses)
      ]
  return out


def encode_text(
  tokenizer: Any, prompt: str, responses: Sequence[str]
) -> tuple[list[int], list[list[int]]]:
  """(prompt ids, response ids) of plain texts, tokenised as one text each.

  The prompt's ids are those that all texts share, so that no response is
  tokenised otherwise than the model would have written it.
  """
  whole = [tokenizer.encode(prompt + response) for response in responses]
  shared = list(tokenizer.encode(prompt))
  for ids in whole:
    same = 0
    while same < min(len(shared), len(ids)) and shared[same] == ids[same]:
      same += 1
    shared = shared[:same]
  if not shared:
    start = getattr(tokenizer, "bos_id", None)
    if start is None:
      raise errors.DataError("encode_text: the prompt has no token")
    return [start], [list(ids) for ids in whole]
  return shared, [list(ids[len(shared) :]) for ids in whole]


def cut_left(ids: Sequence[int], most: int) -> list[int]:
  """The last `most` ids."""
  return list(ids[-most:]) if len(ids) > most else list(ids)
