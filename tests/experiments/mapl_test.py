# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Instructions and variants of prompts of the experiment on MAPL."""

import numpy as np
import pytest

from experiments.mapl import experiment, instructions, scorer
from prefjax import data


def test_instructions_are_met_or_missed_as_they_are_made_to_be():
  rng = np.random.default_rng(0)
  made = 0
  for _ in range(200):
    text = instructions.response(rng)
    assert instructions.SHORTEST <= len(text) <= instructions.LONGEST
    for one in instructions.CONSTRAINTS:
      for wanted in (True, False):
        params = one.make(rng, text, wanted)
        if params is not None:
          made += 1
          assert one.check(text, params) is wanted
          assert len(one.text(params)) == 2
  assert made > 2000


def test_sets_that_no_response_meets_are_seen():
  assert instructions.contradict([("+", {"x": "a"}), ("-", {"x": "a"})])
  assert instructions.contradict([(">", {"x": "4"}), ("<", {"x": "5"})])
  assert not instructions.contradict([(">", {"x": "4"}), ("<", {"x": "6"})])
  assert instructions.contradict([("#", {"x": "5"}), ("<", {"x": "5"})])
  rng = np.random.default_rng(1)
  for number in range(1, 5):
    drawn = instructions.draw(rng, number)
    assert len(drawn) == number
    assert not instructions.contradict(drawn)
    written = instructions.prompt("P", drawn)
    assert len(written) == 1 + 3 * number
    assert written == data.prompt_variants.add_instructions(
      "P", [instructions.BY_NAME[n].text(p) for n, p in drawn]
    )


def test_arms_have_the_parts_they_are_named_after():
  rng = np.random.default_rng(2)
  pairs = experiment._pairs(rng, 60)
  made = experiment.arrays(rng, pairs)
  arms = list(experiment._ARMS)
  for at, arm in enumerate(arms):
    directions = set(made["direction"][at].tolist())
    assert ({1, -1} <= directions) == (arm in ("inter", "mapl"))
    share = made["intra"][at].mean()
    assert share > 0.5 if arm in ("intra", "mapl") else share == 0
    same = (made["pair"][at] == made["pair"][0]).all()
    assert same == (arm != "bt_random")
  # Variants differ in their prompts, not in their response.
  better, worse = np.moveaxis(made["variants"][0], 1, 0)
  assert (better[:, 5:] == worse[:, 5:]).all()
  assert (better[:, :5] != worse[:, :5]).any(1)[made["intra"][-1] > 0].all()


def test_rewards_are_those_of_the_formula():
  params = scorer.init(0, 8)
  prompts, responses = ["P +c", "Q"], ["abc", "fedcba"]
  rows = scorer.encode(prompts, responses)
  weights = {k: np.asarray(v, np.float64) for k, v in params.items()}
  for found, row in zip(scorer.rewards(params, rows), rows, strict=True):
    total = 0.0
    for code in row[:5]:
      if code == len(weights["codes"]) - 1:
        continue
      met = sum(
        np.maximum(
          weights["codes"][code] + weights["letters"][letter] + place, 0
        )
        for letter, place in zip(row[5:], weights["places"], strict=True)
      )
      total += np.maximum(met @ weights["mix"], 0) @ weights["out"]
    assert float(found) == pytest.approx(total, rel=1e-5)
