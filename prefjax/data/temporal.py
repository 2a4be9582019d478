# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Perturbed orders of clips, and which videos and pairs to keep.

A response written for the perturbed clips is the rejected one of a pair. A
magnitude m cuts n clips into blocks of max(1, n // m): a large one scrambles
finely and drops much, so its pairs are easy. The method is TEMPLE, "Temporal
Preference Learning of Video LLMs via Difficulty Scheduling and Pre-SFT
Alignment", arXiv:2503.16929.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from prefjax.core import checks, errors, prng

_TRIES = 10
_MIN_RUNS = 4
_MAX_REPEATS = 3


def _check(function: str, num_clips, magnitude) -> None:
  checks.in_range(function, 0, num_clips=num_clips)
  checks.in_range(function, 1, magnitude=magnitude)


def num_kept_clips(num_clips, *, magnitude: int) -> np.ndarray:
  """How many clips survive a drop: max(1, num_clips // magnitude).

  Args:
    num_clips: a number or an array of them.
    magnitude: 1 or more; 1 keeps all.

  Returns:
    int32 of the shape of num_clips, at least 1.

  Raises:
    ValueError: a number is out of range.
  """
  _check("num_kept_clips", num_clips, magnitude)
  return np.maximum(1, np.asarray(num_clips) // magnitude).astype(np.int32)


def clip_groups(num_clips: int, *, magnitude: int) -> np.ndarray:
  """The block of each clip: consecutive blocks, the last may be short.

  Args:
    num_clips: number of clips n.
    magnitude: m, 1 or more; blocks hold max(1, n // m) clips.

  Returns:
    int32 [n], block numbers from 0.

  Raises:
    ValueError: a number is out of range.
  """
  _check("clip_groups", num_clips, magnitude)
  size = max(1, num_clips // magnitude)
  return (np.arange(num_clips) // size).astype(np.int32)


def _in_block_order(groups: np.ndarray, order: np.ndarray) -> np.ndarray:
  """Clip indices with blocks rearranged; inside a block nothing moves."""
  place = np.argsort(order)  # of each block
  return np.argsort(place[groups], kind="stable").astype(np.int32)


def reverse_clips(num_clips: int, *, magnitude: int) -> np.ndarray:
  """Clip indices with the blocks in reverse order.

  Args:
    num_clips: number of clips n.
    magnitude: m, 1 or more; m >= n reverses every clip, 1 none.

  Returns:
    int32 [n], a permutation.

  Raises:
    ValueError: a number is out of range.
  """
  _check("reverse_clips", num_clips, magnitude)
  groups = clip_groups(num_clips, magnitude=magnitude)
  blocks = int(groups[-1]) + 1 if num_clips else 0
  return _in_block_order(groups, np.arange(blocks)[::-1])


def shuffle_clips(
  key, num_clips: int, *, magnitude: int, avoid_identity: bool = True
) -> np.ndarray:
  """Clip indices with the blocks in random order.

  Args:
    key: integer seed, JAX key or NumPy generator.
    num_clips: number of clips n.
    magnitude: m, 1 or more.
    avoid_identity: draws up to ten times until the order changes, where
      there are two blocks or more.

  Returns:
    int32 [n], a permutation; blocks stay together.

  Raises:
    ValueError: a number is out of range.
  """
  _check("shuffle_clips", num_clips, magnitude)
  groups = clip_groups(num_clips, magnitude=magnitude)
  blocks = int(groups[-1]) + 1 if num_clips else 0
  generator = prng.host_generator(key, "shuffle_clips")
  order = generator.permutation(blocks)
  if avoid_identity and blocks > 1:
    for _ in range(_TRIES - 1):
      if (np.diff(order) < 0).any():
        break
      order = generator.permutation(blocks)
  return _in_block_order(groups, order)


def drop_clips(key, num_clips: int, *, magnitude: int) -> np.ndarray:
  """The clips that a random drop keeps, in their order.

  Args:
    key: integer seed, JAX key or NumPy generator.
    num_clips: number of clips n.
    magnitude: m, 1 or more.

  Returns:
    int32 [num_kept_clips(n)], ascending; none of none.

  Raises:
    ValueError: a number is out of range.
  """
  _check("drop_clips", num_clips, magnitude)
  kept = int(num_kept_clips(num_clips, magnitude=magnitude))
  generator = prng.host_generator(key, "drop_clips")
  return np.sort(generator.permutation(num_clips)[:kept]).astype(np.int32)


def temporal_pair_filter(
  chosen_lengths, rejected_lengths, is_drop, chosen_contained
) -> np.ndarray:
  """Which pairs do not give themselves away by length or content.

  A pair goes where the chosen text is part of the rejected one; where clips
  were dropped and the chosen text is not longer; and where clips were
  reordered and one text is over 1.5 times as long as the other.

  Args:
    chosen_lengths: [B], characters of the chosen text.
    rejected_lengths: [B], characters of the rejected text.
    is_drop: [B], 1 where clips were dropped, 0 where they were reordered.
    chosen_contained: [B], 1 where the rejected text holds the chosen one.

  Returns:
    int32 [B], 1 where the pair is kept.

  Raises:
    ValueError: shapes differ.
  """
  checks.same_shape(
    "temporal_pair_filter",
    chosen_lengths=chosen_lengths,
    rejected_lengths=rejected_lengths,
    is_drop=is_drop,
    chosen_contained=chosen_contained,
  )
  chosen, rejected = np.asarray(chosen_lengths), np.asarray(rejected_lengths)
  longer, shorter = np.maximum(chosen, rejected), np.minimum(chosen, rejected)
  too_short = chosen <= rejected
  uneven = 2 * longer > 3 * shorter  # exact, unlike a ratio
  dropped = np.asarray(is_drop).astype(bool)
  bad = np.where(dropped, too_short, uneven)
  bad = bad | np.asarray(chosen_contained).astype(bool)
  return (~bad).astype(np.int32)


def merge_similar_clips(similarity, *, threshold: float = 0.8) -> np.ndarray:
  """Groups clips by average linkage while two groups are alike.

  The most similar pair merges while its similarity is above the threshold.
  The new group goes last, and its similarity to another is the plain mean of
  its two parts', whatever their sizes. Of equal pairs (i, j), j < i, the one
  with the lowest i, then the highest j merges.

  Args:
    similarity: [n, n], symmetric, such as cosines of image embeddings.
    threshold: groups merge above it.

  Returns:
    int32 [n], group of each clip, numbered by first member.

  Raises:
    DataError: similarity is not square or holds NaN.
  """
  given = np.asarray(similarity)
  if given.ndim != 2 or given.shape[0] != given.shape[1]:
    raise errors.DataError(
      f"merge_similar_clips: similarity has shape {given.shape}, expected"
      " [n, n]"
    )
  if np.isnan(given).any():
    raise errors.DataError("merge_similar_clips: similarity holds NaN")
  # A threshold in the precision of the similarities, so that equal is equal.
  if given.dtype.kind == "f":
    threshold = given.dtype.type(threshold)
  table = given.astype(np.float64)
  groups = [[i] for i in range(len(table))]
  while len(groups) > 1:
    below = np.tril(np.ones(table.shape, bool), -1)
    candidates = np.where(below, table, -np.inf)[:, ::-1]
    i, reversed_j = np.unravel_index(np.argmax(candidates), table.shape)
    j = len(groups) - 1 - reversed_j
    if not table[i, j] > threshold:
      break
    rest = [g for g in range(len(groups)) if g not in (i, j)]
    row = (table[i, rest] + table[j, rest]) / 2
    merged = np.full((len(rest) + 1, len(rest) + 1), 1.0)
    merged[:-1, :-1] = table[np.ix_(rest, rest)]
    merged[-1, :-1] = merged[:-1, -1] = row
    groups = [groups[g] for g in rest] + [groups[i] + groups[j]]
    table = merged
  labels = np.zeros(len(given), np.int32)
  for number, members in enumerate(sorted(groups, key=min)):
    labels[members] = number
  return labels


def keep_temporal_video(group_of_run, mask) -> np.ndarray:
  """Which videos change their scene often enough, without going back much.

  A video goes with fewer than 4 runs, or where one group comes back for more
  than a third of the runs, or 4 times or more.

  Args:
    group_of_run: [B, R], group of each run of consecutive like clips.
    mask: [B, R], which runs exist.

  Returns:
    int32 [B], 1 where the video is kept.

  Raises:
    ValueError: shapes differ or not two axes.
  """
  checks.same_shape("keep_temporal_video", group_of_run=group_of_run, mask=mask)
  checks.rank("keep_temporal_video", 2, mask=mask)
  groups, kept = np.asarray(group_of_run), np.asarray(mask).astype(bool)
  same = groups[:, :, None] == groups[:, None, :]  # [B, R, R]
  repeats = (same & kept[:, :, None] & kept[:, None, :]).sum(axis=-1)
  most = repeats.max(axis=-1, initial=0)
  runs = kept.sum(axis=-1)
  good = (runs >= _MIN_RUNS) & (most <= runs // 3) & (most <= _MAX_REPEATS)
  return good.astype(np.int32)


def difficulty_schedule(
  magnitudes: Sequence[int] = (16, 8, 4, 2),
) -> list[dict[str, Any]]:
  """Training stages from easy to hard, one a magnitude, in the order given.

  Args:
    magnitudes: perturbation of each stage; a large one is easy.

  Returns:
    One {"name", "magnitude", "reference_refresh"} a stage; each stage takes
    the end of the previous one as its reference.

  Raises:
    ValueError: a magnitude is below 1.
  """
  stages = []
  for magnitude in magnitudes:
    magnitude = int(magnitude)
    checks.in_range("difficulty_schedule", 1, magnitude=magnitude)
    stages.append(
      {
        "name": f"magnitude_{magnitude}",
        "magnitude": magnitude,
        "reference_refresh": "per_stage",
      }
    )
  return stages
