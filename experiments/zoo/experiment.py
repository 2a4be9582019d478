# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""All direct-alignment losses on the same budget and the same pairs.

The policy is a table, so that every loss, annotator and seed is affordable and
nothing but the loss differs: the same start, pairs, number of updates and
optimiser (`tabular.py`), under four annotators: right by Bradley-Terry, 20 %
and 40 % of the labels turned around, and one who likes length.

The numbers feed docs/which-loss-when.md.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from experiments.zoo import figures, tabular
from experiments.zoo import methods as zoo_methods
from prefjax import experiments

PAPER = "the zoo of direct alignment"
CLAIM = (
  "All losses but two learn the preferences; those with a likelihood term or a"
  " target for each side keep the log-prob of chosen responses above where DPO"
  " leaves it."
)
ARM, BASELINE = "mpo", "dpo"
METRIC = "chosen_drift_clean"
HIGHER_IS_BETTER = True
EXPECTED = (
  "mean chosen log-ratio of MPO, CPO, NCA, SPPO, Cal-DPO and DPOP above DPO's;"
  " reward gained by every loss but APO-down and DiscoPOP; accuracy and gain of"
  " the reference table within 0.04 and 0.25 of what was measured elsewhere"
  " (means over seeds)."
)
NOTE = (
  "17 of 19 losses agree with the other program in both numbers; aot_unpaired"
  " gains 1.35 instead of 0.87, and ORPO is 0.72 accurate instead of 0.67. A"
  " first version trained small language models with 39 methods; at 8 minutes a"
  " seed it was cut to a table of 20 prompts with 16 responses. Losses on"
  " groups of more than two responses are left out."
)
SEEDS = 5
SETTINGS = {
  "quick": dict(names=["dpo", "rdpo", "mpo"], pairs=200, fresh=400, steps=50),
  "full": dict(
    names=list(zoo_methods.NAMES), pairs=2000, fresh=4000, steps=300
  ),
}
_KEEP_LIKELIHOOD = ("mpo", "cpo", "nca_pair", "sppo_hard", "cal_dpo", "dpop")
# By design, or from where it starts, these walk the other way.
_EXCEPTIONS = ("apo_down", "discopop")
# Accuracy and gain of another program on a like set-up, three seeds.
_ELSEWHERE = {
  "dpo": (0.81, 1.84),
  "conservative_dpo": (0.81, 1.87),
  "dpo_norm": (0.80, 1.80),
  "hinge": (0.81, 1.81),
  "exo_pair": (0.80, 1.71),
  "aot": (0.81, 1.80),
  "aot_unpaired": (0.77, 0.87),
  "ipo": (0.75, 1.16),
  "nca_pair": (0.80, 1.28),
  "bco_pair": (0.80, 1.34),
  "sppo_hard": (0.79, 1.17),
  "cal_dpo": (0.79, 1.18),
  "apo_zero": (0.79, 1.38),
  "simpo": (0.77, 1.56),
  "cpo": (0.75, 1.15),
  "orpo": (0.67, 0.84),
  "mpo": (0.78, 1.12),
  "dpop": (0.71, 0.13),
  "length_penalized_dpo": (0.80, 1.84),
}


def measure_many(
  seeds: Sequence[int], settings: Mapping[str, Any]
) -> list[experiments.Arms]:
  """All seeds of a loss in one program; numbers are named metric_condition."""
  worlds = [
    tabular.world(seed, settings["pairs"], settings["fresh"]) for seed in seeds
  ]
  tables = _stacked(worlds)
  arms: list[experiments.Arms] = [{} for _ in seeds]
  for condition, noise in tabular.CONDITIONS.items():
    labels = _stacked(
      [
        tabular.labelled(seed, made, **noise)
        for seed, made in zip(seeds, worlds, strict=True)
      ]
    )
    for name in settings["names"]:
      found = jax.tree.map(
        np.asarray,
        tabular.trained(
          zoo_methods.loss(name, condition),
          tables,
          labels,
          steps=settings["steps"],
        ),
      )
      for metric, values in found.items():
        for one, value in zip(arms, values, strict=True):
          one.setdefault(name, {})[f"{metric}_{condition}"] = float(value)
  return arms


def _stacked(trees: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
  """[S, ...] float32 and int32."""
  out = {}
  for name in trees[0]:
    array = np.stack([tree[name] for tree in trees])
    kind = np.float32 if array.dtype.kind == "f" else np.int32
    out[name] = array.astype(kind)
  return out


def measure(seed: int, settings: Mapping[str, Any]) -> experiments.Arms:
  return measure_many([seed], settings)[0]


def accept(seeds: Sequence[experiments.Arms]) -> dict[str, bool]:
  def mean(arm, metric):
    return experiments.mean(seeds, arm, metric)

  names = list(seeds[0])
  keepers = [name for name in _KEEP_LIKELIHOOD if name in names]
  checks = {
    "chosen log-ratio of the likelihood-preserving losses above DPO's": all(
      mean(name, METRIC) > mean(BASELINE, METRIC) for name in keepers
    ),
    "every loss but APO-down and DiscoPOP gains reward": all(
      mean(name, "gain_clean") > 0 for name in names if name not in _EXCEPTIONS
    ),
  }
  for place, (metric, bound) in enumerate((("accuracy", 0.04), ("gain", 0.25))):
    checks[f"{metric} of 19 losses within {bound} of another program's"] = all(
      abs(mean(name, f"{metric}_clean") - found[place]) <= bound
      for name, found in _ELSEWHERE.items()
      if name in names
    )
  return checks


def draw(seeds: Sequence[experiments.Arms], folder: pathlib.Path) -> None:
  figures.by_condition(seeds, folder)
