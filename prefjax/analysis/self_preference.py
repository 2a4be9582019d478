# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Does a judge favour its own responses? (host)

The DBG score is a judge's win rate for its own responses less the win rate
that gold judgments give them, in percent: "Beyond the Surface: Measuring
Self-Preference in LLM Judgments", arXiv:2506.02592. Preferences are 1 for a
model's own response, 0 for the other, 0.5 for a tie.
"""

from typing import Any

import numpy as np

from prefjax.core import checks

Array = Any
_MODES = ("majority", "share")


def _shown(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Probability of the text shown first; 1/2 where both have none."""
  total = first + second
  return np.where(total > 0, first / np.where(total > 0, total, 1), 0.5)


def debias_position(
  first_prob_ab: Array,
  second_prob_ab: Array,
  first_prob_ba: Array,
  second_prob_ba: Array,
) -> np.ndarray:
  """Probability that A is preferred, averaged over both orders.

  Args:
    first_prob_ab: [N], probability of choosing the text shown first, when A
      is shown first.
    second_prob_ab: [N], of the text shown second (B).
    first_prob_ba: [N], of the text shown first, when B is shown first.
    second_prob_ba: [N], of the text shown second (A).

  Returns:
    float32 [N]; 1/2 for a judge that looks at the order alone.

  Raises:
    ValueError: shapes differ.
  """
  arrays = {
    "first_prob_ab": first_prob_ab,
    "second_prob_ab": second_prob_ab,
    "first_prob_ba": first_prob_ba,
    "second_prob_ba": second_prob_ba,
  }
  checks.same_shape("debias_position", **arrays)
  a1, b2, b1, a2 = (np.asarray(x, np.float64) for x in arrays.values())
  # 1 - p of the second order is not used: it would round.
  return ((_shown(a1, b2) + _shown(a2, b1)) / 2).astype(np.float32)


def to_preference(prob: Array, *, tie_band: float = 0.0) -> np.ndarray:
  """Hard preferences from probabilities.

  Args:
    prob: [N], probability of one's own response.
    tie_band: in [0, 0.5]; within it of 1/2 is a tie. Take 1e-6 or more for
      computed probabilities.

  Returns:
    float32 [N]: 1, 0, or 0.5 for a tie.

  Raises:
    ValueError: tie_band is out of range.
  """
  checks.in_range("to_preference", 0, 0.5, tie_band=tie_band)
  prob = np.asarray(prob)
  out = np.where(
    prob > 0.5 + tie_band, 1.0, np.where(prob < 0.5 - tie_band, 0.0, 0.5)
  )
  return out.astype(np.float32)


def gold_preference(
  votes: Array, mask: Array | None = None, *, mode: str = "majority"
) -> np.ndarray:
  """What several judges say together.

  Args:
    votes: [N, J], 1 for one's own response, -1 for the other, 0 for a tie.
    mask: [N, J] or None, which votes exist.
    mode: "majority", or "share": the mean of (vote + 1) / 2. A majority is
      sharper than one judge: report both.

  Returns:
    float32 [N]; 0.5 for a tie and without votes.

  Raises:
    ValueError: shapes differ, not two axes, or an unknown mode.
  """
  checks.one_of("gold_preference", _MODES, mode=mode)
  checks.rank("gold_preference", 2, votes=votes)
  votes = np.asarray(votes, np.float64)
  kept = np.ones(votes.shape, bool) if mask is None else np.asarray(mask, bool)
  checks.same_shape("gold_preference", votes=votes, mask=kept)
  total = np.where(kept, votes, 0.0).sum(axis=1)
  if mode == "majority":
    return ((np.sign(total) + 1) / 2).astype(np.float32)
  number = np.maximum(kept.sum(axis=1), 1)
  return ((total / number + 1) / 2).astype(np.float32)


