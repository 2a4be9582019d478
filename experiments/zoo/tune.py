# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Chooses every method's learning rate, on a seed that no result uses.

  python -m experiments.zoo.tune

Three rates each, 20 % wrong labels, the same budget as in the experiment; the
rate with the highest gold reward is written to rates.json, method by method,
so that a call that was killed goes on.
"""

import json

from experiments.zoo import experiment
from experiments.zoo import methods as zoo_methods
from prefjax.experiments import store, world
from prefjax.runs import caching

RATES = (2e-4, 6e-4, 2e-3)
SEED = 1


def main() -> None:
  caching.keep_compiled()
  settings = experiment.SETTINGS["full"]
  condition = zoo_methods.CONDITIONS["noise_20"]
  pairs = world.pairs(SEED, settings["pairs"], **condition)
  start = world.start(SEED, settings["base_steps"])
  path = zoo_methods.RATES_FILE
  found = json.loads(path.read_text()) if path.is_file() else {}
  for name in zoo_methods.NAMES:
    if name in found:
      continue
    golds = {}
    for rate in RATES:
      policy = zoo_methods.train(
        name,
        start,
        pairs,
        condition,
        rate=rate,
        steps=settings["steps"],
        seed=SEED,
      )
      made = world.answers(policy, SEED, number=settings["prompts"])
      golds[rate] = made.numbers()["gold"]
    found[name] = max(golds, key=lambda rate: golds[rate])
    store.write_json(path, found)
    print(name, {rate: round(gold, 3) for rate, gold in golds.items()})


if __name__ == "__main__":
  main()
