# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The whole family on sums, at equal numbers of drawn answers.

The task, start and settings of `rl_arithmetic`, for 400 rounds. Every method
draws as many answers a round (ReMax one of them greedily) and makes as many
updates; DAPO leaves groups without a difference out of the mean and draws no
others in their place. What differs is baseline, scale, ratio and aggregation
alone.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.rl_arithmetic import learning
from experiments.rl_family import figures
from prefjax import experiments

PAPER = "REINFORCE++, Dr.GRPO, DAPO, GSPO, CISPO, ReMax, RAFT, online DPO"
# What is measured; METHODS alone would be words.
_ARMS = (
  *("grpo", "rloo", "ppo", "dr_grpo", "dapo", "gspo", "cispo"),
  *("reinforce_pp", "remax", "online_dpo", "raft"),
)
METHODS = _ARMS
CLAIM = (
  "Each method of the family raises exact match on held-out sums by 15 points"
  " or more over the supervised start, from the same number of own answers."
)
ARM, BASELINE = "grpo", learning.START
METRIC = learning.METRIC
HIGHER_IS_BETTER = True
EXPECTED = (
  "exact match of the likeliest answers at least 15 points over the start, for"
  " every method on the mean of the seeds."
)
SEEDS = 3
SETTINGS = {
  "quick": dict(
    below=50,
    held_out=400,
    hidden=32,
    layers=1,
    start_steps=60,
    rounds=10,
    every=5,
    prompts=32,
    samples=4,
  ),
  "full": dict(
    below=50,
    held_out=400,
    hidden=64,
    layers=2,
    start_steps=110,
    rounds=400,
    every=40,
    prompts=64,
    samples=8,
  ),
}
_GAIN = 0.15


def measure(seed: int, settings: Mapping[str, Any]) -> experiments.Arms:
  return learning.measure(seed, _ARMS, settings)


def accept(seeds: Sequence[experiments.Arms]) -> dict[str, bool]:
  start = experiments.mean(seeds, BASELINE, METRIC)
  return {
    f"{method}: 15 points or more": experiments.mean(seeds, method, METRIC)
    - start
    >= _GAIN
    for method in _ARMS
  }


def draw(seeds: Sequence[experiments.Arms], folder: pathlib.Path) -> None:
  figures.curves(seeds, _ARMS, folder / "family.png")
