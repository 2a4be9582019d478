# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Preference strength: what an ensemble of reward models thinks of labels.

The method is Wang et al., "Secrets of RLHF in Large Language Models Part II:
Reward Modeling", arXiv:2401.06080. All functions run on the host.
"""

import math

import numpy as np

from prefjax.core import checks, errors

METHODS = ("flip", "soft", "margin", "flip_margin", "soft_margin")
INCORRECT, AMBIGUOUS, NORMAL, STRONG = range(4)

# Shares such as 0.2 * 25 are not exact in floating point.
_SLACK = 1e-9


def preference_strength(
  chosen_rewards, rejected_rewards, *, normalize: bool = False
) -> dict[str, np.ndarray]:
  """Votes of M reward models on N pairs.

    d = chosen - rejected;  mean and population standard deviation over M

  Args:
    chosen_rewards: [M, N], score of the chosen response by each model.
    rejected_rewards: [M, N], of the rejected response.
    normalize: divides each model's gaps by their standard deviation over
      the pairs, so that models of any scale have one vote each.

  Returns:
    mean (the strength), std, and agreement (share of models with d > 0),
    each float32 [N].

  Raises:
    ValueError: shapes differ or not two axes.
    DataError: there is no model.
  """
  name = "preference_strength"
  checks.rank(name, 2, chosen_rewards=chosen_rewards)
  checks.same_shape(
    name, chosen_rewards=chosen_rewards, rejected_rewards=rejected_rewards
  )
  gaps = np.asarray(chosen_rewards, np.float64) - np.asarray(
    rejected_rewards, np.float64
  )
  if not len(gaps):
    raise errors.DataError(f"{name}: chosen_rewards holds no model")
  if normalize and gaps.shape[1]:
    flat = gaps.max(axis=1) == gaps.min(axis=1)
    scale = np.where(flat, 1.0, gaps.std(axis=1))
    gaps = gaps / scale[:, None]
  return {
    "mean": gaps.mean(axis=0).astype(np.float32),
    "std": gaps.std(axis=0).astype(np.float32),
    "agreement": (gaps > 0).mean(axis=0).astype(np.float32),
  }


def _ranks(strength: np.ndarray) -> np.ndarray:
  """Ranks from 0, weakest first; equal ones by position."""
  ranks = np.empty(len(strength), np.int64)
  ranks[np.argsort(strength, kind="stable")] = np.arange(len(strength))
  return ranks


def _checked(function: str, strength) -> np.ndarray:
  checks.rank(function, 1, strength=strength)
  strength = np.asarray(strength)
  bad = np.flatnonzero(np.isnan(strength))
  if bad.size:
    raise errors.DataError(
      f"{function}: strength[{bad[0]}] is not a number; leave the pair out"
    )
  return strength


def strength_groups(
  strength, *, low: float = 0.2, ambiguous: float = 0.4, high: float = 0.9
) -> np.ndarray:
  """Sorts pairs by strength into incorrect, ambiguous, normal and strong.

  With f = rank / N, weakest first: f < low is incorrect, f < ambiguous is
  ambiguous, f >= high is strong (which wins), the rest is normal.

  Args:
    strength: [N], mean of `preference_strength`; equal ones by position.
    low: in [0, 1].
    ambiguous: in [0, 1].
    high: in [0, 1].

  Returns:
    int32 [N]: 0 incorrect, 1 ambiguous, 2 normal, 3 strong.

  Raises:
    ValueError: strength is not one axis or a share is out of range.
    DataError: a strength is NaN.
  """
  for name, share in (("low", low), ("ambiguous", ambiguous), ("high", high)):
    if not 0 <= share <= 1:
      raise ValueError(f"strength_groups: {name}={share} is outside [0, 1]")
  strength = _checked("strength_groups", strength)
  ranks = _ranks(strength)

  def below(share: float) -> np.ndarray:
    return ranks < math.ceil(share * len(ranks) - _SLACK)

  groups = np.where(
    below(low), INCORRECT, np.where(below(ambiguous), AMBIGUOUS, NORMAL)
  )
  return np.where(below(high), groups, STRONG).astype(np.int32)


def strength_recipe(
  strength,
  *,
  method: str = "flip_margin",
  flip_fraction: float = 0.2,
  smoothing: float = 0.1,
) -> dict[str, np.ndarray]:
  """What to do with doubtful labels: flip, soften, or ask for a margin.

  Args:
    strength: [N], mean of `preference_strength`; equal ones by position.
    method: "flip" swaps the weakest pairs; "soft" smooths the labels of
      pairs with negative strength; "margin" asks for the strength as a
      margin; "flip_margin" and "soft_margin" do both. A flipped pair's
      margin is minus its strength (our choice).
    flip_fraction: in [0, 1], share of pairs to flip, rounded down.
    smoothing: in [0, 1], label smoothing of pairs with negative strength.

  Returns:
    flip int32 [N], smoothing float32 [N], margin float32 [N], for
    `losses.bradley_terry`; each 0 where the method does not use it.

  Raises:
    ValueError: a keyword is out of range or strength is not one axis.
    DataError: a strength is NaN.
  """
  name = "strength_recipe"
  checks.one_of(name, METHODS, method=method)
  checks.in_range(name, 0, 1, flip_fraction=flip_fraction, smoothing=smoothing)
  strength = _checked(name, strength).astype(np.float32)
  flip = np.zeros(len(strength), bool)
  if method.startswith("flip"):
    number = math.floor(flip_fraction * len(strength) + _SLACK)
    flip = _ranks(strength) < number
  soft = np.zeros(len(strength), np.float32)
  if method.startswith("soft"):
    soft = np.where(strength < 0, np.float32(smoothing), soft)
  margin = np.zeros(len(strength), np.float32)
  if method.endswith("margin"):
    margin = np.where(flip, -strength, strength)
  return {"flip": flip.astype(np.int32), "smoothing": soft, "margin": margin}