def dbg_score(
  judge_preferences: Array,
  gold_preferences: Array,
  mask: Array | None = None,
) -> dict[str, float]:
  """How much more a judge likes its own responses than gold does.

  Args:
    judge_preferences: [N], of the judge for its own responses.
    gold_preferences: [N], of gold for the same responses.
    mask: [N] or None, which items count in both means.

  Returns:
    judge_win_rate, gold_win_rate, dbg (their difference) and naive (the
    judge for its own less for the other), all in percent; 0 without items.

  Raises:
    ValueError: shapes differ.
  """
  judge = np.asarray(judge_preferences, np.float64)
  gold = np.asarray(gold_preferences, np.float64)
  kept = np.ones(judge.shape, bool) if mask is None else np.asarray(mask, bool)
  checks.same_shape(
    "dbg_score", judge_preferences=judge, gold_preferences=gold, mask=kept
  )
  if not kept.any():
    names = ("judge_win_rate", "gold_win_rate", "dbg", "naive")
    return dict.fromkeys(names, 0.0)
  judge_rate = 100 * float(judge[kept].mean())
  gold_rate = 100 * float(gold[kept].mean())
  return {
    "judge_win_rate": judge_rate,
    "gold_win_rate": gold_rate,
    "dbg": judge_rate - gold_rate,
    "naive": 2 * judge_rate - 100,
  }


def dbg_pair(
  judge_a: Array, judge_b: Array, gold: Array, mask: Array | None = None
) -> dict[str, float]:
  """DBG scores of two models that judge each other's responses.

  Args:
    judge_a: [N], preferences of judge A for A's responses.
    judge_b: [N], preferences of judge B for A's responses.
    gold: [N], gold preferences for A's responses.
    mask: [N] or None, which items count.

  Returns:
    dbg_a, dbg_b and their mean, in percent.

  Raises:
    ValueError: shapes differ.
  """
  checks.same_shape("dbg_pair", judge_a=judge_a, judge_b=judge_b, gold=gold)
  own = 1 - np.asarray(judge_b, np.float64)
  other = 1 - np.asarray(gold, np.float64)
  first = dbg_score(judge_a, gold, mask)["dbg"]
  second = dbg_score(own, other, mask)["dbg"]
  return {"dbg_a": first, "dbg_b": second, "mean": (first + second) / 2}


def bias_logit(
  judge_rate: Array, gold_rate: Array, *, eps: float = 1e-4
) -> np.ndarray:
  """Bias in logits: logit(judge_rate) - logit(gold_rate).

  Exact where all items share one gap of quality.

  Args:
    judge_rate: [...], win rates in [0, 1] by the judge.
    gold_rate: [...], by gold.
    eps: in (0, 0.5), rates are held to [eps, 1 - eps].

  Returns:
    float32 [...].

  Raises:
    ValueError: shapes differ or eps is out of range.
  """
  checks.same_shape("bias_logit", judge_rate=judge_rate, gold_rate=gold_rate)
  checks.in_range("bias_logit", 0, 0.5, low_open=True, high_open=True, eps=eps)

  def logit(rate):
    rate = np.clip(np.asarray(rate, np.float64), eps, 1 - eps)
    return np.log(rate) - np.log1p(-rate)

  return (logit(judge_rate) - logit(gold_rate)).astype(np.float32)


def attention_share(
  attention: Array, own_mask: Array, other_mask: Array
) -> np.ndarray:
  """Share of a judge's attention on its own response, against the other.

  Args:
    attention: [..., T], such as [layers, heads, T], at the judging position.
    own_mask: [T], tokens of the judge's own response.
    other_mask: [T], tokens of the other response.

  Returns:
    float32 [...]; 1/2 where neither has attention.

  Raises:
    ValueError: shapes do not fit.
  """
  attention = np.asarray(attention, np.float64)
  masks = []
  for name, mask in (("own_mask", own_mask), ("other_mask", other_mask)):
    if np.shape(mask) != attention.shape[-1:]:
      raise ValueError(
        f"attention_share: {name} has shape {np.shape(mask)}, expected"
        f" {attention.shape[-1:]}"
      )
    masks.append(np.asarray(mask).astype(bool))
  own, other = (np.where(m, attention, 0.0).sum(axis=-1) for m in masks)
  return _shown(own, other).astype(np.float32)
