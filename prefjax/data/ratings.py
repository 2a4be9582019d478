# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""From ratings of several aspects to pairs of responses.

The recipe is Cui et al., "UltraFeedback: Boosting Language Models with
High-quality Feedback", arXiv:2310.01377. All functions run on the host.
"""

from collections.abc import Sequence

import numpy as np

from prefjax.core import checks, errors, prng

# Source -> (principle, probability).
PRINCIPLES = ("helpful", "truthful", "honesty", "verbalized_calibration")
_PRINCIPLE_TABLE = {
  "evol_instruct": (1.0, 0.0, 0.0, 0.0),
  "false_qa": (0.0, 1.0, 0.0, 0.0),
  "truthful_qa": (0.0, 1.0, 0.0, 0.0),
  "flan": (0.6, 0.2, 0.0, 0.2),
  "sharegpt": (0.6, 0.2, 0.18, 0.02),
  "ultrachat": (0.6, 0.2, 0.18, 0.02),
}


def _with_mask(function: str, mask, **arrays) -> tuple[np.ndarray, ...]:
  (name, value), *_ = arrays.items()
  value = np.asarray(value, np.float64)
  kept = np.ones(value.shape, bool) if mask is None else np.asarray(mask)
  checks.same_shape(function, **{name: value}, mask=kept)
  return value, kept.astype(bool)


def _some_response(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
  """Arrays [B, K]; where K is 0 with one response that a mask leaves out."""
  if arrays[0].shape[1]:
    return arrays
  return tuple(np.zeros((len(a), 1), a.dtype) for a in arrays)


def aspect_mean(
  ratings, mask=None, *, weights: Sequence[float] | None = None
) -> dict[str, np.ndarray]:
  """Mean rating of a response over the aspects that were rated.

  Args:
    ratings: [..., K, A].
    mask: the same shape or None, which ratings exist; others may hold
      anything.
    weights: [A] or None, of the aspects, >= 0.

  Returns:
    {"score": float32 [..., K], "valid": int32 [..., K]}; 0 and 0 where the
    rated aspects have no weight.

  Raises:
    ValueError: shapes differ or a weight is negative.
  """
  ratings, kept = _with_mask("aspect_mean", mask, ratings=ratings)
  aspects = ratings.shape[-1]
  each = np.ones(aspects) if weights is None else np.asarray(weights, float)
  if each.shape != (aspects,) or (each < 0).any():
    raise ValueError(
      f"aspect_mean: weights={each.tolist()}, expected {aspects} numbers of 0"
      " or more"
    )
  share = kept * each
  total = share.sum(axis=-1)
  value = (np.where(kept, ratings, 0.0) * share).sum(axis=-1)
  valid = total > 0
  return {
    "score": np.where(valid, value / np.where(valid, total, 1), 0.0).astype(
      np.float32
    ),
    "valid": valid.astype(np.int32),
  }


def repair_overall(overall, fine) -> dict[str, np.ndarray]:
  """Mends overall scores of 10 that the aspects contradict.

  A 10 with a mean of aspects up to 2 was a 1; with one up to 4 it is to be
  annotated again and stays meanwhile.

  Args:
    overall: [...], scores of 1 to 10.
    fine: [...], mean of the aspects, 1 to 5.

  Returns:
    {"score": float32 [...], "reannotate": int32 [...]}.

  Raises:
    ValueError: shapes differ.
  """
  checks.same_shape("repair_overall", overall=overall, fine=fine)
  overall, fine = np.asarray(overall, np.float32), np.asarray(fine)
  ten = overall == 10
  doubtful = ten & (fine > 2) & (fine <= 4)
  return {
    "score": np.where(ten & (fine <= 2), np.float32(1), overall),
    "reannotate": doubtful.astype(np.int32),
  }


def _extremes(scores, kept):
  """Indices of the best and the worst response, first on ties."""
  best = np.where(kept, scores, -np.inf).argmax(axis=1)
  worst = np.where(kept, scores, np.inf).argmin(axis=1)
  return best, worst


def _pairs(chosen, rejected, gap, valid) -> dict[str, np.ndarray]:
  return {
    "chosen": np.asarray(chosen).astype(np.int32),
    "rejected": np.asarray(rejected).astype(np.int32),
    "gap": np.asarray(gap).astype(np.float32),
    "valid": np.asarray(valid).astype(np.int32),
  }


def best_worst(scores, mask=None) -> dict[str, np.ndarray]:
  """The best and the worst response to each prompt.

  Args:
    scores: [B, K].
    mask: [B, K] or None, which responses exist; others may hold anything.

  Returns:
    chosen, rejected, valid int32 [B] and gap float32 [B]. First index on
    ties; valid where the gap is above 0; indices 0 without a response.

  Raises:
    ValueError: shapes differ or not two axes.
  """
  checks.rank("best_worst", 2, scores=scores)
  scores, kept = _some_response(*_with_mask("best_worst", mask, scores=scores))
  best, worst = _extremes(scores, kept)
  rows = np.arange(len(scores))
  several = kept.sum(axis=1) > 1
  clean = np.where(kept, scores, 0.0)
  gap = np.where(several, clean[rows, best] - clean[rows, worst], 0.0)
  return _pairs(best, worst, gap, gap > 0)


def all_pairs(scores, mask=None, *, min_gap: float = 0.0):
  """All pairs of responses to each prompt, in the order (0, 1), (0, 2), ...

  Args:
    scores: [B, K].
    mask: [B, K] or None, which responses exist.
    min_gap: pairs are valid with a gap above it.

  Returns:
    chosen, rejected, valid int32 [B, K (K - 1) / 2] and gap float32. The
    first index is chosen on ties, which are invalid; gap is 0 where invalid.

  Raises:
    ValueError: shapes differ or not two axes.
  """
  checks.rank("all_pairs", 2, scores=scores)
  scores, kept = _with_mask("all_pairs", mask, scores=scores)
  first, second = np.triu_indices(scores.shape[1], 1)
  swap = scores[:, second] > scores[:, first]
  chosen = np.where(swap, second, first)
  rejected = np.where(swap, first, second)
  both = kept[:, first] & kept[:, second]
  gap = np.abs(
    np.where(both, scores[:, first], 0.0) - np.where(both, scores[:, second], 0)
  )
  valid = both & (gap > 0) & (gap > min_gap)
  return _pairs(chosen, rejected, np.where(valid, gap, 0.0), valid)


def best_random(key, scores, mask=None) -> dict[str, np.ndarray]:
  """The best response to each prompt, and a random other one.

  Args:
    key: integer seed, JAX key or NumPy generator.
    scores: [B, K].
    mask: [B, K] or None, which responses exist; others may hold anything.

  Returns:
    As `best_worst`.

  Raises:
    ValueError: shapes differ or not two axes.
  """
  checks.rank("best_random", 2, scores=scores)
  scores, kept = _some_response(*_with_mask("best_random", mask, scores=scores))
  best, _ = _extremes(scores, kept)
  rows = np.arange(len(scores))
  draw = prng.host_generator(key, "best_random").random(scores.shape)
  other = kept.copy()
  other[rows, best] = False
  rejected = np.where(other, draw, -1.0).argmax(axis=1)
  several = other.any(axis=1)
  rejected = np.where(several, rejected, 0)
  clean = np.where(kept, scores, 0.0)
  gap = np.where(several, clean[rows, best] - clean[rows, rejected], 0.0)
  return _pairs(best, rejected, gap, gap > 0)


def max_vs_random_pairs(
  key, scores, lengths, mask=None, *, exclude_longest_prob: float = 0.5
) -> dict[str, np.ndarray]:
  """A best response and a random one below it, at times not the longest.

  Args:
    key: integer seed, JAX key or NumPy generator.
    scores: [B, K].
    lengths: [B, K], of the responses.
    mask: [B, K] or None, which responses exist; others may hold anything.
    exclude_longest_prob: in [0, 1], probability with which the longest of
      the lower ones cannot be drawn (unless it is alone).

  Returns:
    chosen, rejected, valid, each int32 [B]; 0, 0 and 0 for a prompt whose
    scores are all equal.

  Raises:
    ValueError: shapes differ, not two axes, or a probability is out of range.

  Reference:
    "Dr. SoW: Density Ratio of Strong-over-weak LLMs for Reducing the Cost
    of Human Annotation in Preference Tuning", arXiv:2411.02481.
  """
  name = "max_vs_random_pairs"
  checks.in_range(name, 0, 1, exclude_longest_prob=exclude_longest_prob)
  checks.rank(name, 2, scores=scores)
  scores, kept = _with_mask(name, mask, scores=scores)
  checks.same_shape(name, scores=scores, lengths=lengths)
  scores, kept, lengths = _some_response(scores, kept, np.asarray(lengths))
  draw = prng.host_generator(key, name)
  rows = len(scores)
  order = draw.random(scores.shape)
  excluding = draw.random(rows) < exclude_longest_prob
  highest = np.where(kept, scores, -np.inf).max(axis=1, initial=-np.inf)
  lower = kept & (scores < highest[:, None])
  valid = lower.any(axis=1)
  longest = np.where(lower, lengths, -1).argmax(axis=1)
  narrowed = lower.copy()
  narrowed[np.arange(rows), longest] = False
  use = excluding & narrowed.any(axis=1)
  pool = np.where(use[:, None], narrowed, lower)
  chosen = np.where(kept, scores, -np.inf).argmax(axis=1)
  rejected = np.where(pool, order, -1.0).argmax(axis=1)
  return {
    "chosen": np.where(valid, chosen, 0).astype(np.int32),
    "rejected": np.where(valid, rejected, 0).astype(np.int32),
    "valid": valid.astype(np.int32),
  }


def sample_models(
  key, num_prompts: int, *, num_models: int, k: int = 4
) -> np.ndarray:
  """Draws k different models for each prompt.

  Args:
    key: integer seed, JAX key or NumPy generator.
    num_prompts: N.
    num_models: size of the pool.
    k: in 1..num_models.

  Returns:
    int32 [N, k].

  Raises:
    ValueError: k is out of range.
  """
  checks.in_range("sample_models", 1, num_models, k=k)
  draw = prng.host_generator(key, "sample_models")
  order = draw.random((num_prompts, num_models)).argsort(axis=1)
  return order[:, :k].astype(np.int32)


def sample_principles(key, sources: Sequence[str]) -> np.ndarray:
  """Draws the principle that each prompt's source calls for.

  Args:
    key: integer seed, JAX key or NumPy generator.
    sources: [N], such as "flan" or "sharegpt".

  Returns:
    int32 [N], indices into PRINCIPLES.

  Raises:
    DataError: an unknown source; lists near matches.
  """
  draw = prng.host_generator(key, "sample_principles").random(len(sources))
  out = []
  for source, value in zip(sources, draw, strict=True):
    if source not in _PRINCIPLE_TABLE:
      raise errors.DataError(
        f"sample_principles: unknown source {source!r}"
        f"{errors.nearest(source, _PRINCIPLE_TABLE)}; there are"
        f" {', '.join(_PRINCIPLE_TABLE)}"
      )
    edges = np.cumsum(_PRINCIPLE_TABLE[source])
    out.append(int((value >= edges[:-1]).sum()))
  return np.array(out, np.int32)
