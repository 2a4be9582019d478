# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Who judges: noisy annotators, and users whose tastes differ."""

import dataclasses
import math

from prefjax.core import errors
from prefjax.data.language import randomness, scoring

# Weights of correctness, format, brevity, politeness. A negative weight is a
# dislike: the chatty user wants long answers.
ARCHETYPES = {
  "strict": (0.80, 0.15, 0.05, 0.00),
  "terse": (0.40, 0.10, 0.50, 0.00),
  "courteous": (0.40, 0.10, 0.00, 0.50),
  "chatty": (0.50, 0.00, -0.40, 0.10),
  "neat": (0.35, 0.55, 0.10, 0.00),
}
_JITTER = 0.2


@dataclasses.dataclass(frozen=True)
class Taste:
  """What one user likes.

  Attributes:
    user: the user's number.
    archetype: name in ARCHETYPES that the weights were jittered from.
    weights: aspect -> weight; absolute values sum to 1.
  """

  user: int
  archetype: str
  weights: dict[str, float]

  def reward(self, prompt: str, response: str) -> float:
    """The user's own gold reward: a weighted sum scaled into [0, 1].

    Raises:
      DataError: the prompt is not in the language.
    """
    values = scoring.aspects(prompt, response)
    total = sum(w * values[name] for name, w in self.weights.items())
    low = sum(min(w, 0.0) for w in self.weights.values())
    high = sum(max(w, 0.0) for w in self.weights.values())
    return min(1.0, max(0.0, (total - low) / (high - low)))


def taste(seed: int, user: int) -> Taste:
  """The taste of a user: a jittered archetype, fixed by (seed, user).

  The first users take the archetypes in turn, so that a few users already
  differ in kind.
  """
  draw = randomness.draws(seed, user, "tastes")
  names = list(ARCHETYPES)
  archetype = names[user % len(names)]
  raw = [
    weight * math.exp(_JITTER * draw.normal())
    for weight in ARCHETYPES[archetype]
  ]
  total = sum(abs(weight) for weight in raw)
  weights = {
    name: weight / total
    for name, weight in zip(scoring.ASPECTS, raw, strict=True)
  }
  return Taste(user, archetype, weights)


@dataclasses.dataclass(frozen=True)
class Annotator:
  """How a gold reward gap becomes a label.

  The annotator sees u = gap + length_bias * (length difference in bytes).
  |u| <= tie_band is a tie. Otherwise the first response is preferred with
  probability sigmoid(u / temperature) (a step at temperature 0), and then
  the label is flipped with probability flip_rate.

  Attributes:
    flip_rate: probability of a uniform flip, in [0, 0.5].
    temperature: Bradley-Terry temperature in units of reward; 0 is exact.
    length_bias: reward per byte by which the first response is longer.
    tie_band: gaps up to this are ties, in units of reward.
  """

  flip_rate: float = 0.0
  temperature: float = 0.0
  length_bias: float = 0.0
  tie_band: float = 0.0

  def __post_init__(self):
    if not 0.0 <= self.flip_rate <= 0.5:
      raise errors.ConfigError(
        f"flip_rate={self.flip_rate} is outside [0, 0.5]"
      )
    for name in ("temperature", "tie_band"):
      value = getattr(self, name)
      if not 0.0 <= value < math.inf:
        raise errors.ConfigError(f"{name}={value} is not 0 or more")
    if not math.isfinite(self.length_bias):
      raise errors.ConfigError(f"length_bias={self.length_bias} is not finite")

  def utility(self, gap: float, length_gap: int) -> float:
    """The gap as this annotator feels it, length bias included."""
    return gap + self.length_bias * length_gap

  def is_tie(self, gap: float, length_gap: int) -> bool:
    """Whether the two responses feel the same."""
    return abs(self.utility(gap, length_gap)) <= self.tie_band

  def probability(self, gap: float, length_gap: int) -> float:
    """P(the first response is labelled better), flips included."""
    utility = self.utility(gap, length_gap)
    if self.temperature > 0:
      scaled = max(-60.0, min(60.0, utility / self.temperature))
      base = 1.0 / (1.0 + math.exp(-scaled))
    else:
      base = 0.5 if utility == 0 else float(utility > 0)
    return base * (1.0 - self.flip_rate) + (1.0 - base) * self.flip_rate


def majority_error(error: float, raters: int) -> float:
  """P(a majority of raters is wrong | they are not split evenly).

  Args:
    error: probability that one rater is wrong.
    raters: how many vote independently.
  """
  if raters == 1:
    return error
  wrong = right = 0.0
  for count in range(raters + 1):
    mass = (
      math.comb(raters, count)
      * error**count
      * (1.0 - error) ** (raters - count)
    )
    if 2 * count > raters:
      wrong += mass
    elif 2 * count < raters:
      right += mass
  return wrong / (wrong + right) if wrong + right else 0.5
