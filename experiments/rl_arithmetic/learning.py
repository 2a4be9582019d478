# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""One start and several methods that learn from their own answers to sums."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.rl_arithmetic import task
from prefjax import experiments
from prefjax.experiments import online_rounds

START, METRIC = "sft", "exact_match"
CURVE = "exact_match_at_"  # and the number of answers drawn
# Where a preset would punish what the reward does not: a cut-off answer is
# wrong already, nothing asks the policy to stay near its weak start, and no
# answer of a group may be right.
KWARGS: dict[str, dict[str, Any]] = {
  "grpo": {"beta": 0.0},
  "rloo": {"kl_in_reward": 0.0},
  "ppo": {"kl_in_reward": 0.0, "missing_eos": 0.0, "value_coef": 0.5},
  "reinforce_pp": {"kl_in_reward": 0.0},
  "remax": {"kl_in_reward": 0.0},
  "raft": {"min_score": 0.5},
}
_RATE = 1e-3
# Two updates a round: old and new policy differ, so that clips may bind.
_PIECES = 2


def _plan(method: str, settings: Mapping[str, Any]) -> online_rounds.Plan:
  samples = settings["samples"]
  return online_rounds.Plan(
    rounds=settings["rounds"],
    prompts=settings["prompts"],
    # The greedy answer is one of those that may be drawn.
    samples=samples - 1 if method == "remax" else samples,
    pieces=_PIECES,
    learning_rate=_RATE,
  )


def measure(
  seed: int, methods: Sequence[str], settings: Mapping[str, Any]
) -> experiments.Arms:
  """The start, and every method from there, all on the same sums."""
  own = task.lab(settings["hidden"], settings["layers"])
  split = task.sums(seed, settings["below"], settings["held_out"])
  begin = task.start(seed, split, own, settings["start_steps"])

  def watch(weights):
    return {METRIC: task.accuracy(own, weights, split.held_out)}

  arms = {START: {**watch(begin), "cpu_seconds": 0.0}}
  for method in methods:
    started = time.process_time()
    _, rows = own.train(
      begin,
      method,
      split.train,
      task.exact,
      plan=_plan(method, settings),
      seed=seed,
      kwargs=KWARGS.get(method),
      watch=watch,
      every=settings["every"],
    )
    arms[method] = {
      METRIC: rows[-1][METRIC],
      # Of drawn answers at temperature 1, on the training side.
      "reward": float(np.mean([row["reward"] for row in rows[-10:]])),
      "entropy": rows[-1]["entropy"],
      "ended": rows[-1]["ended"],
      "samples": rows[-1]["samples"],
      "sampler_gap": max(row.get("sampler_gap", 0.0) for row in rows),
      # With compiling, where this seed is the first of its process.
      "cpu_seconds": time.process_time() - started,
      **{
        f"{CURVE}{int(row['samples'])}": row[METRIC]
        for row in rows
        if METRIC in row
      },
    }
  return arms
