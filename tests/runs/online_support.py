# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs of seconds that learn from their own samples."""

import json
import pathlib

import run_support

from prefjax import config as config_lib

# Rounds of two updates, each passed over twice: four updates a round.
ROUNDS = {
  "prompts": 16,
  "samples": 2,
  "epochs": 2,
  "max_new_tokens": 6,
  "rewards": {"length": 1.0},
}


def config(name: str = "grpo", **changes) -> config_lib.Config:
  """configs/NAME.py:tiny, smaller still, with rounds of four updates."""
  rl = {**ROUNDS, **changes.pop("rl", {})}
  data = {"buckets": ((40, 8),), **changes.pop("data", {})}
  return run_support.config(name, rl=rl, data=data, **changes)


def rollouts(workdir) -> list[dict]:
  """Rows of the table of rollouts."""
  text = (pathlib.Path(workdir) / "rollouts.jsonl").read_text()
  return [json.loads(line) for line in text.splitlines()]


def round_rows(workdir) -> list[dict]:
  """Numbers of the rounds, without what depends on the clock."""
  return [
    {k: v for k, v in row.items() if not k.startswith("time/")}
    for row in run_support.rows(workdir)
    if "round" in row
  ]


def same_runs(first, second) -> None:
  """Asserts that two runs are equal to the last bit."""
  assert run_support.updates(first) == run_support.updates(second)
  assert run_support.digests(first) == run_support.digests(second)
  assert rollouts(first) == rollouts(second)
  assert round_rows(first) == round_rows(second)
