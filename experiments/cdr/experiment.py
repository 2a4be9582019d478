# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Density ratios of models that are aligned to different degrees.

Tables in place of language models: 60 prompts with 30 responses each, and a
model for each of nine degrees of alignment, softmax(base + degree * reward +
noise of its own). All ordered pairs of models annotate all pairs of
responses.

What the base likes has no part in a ratio, but it is in the strong model's
own log-probs: how far it spreads decides how much worse these rank. It has a
standard deviation of 1.5 (the reward's is 1); `narrow_base` has one of 1.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prefjax import analysis, experiments, rewards

PAPER = "CDR / Dr. SoW, arXiv:2411.02481"
METHODS = ()
CLAIM = (
  "The density ratio of a strong over a weak model ranks responses, the better"
  " the further apart the two are aligned, and better than the strong model"
  " alone."
)
ARM, BASELINE = "density_ratio", "strong_alone"
METRIC = "accuracy"
HIGHER_IS_BETTER = True
EXPECTED = (
  "the best ratio is 2 points more accurate than the strong model's own"
  " log-probs, and accuracy rises with the gap (Spearman over 0.9), on every"
  " seed; the wrong way round is worse than chance."
)
NOTE = (
  "The base spreads by 1.5 because the strong model alone is then right on 83"
  " to 84 % of pairs, as in the trial that the rule comes from. With a base as"
  " narrow as the reward (narrow_base, and this experiment's first run) it is"
  " right on 87 %, and the ratio gains 1.3 points, less than the rule asks."
)
SEEDS = 5
SETTINGS = {
  "quick": dict(prompts=30, responses=12),
  "full": dict(prompts=60, responses=30),
}
_DEGREES = np.linspace(0.0, 3.0, 9)
_NOISE = 0.8
_SPREAD = 1.5  # of the base
_NARROW = "narrow_base"


def _log_softmax(x: np.ndarray) -> np.ndarray:
  top = x.max(-1, keepdims=True)
  return x - top - np.log(np.exp(x - top).sum(-1, keepdims=True))


def _accuracy(scores: np.ndarray, gold: np.ndarray) -> float:
  """Share of all pairs of responses in the order of the gold reward."""
  first, second = np.triu_indices(gold.shape[1], 1)
  better = gold[:, first] > gold[:, second]
  chosen = np.where(better, scores[:, first], scores[:, second])
  rejected = np.where(better, scores[:, second], scores[:, first])
  return float(analysis.pair_accuracy(chosen.ravel(), rejected.ravel()))


def measure(seed: int, settings: Mapping[str, Any]) -> experiments.Arms:
  rng = np.random.default_rng(seed)
  shape = (settings["prompts"], settings["responses"])
  gold, base = rng.normal(size=shape), rng.normal(size=shape)
  own = [degree * gold + _NOISE * rng.normal(size=shape) for degree in _DEGREES]
  logps = [_log_softmax(_SPREAD * base + logits) for logits in own]
  value = [float((np.exp(lp) * gold).sum(-1).mean()) for lp in logps]
  gaps, found = [], {}
  for strong in range(len(logps)):
    for weak in range(len(logps)):
      if strong == weak:
        continue
      ratio = np.asarray(rewards.density_ratio(logps[strong], logps[weak]))
      gaps.append(value[strong] - value[weak])
      found[strong, weak] = _accuracy(ratio, gold)
  accuracies = list(found.values())
  relation = analysis.gap_correlation(np.asarray(gaps), np.asarray(accuracies))
  strongest = len(logps) - 1
  # The weights are not known to be best: the pair is that of the widest gap.
  widest = int(np.argmax(gaps))
  wrong = [a for a, g in zip(accuracies, gaps, strict=True) if g < -0.3]
  return {
    ARM: {
      "accuracy": accuracies[widest],
      "best_accuracy": max(accuracies),
      "gap_spearman": float(relation["spearman"]),
      "accuracy_the_wrong_way_round": float(np.mean(wrong)),
      "gap": max(gaps),
    },
    BASELINE: {"accuracy": _accuracy(logps[strongest], gold)},
    _NARROW: {"accuracy": _accuracy(base + own[strongest], gold)},
  }


def accept(seeds: Sequence[experiments.Arms]) -> dict[str, bool]:
  every = experiments.every
  return {
    "2 points more accurate than the strong model, every seed": every(
      seeds, lambda a: a[ARM][METRIC] >= a[BASELINE][METRIC] + 0.02
    ),
    "Spearman of gap and accuracy over 0.9, every seed": every(
      seeds, lambda a: a[ARM]["gap_spearman"] > 0.9
    ),
    "worse than chance the wrong way round, every seed": every(
      seeds, lambda a: a[ARM]["accuracy_the_wrong_way_round"] < 0.5
    ),
  }


def further(seeds: Sequence[experiments.Arms]) -> dict[str, bool]:
  return {
    "2 points more accurate with a base as narrow as the reward": (
      experiments.mean(seeds, ARM, METRIC)
      >= experiments.mean(seeds, _NARROW, METRIC) + 0.02
    ),
  }
