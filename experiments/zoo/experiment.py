# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""All direct-alignment methods on the same budget and the same pairs.

Every method starts from the same weights, sees the same pairs for the same
number of updates, and is measured on the same prompts, under four annotators:
right, 20 % and 40 % wrong, and one who likes long answers. Hyper-parameters
are those of configs/; learning rates were chosen by `tune.py` on another seed.

The numbers of all methods feed docs/which-loss-when.md.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.zoo import figures
from experiments.zoo import methods as zoo_methods
from prefjax import experiments
from prefjax.experiments import world

PAPER = "the zoo of direct alignment"
CLAIM = (
  "No loss is best everywhere: told how many labels are wrong, rDPO keeps more"
  " reward than DPO at 40 % flips; where annotators like length, losses that"
  " discount it answer shorter than DPO."
)
ARM, BASELINE = "rdpo", "dpo"
METRIC = "gold_noise_40"
HIGHER_IS_BETTER = True
EXPECTED = (
  "at 40 % flips rDPO's gold reward above DPO's (mean over seeds); with"
  " length-biased labels LD-DPO, SamPO and R-DPO answer shorter than DPO on"
  " average; the best method of the four conditions is not the same."
)
SEEDS = 3
SETTINGS = {
  "quick": dict(
    names=["dpo", "rdpo", "ld_dpo"],
    base_steps=40,
    pairs=64,
    steps=2,
    prompts=16,
    rates={},
  ),
  "full": dict(
    names=list(zoo_methods.NAMES),
    base_steps=world.STEPS,
    pairs=1280,
    steps=40,
    prompts=192,
    rates=zoo_methods.rates(),
  ),
}
_DISCOUNT_LENGTH = ("ld_dpo", "sampo", "length_penalized_dpo")
_KEPT = ("gold", "length", "kl", "win_rate", "accuracy", "chosen_drift")


def measure(seed: int, settings: Mapping[str, Any]) -> experiments.Arms:
  start = world.start(seed, settings["base_steps"])
  number = settings["prompts"]
  before = world.answers(start, seed, number=number)
  arms: experiments.Arms = {"start": {}}
  for condition, noise in zoo_methods.CONDITIONS.items():
    arms["start"][f"gold_{condition}"] = before.numbers()["gold"]
    arms["start"][f"length_{condition}"] = before.numbers()["length"]
    pairs = world.pairs(seed, settings["pairs"], **noise)
    for name in settings["names"]:
      policy = zoo_methods.train(
        name,
        start,
        pairs,
        noise,
        rate=settings["rates"].get(name, 6e-4),
        steps=settings["steps"],
        seed=seed,
      )
      found = world.measure(
        policy, seed, reference=start, before=before, number=number
      )
      arms.setdefault(name, {}).update(
        {f"{key}_{condition}": found[key] for key in _KEPT}
      )
  return arms


def accept(seeds: Sequence[experiments.Arms]) -> dict[str, bool]:
  def mean(arm, metric):
    return experiments.mean(seeds, arm, metric)

  names = [name for name in seeds[0] if name != "start"]
  best = {
    max(names, key=lambda name: mean(name, f"gold_{condition}"))
    for condition in zoo_methods.CONDITIONS
  }
  shorter = {
    f"length-biased labels: {name} answers shorter than DPO": mean(
      name, "length_length"
    )
    < mean("dpo", "length_length")
    for name in _DISCOUNT_LENGTH
    if name in names
  }
  return {
    "40 % flips: rDPO's gold reward above DPO's": mean("rdpo", METRIC)
    > mean("dpo", METRIC),
    **shorter,
    "no method is best under all four annotators": len(best) > 1,
  }


def draw(seeds: Sequence[experiments.Arms], folder: pathlib.Path) -> None:
  figures.by_condition(seeds, folder)
