# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Pairs of the responses to one prompt, from scores, levels or correctness.

All functions take [B, K] arrays with masks and give index arrays of a fixed
width, filled up with -1 and valid 0, so that a batch keeps its shape.
"""

import numpy as np

from prefjax.core import checks, errors

SCHEMES = ("best_vs_rest", "all")


def _masked_rows(function: str, mask, **values) -> tuple[np.ndarray, ...]:
  """Values [B, K] as float64 with 0 where masked, then the mask."""
  checks.same_shape(function, **values, mask=mask)
  checks.rank(function, 2, mask=mask)
  kept = np.asarray(mask).astype(bool)
  arrays = []
  for name, value in values.items():
    array = np.where(kept, np.asarray(value, np.float64), 0.0)
    bad = np.flatnonzero(np.isnan(array).any(axis=1))
    if bad.size:
      raise errors.DataError(
        f"{function}: {name} is not a number in row {bad[0]}; mask it out"
      )
    arrays.append(array)
  return *arrays, kept


def _take(order, size: int, valid, **columns) -> dict[str, np.ndarray]:
  """The first `size` candidates [B, C] in `order`, padded to that width."""
  order = order[:, :size]
  kept = np.take_along_axis(valid, order, axis=1)
  padding = ((0, 0), (0, size - order.shape[1]))
  out = {}
  for name, (column, fill) in columns.items():
    taken = np.take_along_axis(column, order, axis=1)
    taken = np.where(kept, taken, fill).astype(column.dtype)
    out[name] = np.pad(taken, padding, constant_values=fill)
  out["valid"] = np.pad(kept, padding).astype(np.int32)
  return out


def make_ranked_pairs(
  scores, mask, *, scheme: str = "best_vs_rest", min_gap: float = 0.0
) -> dict[str, np.ndarray]:
  """Pairs of a better and a worse response, widest score gap first.

  Responses are ranked by score, equal scores by index. The i-th ranked is
  paired with the j-th, i < j, where their gap is above min_gap; so equal
  scores give no pair. Equal gaps come by i ascending, then j descending.

  Args:
    scores: [B, K], higher is better.
    mask: [B, K], which responses exist; others may hold anything.
    scheme: "best_vs_rest" pairs the best with every other one, "all" pairs
      all.
    min_gap: pairs need a gap above it.

  Returns:
    chosen_idx, rejected_idx int32 [B, P], gap float32 [B, P], valid int32
    [B, P]; P is K - 1, or K (K - 1) / 2 for "all". Unused slots come last
    with indices -1, gap 0 and valid 0.

  Raises:
    ValueError: shapes differ, not two axes, or an unknown scheme.
    DataError: a score that counts is NaN.

  Reference:
    Pattnaik et al., "Curry-DPO: Enhancing Alignment using Curriculum
    Learning & Ranked Preferences", arXiv:2403.07230.
  """
  checks.one_of("make_ranked_pairs", SCHEMES, scheme=scheme)
  scores, kept = _masked_rows("make_ranked_pairs", mask, scores=scores)
  rows, k = scores.shape
  # Stable: equal scores keep their order; missing responses rank last, after
  # any score, be it -inf.
  ranked = np.lexsort((-scores, ~kept), axis=1)
  first, second = np.triu_indices(k, 1)
  if scheme == "best_vs_rest":
    first, second = first[: max(k - 1, 0)], second[: max(k - 1, 0)]
  chosen, rejected = ranked[:, first], ranked[:, second]  # [B, C]
  better = np.take_along_axis(scores, chosen, axis=1)
  worse = np.take_along_axis(scores, rejected, axis=1)
  exist = np.take_along_axis(kept, rejected, axis=1)
  with np.errstate(invalid="ignore"):  # -inf less -inf is no gap
    gap = np.where(exist, better - np.where(exist, worse, 0.0), 0.0)
  valid = exist & (gap > min_gap)
  shape = (rows, len(first))
  order = np.lexsort(
    (
      np.broadcast_to(-second, shape),
      np.broadcast_to(first, shape),
      -gap,
      ~valid,
    ),
    axis=1,
  )
  return _take(
    order,
    len(first),
    valid,
    chosen_idx=(chosen.astype(np.int32), -1),
    rejected_idx=(rejected.astype(np.int32), -1),
    gap=(gap.astype(np.float32), 0.0),
  )


def preference_level_pairs(
  levels, mask, *, max_pairs: int
) -> dict[str, np.ndarray]:
  """Pairs of responses of different levels, widest difference first.

  Args:
    levels: [B, K], such as 2 reference, 1 right, 0 wrong answer.
    mask: [B, K], which responses exist.
    max_pairs: pairs kept for a prompt: by difference of level descending,
      then by index of the chosen, then of the rejected response.

  Returns:
    chosen_idx, rejected_idx, valid, each int32 [B, max_pairs]; unused slots
    hold -1, -1 and 0.

  Raises:
    ValueError: shapes differ, not two axes, or max_pairs is negative.
    DataError: a level that counts is NaN.

  Reference:
    Kawakami et al., "Stabilizing Reasoning in Medical LLMs with Continued
    Pretraining and Reasoning Preference Optimization", arXiv:2504.18080.
  """
  checks.in_range("preference_level_pairs", 0, max_pairs=max_pairs)
  levels, kept = _masked_rows("preference_level_pairs", mask, levels=levels)
  rows, k = levels.shape
  first, second = (axis.ravel() for axis in np.indices((k, k)))
  gap = levels[:, first] - levels[:, second]  # [B, K * K]
  valid = kept[:, first] & kept[:, second] & (gap > 0)
  # Candidates are listed by chosen, then rejected index; the sort is stable.
  order = np.lexsort((-gap, ~valid), axis=1)
  columns = {
    name: (np.broadcast_to(index.astype(np.int32), gap.shape), -1)
    for name, index in (("chosen_idx", first), ("rejected_idx", second))
  }
  return _take(order, max_pairs, valid, **columns)


def reasoning_pairs(correct, mask, *, max_pairs: int) -> dict[str, np.ndarray]:
  """Pairs of right and wrong answers, cycling through both sets.

  With W the right and L the wrong responses in index order, pair p is
  (W[p mod |W|], L[p mod |L|]) for p < min(max_pairs, max(|W|, |L|)).

  Args:
    correct: [B, K], 1 where the final answer is right.
    mask: [B, K], which responses exist.
    max_pairs: most pairs of a prompt.

  Returns:
    chosen_idx, rejected_idx, valid, each int32 [B, max_pairs]; unused slots
    hold -1, -1 and 0. A prompt with no right or no wrong answer has no pair.

  Raises:
    ValueError: shapes differ, not two axes, or max_pairs is negative.
    DataError: a value that counts is NaN.

  Reference:
    Pang et al., "Iterative Reasoning Preference Optimization",
    arXiv:2404.19733.
  """
  checks.in_range("reasoning_pairs", 0, max_pairs=max_pairs)
  correct, kept = _masked_rows("reasoning_pairs", mask, correct=correct)
  right = kept & (correct != 0)
  wrong = kept & (correct == 0)
  right_n, wrong_n = right.sum(axis=1), wrong.sum(axis=1)  # [B]
  number = np.where(
    (right_n > 0) & (wrong_n > 0), np.maximum(right_n, wrong_n), 0
  )
  slot = np.arange(max_pairs)
  valid = slot < number[:, None]  # [B, max_pairs]

  def members(among, count):
    if not among.shape[1]:  # no responses at all
      return np.full(valid.shape, -1, np.int32)
    index = np.argsort(~among, axis=1, kind="stable")
    place = slot % np.maximum(count, 1)[:, None]
    taken = np.take_along_axis(index, place, axis=1)
    return np.where(valid, taken, -1).astype(np.int32)

  return {
    "chosen_idx": members(right, right_n),
    "rejected_idx": members(wrong, wrong_n),
    "valid": valid.astype(np.int32),
  }
