# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Labels, lines and the rule of the experiment on DPO and PPO."""

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.unpacking_dpo_ppo import asking, experiment, policies
from prefjax.experiments import arrays


def _pairs():
  """Three prompts; answers are 10 and 20, 11 and 21, 12 and 22."""
  tokens = np.asarray([[[10 + i], [20 + i]] for i in range(3)])
  tasks = arrays.Tasks(np.zeros((3, 1), np.int32), np.ones((3, 1), bool))
  group = arrays.group_of(tasks, tokens, np.ones((3, 2), np.int32))
  return asking.Pairs(group, np.asarray([0, 1, 1]))


def test_labels_put_the_better_answer_first_unless_they_are_flipped():
  made = _pairs()
  clean = made.ordered(np.zeros(3, bool))
  np.testing.assert_array_equal(
    clean.response[..., 0], [[10, 20], [21, 11], [22, 12]]
  )
  noisy = made.ordered(np.asarray([True, False, True]))
  np.testing.assert_array_equal(
    noisy.response[..., 0], [[20, 10], [21, 11], [12, 22]]
  )
  assert jnp.array_equal(noisy.prompt, made.group.prompt)


def test_better_data_have_some_of_the_flips_of_noisy_data():
  noisy, better = (asking.flips(3, 4000, rate) for rate in (0.2, 0.1))
  assert not (better & ~noisy).any()
  assert noisy.mean() == pytest.approx(0.2, abs=0.02)
  assert better.mean() == pytest.approx(0.1, abs=0.02)
  assert (asking.flips(4, 4000, 0.2) != noisy).any()


def _found(gold, kl, valid=0.0):
  return policies.Found(gold=gold, kl=kl, length=5.0, valid=valid)


def test_gold_at_a_divergence_lies_on_the_line_through_the_strengths():
  before = _found(0.5, 0.0)
  rows = [_found(0.7, 2.0), _found(0.6, 1.0)]
  for kl, gold in ((0.5, 0.55), (1.0, 0.6), (1.5, 0.65), (9.0, 0.7)):
    assert policies.at_kl(rows, before, kl) == pytest.approx(gold)


def test_strengths_are_chosen_by_other_prompts():
  found = {0.1: _found(0.9, 2.0, valid=0.3), 1.0: _found(0.8, 1.0, valid=0.4)}
  assert policies.best(found) == 1.0
  numbers = policies.numbers(found)
  assert (numbers["gold"], numbers["kl"], numbers["strength"]) == (0.8, 1, 1)
  assert (numbers["gold_at_0.1"], numbers["kl_at_0.1"]) == (0.9, 2.0)
  # One alone has the same names whichever it is: seeds must agree in them.
  assert set(policies.numbers({0.1: _found(0.9, 2.0)})) == {
    *("gold", "kl", "length", "strength")
  }


@pytest.mark.parametrize(
  ("change", "failing"),
  [
    ({}, []),
    ({"ppo": (0.6, 0.5)}, ["PPO above DPO"]),
    ({"ppo": (1.0, 0.5)}, ["PPO above DPO"]),  # on average, not everywhere
    ({"data": -0.1}, ["half the flipped", "algorithm", "reward", "prompts"]),
    ({"prompts": 0.2}, ["prompts"]),
  ],
)
def test_the_rule_fails_where_a_part_of_the_claim_does(change, failing):
  change = dict(change)
  ppo = change.pop("ppo", (0.8, 0.9))
  worth = dict(data=0.1, algorithm=0.05, reward_model=0.0, prompts=0.01)
  seeds = [
    {
      "dpo": {"gold_equal_kl": 0.7},
      "ppo": {"gold_equal_kl": gold},
      "worth": {**worth, **change},
    }
    for gold in ppo
  ]
  checks = experiment.accept(seeds)
  assert len(checks) == 5
  wrong = [name for name, holds in checks.items() if not holds]
  assert len(wrong) == len(failing)
  for name, part in zip(wrong, failing, strict=True):
    assert part in name
