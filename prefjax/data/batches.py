# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Examples into padded NumPy batches, and the buckets they are padded to."""

import dataclasses
import itertools
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from prefjax.core import errors, types
from prefjax.data import examples, indexes

_MULTIPLE = 8  # slots are a multiple of this
# Shares of the examples whose prompts, or responses, a bucket may hold.
_QUANTILES = (0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 1.0)
_SAVES = 0.95  # a further bucket must lower the slots to this share


@dataclasses.dataclass(frozen=True)
class Shape:
  """The static shape of one group: responses, prompt and response slots.

  Attributes:
    k: responses.
    p: prompt slots.
    r: response slots.
    m: pairs, or None where all examples have the default pair.
  """

  k: int
  p: int
  r: int
  m: int | None


Level = Mapping[str, Shape]


def _up(value: float) -> int:
  """The next multiple of 8; tiny sizes stay, and there is always a slot."""
  value = max(int(np.ceil(value)), 1)
  return value if value <= 4 else -(-value // _MULTIPLE) * _MULTIPLE


def _pairs(index: indexes.Index, group: str) -> int | None:
  """Largest number of pairs, None where all have the default pair."""
  number = index.largest(group)[3]
  return None if number < 0 else max(number, 1)


def _level(
  index: indexes.Index, sizes: Mapping[str, tuple[int, int]], k: int | None
) -> dict[str, Shape]:
  out = {}
  for name in index.groups:
    most = max(index.largest(name)[2], 1)
    if k is not None and name == index.groups[0]:
      if k < most:
        raise errors.ConfigError(
          f"data.num_responses: {k} is less than the {most} responses of some"
          " examples"
        )
      most = k
    out[name] = Shape(most, *sizes[name], _pairs(index, name))
  return out


def levels(
  index: indexes.Index,
  buckets: Sequence[tuple[int, int]] | None = None,
  *,
  num_responses: int | None = None,
) -> list[dict[str, Shape]]:
  """The shapes that batches may have, from small to large.

  Args:
    index: sizes of the examples.
    buckets: (prompt, response) slots of the first group, from small to large;
      other groups are scaled alike. None: up to three that leave few slots
      empty.
    num_responses: K of the first group, if more than the data's largest.

  Returns:
    One mapping from group to shape a level; every example fits the last.

  Raises:
    ConfigError: the buckets are not increasing, or an example fits none.
  """
  if buckets is None:
    sizes = _automatic(index)
  else:
    sizes = _scaled(index, _checked(index, buckets))
  out: list[dict[str, Shape]] = []
  for size in sizes:
    shape = _level(index, size, num_responses)
    if shape not in out:
      out.append(shape)
  return out


def _automatic(index: indexes.Index) -> list[dict[str, tuple[int, int]]]:
  """Up to three sizes, each inside the next, that leave few slots empty.

  Candidates hold a share of the prompts and a share of the responses of every
  group; all nested choices of them are counted out.
  """
  steps = np.quantile(  # [Q, G, 2]
    index.sizes[:, :, :2], _QUANTILES, axis=0, method="higher"
  )
  last = len(_QUANTILES) - 1
  held, slots, sizes = {}, {}, {}
  for pair in itertools.product(range(last + 1), repeat=2):
    size, fits, row = {}, np.ones(len(index), bool), 0
    for g, name in enumerate(index.groups):
      p, r = (_up(steps[q, g, part]) for part, q in enumerate(pair))
      fits &= (index.sizes[:, g, :2] <= (p, r)).all(axis=1)
      row += p + r * max(index.largest(name)[2], 1)
      size[name] = (p, r)
    held[pair], slots[pair], sizes[pair] = int(fits.sum()), row, size

  def total(chosen) -> int:
    """Token slots of an epoch, every example in the first that holds it."""
    before, out = 0, 0
    for pair in chosen:
      out += max(held[pair] - before, 0) * slots[pair]
      before = max(held[pair], before)
    return out

  best = ((last, last),)
  for number in (2, 3):
    nested = (
      (*chain, (last, last))
      for chain in itertools.combinations(sizes, number - 1)
      if all(
        a[0] <= b[0] and a[1] <= b[1] for a, b in itertools.pairwise(chain)
      )
    )
    found = min(nested, key=total)
    if total(found) < _SAVES * total(best):
      best = found
  return [sizes[pair] for pair in best]


def _checked(index: indexes.Index, buckets) -> list[tuple[int, int]]:
  """The buckets of the first group, increasing and large enough."""
  try:
    buckets = [(int(p), int(r)) for p, r in buckets]
  except (TypeError, ValueError):
    raise errors.ConfigError(
      f"data.buckets: expected pairs such as ((128, 64), (256, 128)), got"
      f" {buckets!r}"
    ) from None
  for low, high in itertools.pairwise(buckets):
    if low[0] > high[0] or low[1] > high[1] or low == high:
      raise errors.ConfigError(
        f"data.buckets: {high} does not contain the smaller {low}"
      )
  if not buckets or min(min(bucket) for bucket in buckets) < 1:
    raise errors.ConfigError(
      "data.buckets: expected (prompt, response) sizes of 1 or more"
    )
  prompt, response = index.largest(index.groups[0])[:2]
  if prompt > buckets[-1][0] or response > buckets[-1][1]:
    raise errors.ConfigError(
      f"data.buckets: the longest example has {prompt} prompt and {response}"
      f" response tokens, the largest bucket is {buckets[-1]}; add a larger"
      " one or lower data.max_prompt and data.max_response"
    )
  return buckets


def _scaled(
  index: indexes.Index, buckets: Sequence[tuple[int, int]]
) -> list[dict[str, tuple[int, int]]]:
  """The buckets of all groups: the others in proportion to the first."""
  out = []
  for bucket in buckets:
    sizes = {}
    for name in index.groups:
      longest = index.largest(name)[:2]
      sizes[name] = tuple(
        _up(most * part / whole)
        for most, part, whole in zip(longest, bucket, buckets[-1], strict=True)
      )
    sizes[index.groups[0]] = bucket
    out.append(sizes)
  return out


def needed(
  index: indexes.Index, shapes: Sequence[Mapping[str, Shape]]
) -> np.ndarray:
  """int32 [N]: the first level that each example fits."""
  out = np.full(len(index), len(shapes) - 1, np.int32)
  for number in range(len(shapes) - 2, -1, -1):
    fits = np.ones(len(index), bool)
    for g, name in enumerate(index.groups):
      shape = shapes[number][name]
      fits &= (index.sizes[:, g, 0] <= shape.p) & (
        index.sizes[:, g, 1] <= shape.r
      )
    out[fits] = number
  return out


def group(
  parts: Sequence[examples.EncodedGroup],
  shape: Shape,
  has: Collection[str] = (),
  media: Mapping[str, tuple[int, ...]] | None = None,
) -> types.Group:
  """Pads one group of B examples: prompts to the right, responses left.

  Longer prompts lose their start and longer responses their end, which only
  happens to the borrowed responses of a mismatched group.

  Args:
    parts: the group of each example.
    shape: of the padded group.
    has: optional fields ('scores', 'segments') to fill; all parts have them.
    media: 'images' or 'frames' -> (most of them, H, W, C).
  """
  b = len(parts)
  prompt = np.zeros((b, shape.p), np.int32)
  prompt_mask = np.zeros((b, shape.p), bool)
  response = np.zeros((b, shape.k, shape.r), np.int32)
  token_mask = np.zeros((b, shape.k, shape.r), bool)
  weights = np.zeros((b, shape.k, shape.r), np.float32)
  response_mask = np.zeros((b, shape.k), bool)
  segments = np.zeros_like(response) if "segments" in has else None
  scores = np.zeros((b, shape.k), np.float32) if "scores" in has else None
  for i, part in enumerate(parts):
    p = min(len(part.prompt), shape.p)
    prompt[i, shape.p - p :] = part.prompt[len(part.prompt) - p :]
    prompt_mask[i, shape.p - p :] = True
    start = 0
    for k, length in enumerate(part.lengths):
      n = min(int(length), shape.r)
      span = slice(start, start + n)
      response[i, k, :n] = part.tokens[span]
      token_mask[i, k, :n] = True
      weights[i, k, :n] = part.weights[span]
      if segments is not None:
        segments[i, k, :n] = part.segments[span]
      start += int(length)
    response_mask[i, : len(part.lengths)] = True
    if scores is not None:
      scores[i, : len(part.scores)] = part.scores
  pairs = pair_valid = None
  if shape.m is not None:
    pairs, pair_valid = _padded_pairs(parts, shape.m)
  return types.Group(
    prompt=prompt,
    prompt_mask=prompt_mask,
    response=response,
    token_mask=token_mask,
    token_weights=weights,
    response_mask=response_mask,
    scores=scores,
    pairs=pairs,
    pair_valid=pair_valid,
    segments=segments,
    **padded_media(parts, media or {}),
  )


_MASKS = {"images": "image_mask", "frames": "frame_mask"}


def padded_media(
  parts: Sequence[examples.EncodedGroup],
  media: Mapping[str, tuple[int, ...]],
) -> dict[str, np.ndarray]:
  """Images and frames float32 [B, I, H, W, C] in [0, 1], and their masks."""
  out = {}
  for name, shape in media.items():
    pixels = np.zeros((len(parts), *shape), np.float32)
    mask = np.zeros((len(parts), shape[0]), bool)
    for i, part in enumerate(parts):
      own = getattr(part, name)
      if own is not None and len(own):
        np.divide(own, np.float32(255), out=pixels[i, : len(own)])
        mask[i, : len(own)] = True
    out[name], out[_MASKS[name]] = pixels, mask
  return out


def _padded_pairs(parts: Sequence[examples.EncodedGroup], m: int):
  """(int32 [B, M, 2], bool [B, M]); unused pairs are (0, 0) and not valid."""
  pairs = np.zeros((len(parts), m, 2), np.int32)
  valid = np.zeros((len(parts), m), bool)
  for i, part in enumerate(parts):
    own = part.pairs
    if own is None:
      own = np.asarray([[0, 1]] if len(part.lengths) > 1 else [], np.int32)
      own = own.reshape(-1, 2)
    pairs[i, : len(own)] = own
    valid[i, : len(own)] = True
  return pairs, valid


def extras(
  index: indexes.Index, parts: Sequence[examples.Example]
) -> dict[str, np.ndarray]:
  """Extras padded to their largest shape: 0 for floats, -1 for integers."""
  out = {}
  for name, code, shape in index.extras:
    fill, dtype = (0.0, np.float32) if code == "f4" else (-1, np.int32)
    whole = np.full((len(parts), *shape), fill, dtype)
    for i, part in enumerate(parts):
      value = part.extras[name]
      whole[(i, *(slice(0, n) for n in value.shape))] = value
    out[name] = whole
  return out


def mismatch(
  first: types.Group,
  other: Sequence[examples.EncodedGroup],
  shape: Shape,
  has: Collection[str] = (),
) -> types.Group:
  """Each prompt of a batch, with its images, and others' responses."""
  borrowed = group(other, shape, has)
  own = ("prompt", "prompt_mask", *_MASKS, *_MASKS.values())
  return dataclasses.replace(
    borrowed, **{name: getattr(first, name) for name in own}
  )
