# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""LD-DPO where annotators like length: an exact toy and a small model.

The toy (`toy.py`) has closed forms. The small model (`filler.py`) ends its
answers with filler; annotators want the right answer and like filler a little.

In the toy every response ends with one more draw of the same coin that made
its length. With the literal rule the end of the longer response lies in the
tail that is discounted; `keep_last` gives it full weight. Both are run.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.ld_dpo import filler, toy
from prefjax import experiments
from prefjax.experiments import world

PAPER = "LD-DPO, arXiv:2409.06411"
METHODS = ("ld_dpo",)
CLAIM = (
  "Discounting the tokens by which one response is longer keeps preference"
  " learning from making answers long, at no loss of quality."
)
ARM, BASELINE = "ld_0.5", "dpo"
METRIC = "length"
HIGHER_IS_BETTER = False
EXPECTED = (
  "toy, with keep_last: expected length at alpha 0.5 below 0.75 of DPO's and at"
  " alpha 0 below 0.3 of DPO's on every seed, P(good) not lower."
)
NOTE = (
  "Shown for the exact toy and with the last token kept, no more than that. By"
  " the paper's literal rule the toy's answers get longer, not shorter: the end"
  " of the longer response lies in the tail that is discounted. The small"
  " language model was first a part of the rule, which then failed (mixed): its"
  " answers are no shorter than DPO's and less often right."
)
SEEDS = 4
SETTINGS = {
  "quick": dict(
    pairs=200,
    steps=150,
    base_steps=40,
    lm_arms=["dpo", "ld_0.5_literal"],
    demonstrations=320,
    sft_steps=5,
    lm_pairs=320,
    lm_steps=10,
    prompts=32,
  ),
  "full": dict(
    pairs=500,
    steps=150,
    base_steps=world.STEPS,
    lm_arms=["dpo", "ld_0.5", "ld_0.5_literal", "ld_0_literal"],
    demonstrations=7680,
    sft_steps=120,
    lm_pairs=3200,
    lm_steps=100,
    prompts=256,
  ),
}
_TOY = {
  "dpo": (1.0, True),
  "ld_0.5": (0.5, True),
  "ld_0": (0.0, True),
  "ld_0.5_literal": (0.5, False),
  "ld_0_literal": (0.0, False),
}
_BETA, _RATE = 0.3, 5e-4
_NOT_LOWER = 0.02  # share of right answers: within the error of 512


def _language_model(seed: int, settings: Mapping[str, Any]):
  """Arm -> numbers named lm_..., every arm from the same start."""
  own = world.lab()
  start = own.train(
    world.skilled(settings["base_steps"]),
    "sft",
    filler.demonstrations(seed, settings["demonstrations"]),
    steps=settings["sft_steps"],
    learning_rate=2e-3,
    batch_size=64,
    seed=seed,
  )
  pairs = filler.pairs(seed, settings["lm_pairs"])
  prompts = world.prompts(seed, settings["prompts"])

  def numbers(policy):
    made = own.answers(
      policy,
      prompts,
      seed=seed,
      reference=start,
      samples=2,
      gold=filler.right,
    )
    found = made.numbers()
    found["right"] = found.pop("gold")
    return {f"lm_{key}": value for key, value in found.items()}

  out = {"start": numbers(start)}
  for arm in settings["lm_arms"]:
    alpha, keep_last = _TOY[arm]
    name, kwargs = "ld_dpo", dict(alpha=alpha, keep_last=keep_last)
    if arm == "dpo":
      name, kwargs = "dpo", {}
    policy = own.train(
      start,
      name,
      pairs,
      kwargs=dict(kwargs, beta=_BETA),
      steps=settings["lm_steps"],
      learning_rate=_RATE,
      seed=seed,
    )
    out[arm] = numbers(policy)
  return out


def measure(seed: int, settings: Mapping[str, Any]) -> experiments.Arms:
  arms = toy.measure(
    seed, _TOY, pairs=settings["pairs"], steps=settings["steps"]
  )
  for arm, found in _language_model(seed, settings).items():
    arms.setdefault(arm, {}).update(found)
  return arms


def accept(seeds: Sequence[experiments.Arms]) -> dict[str, bool]:
  def shorter(arm, share):
    return experiments.every(
      seeds,
      lambda a: all(
        a[arm][metric] < share * a["dpo"][metric]
        for metric in ("length", "length_bias_0.06")
      ),
    )

  return {
    "toy: length at alpha 0.5 below 0.75 of DPO's, every seed": shorter(
      "ld_0.5", 0.75
    ),
    "toy: length at alpha 0 below 0.3 of DPO's, every seed": shorter(
      "ld_0", 0.3
    ),
    "toy: P(good) not lower": experiments.every(
      seeds, lambda a: a["ld_0.5"]["good"] > a["dpo"]["good"] - 0.01
    ),
  }


def further(seeds: Sequence[experiments.Arms]) -> dict[str, bool]:
  def mean(arm, metric):
    return experiments.mean(seeds, arm, metric)

  return {
    "toy: shorter by the literal rule too": mean("ld_0.5_literal", METRIC)
    < mean("dpo", METRIC),
    "small model: answers shorter than DPO's (literal, alpha 0.5)": mean(
      "ld_0.5_literal", "lm_length"
    )
    < mean("dpo", "lm_length"),
    "small model: right as often": mean("ld_0.5_literal", "lm_right")
    > mean("dpo", "lm_right") - _NOT_LOWER,
  }
