# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The methods that are compared, what they get, and how they are trained."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from prefjax import methods
from prefjax.experiments import world

# Every registry method that aligns a decoder from pairs, or from the same
# pairs as scored groups, single labels or answers.
NAMES = (
  "all_pairs",
  "aot",
  "aot_unpaired",
  "apo_down",
  "apo_zero",
  "apo_zero_unpaired",
  "bco_pair",
  "bco_unpaired",
  "beta_dpo",
  "cal_dpo",
  "conservative_dpo",
  "cpo",
  "discopop",
  "dpo",
  "dpo_norm",
  "dpop",
  "exo_pair",
  "f_dpo",
  "hinge",
  "ipo",
  "kto",
  "ld_dpo",
  "length_penalized_dpo",
  "lipo_lambda",
  "mpo",
  "nca_pair",
  "odpo",
  "orpo",
  "plackett_luce",
  "rdpo",
  "rpo",
  "sampo",
  "sft",
  "simpo",
  "slic",
  "sppo_hard",
  "step_dpo",
  "tdpo",
  "wpo",
)
# Annotators; both kinds of noise are known only to methods that take it.
CONDITIONS: dict[str, dict[str, float]] = {
  "clean": {},
  "noise_20": {"flip_rate": 0.2},
  "noise_40": {"flip_rate": 0.4},
  "length": {"length_bias": 0.06},
}
# Hyper-parameters that differ from the registry's: those of configs/.
_KWARGS: dict[str, dict[str, Any]] = {
  "f_dpo": dict(divergence="js"),
  "simpo": dict(beta=2.5, gamma=1.375),
  "wpo": dict(beta=0.1),
}
# Methods that are told the rate of wrong labels, and by which name.
_TOLD = {"rdpo": "epsilon", "conservative_dpo": "label_smoothing"}
# Pairwise methods that want the scores of both sides.
_SCORED = ("odpo",)
RATES_FILE = pathlib.Path(__file__).with_name("rates.json")


def rates() -> dict[str, float]:
  """Learning rate by method, as `tune.py` chose them."""
  return json.loads(RATES_FILE.read_text(encoding="utf-8"))


def kwargs(name: str, condition: Mapping[str, float]) -> dict[str, Any]:
  """Hyper-parameters of a method under a condition."""
  out = dict(_KWARGS.get(name, {}))
  if name in _TOLD:
    out[_TOLD[name]] = condition.get("flip_rate", 0.0)
  return out


def rows_for(name: str, pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
  """The same pairs in the form that a method learns from."""
  kind = methods.get(name).record_kind
  if kind == "ranked" or name in _SCORED:
    return [
      {
        "prompt": row["prompt"],
        "responses": [row["chosen"], row["rejected"]],
        "scores": list(_scores(row)),
      }
      for row in pairs
    ]
  if kind == "sft":
    return [
      {"prompt": row["prompt"], "completion": row["chosen"]} for row in pairs
    ]
  return [
    {name: row[name] for name in ("prompt", "chosen", "rejected")}
    for row in pairs
  ]


def _scores(row: Mapping[str, Any]) -> tuple[float, float]:
  """Scores that agree with the label: the gold rewards, swapped if wrong."""
  golds = row["metadata"]["gold_chosen"], row["metadata"]["gold_rejected"]
  return max(golds), min(golds)


def train(
  name: str,
  start: Any,
  pairs: list[dict[str, Any]],
  condition: Mapping[str, float],
  *,
  rate: float,
  steps: int,
  seed: int,
) -> Any:
  """A policy, trained on the pairs by a method."""
  return world.lab().train(
    start,
    name,
    rows_for(name, pairs),
    kwargs=kwargs(name, condition),
    steps=steps,
    learning_rate=rate,
    warmup=5,
    batch_size=32,
    seed=seed,
    view="pair" if name in _SCORED else None,
  )
