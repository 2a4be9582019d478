# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The instruction language: unpaired, group, step and user records."""

import math

import numpy as np
import pytest
from scipy import stats

from prefjax.core import errors
from prefjax.data import language as lang

# --- other layouts ----------------------------------------------------------


def test_unpaired_labels():
  n = 6000
  records = lang.unpaired_records(3, n, flip_rate=0.2, threshold=0.7)
  flips = 0
  for record in records:
    gold = lang.gold_reward(record["prompt"], record["completion"])
    assert isinstance(record["label"], bool)
    assert record["metadata"]["flipped"] == (record["label"] != (gold >= 0.7))
    flips += record["metadata"]["flipped"]
  assert abs(flips / n - 0.2) < 5 * math.sqrt(0.16 / n)
  lax = lang.unpaired_records(3, 500, flip_rate=0.0, threshold=0.0)
  assert all(record["label"] for record in lax)


def test_ranked_groups():
  for k in (2, 4, 7, 10):
    for record in lang.ranked_records(2, 60, k=k):
      assert len(record["responses"]) == len(record["scores"]) == k
      assert len(set(record["responses"])) == k
      golds = lang.gold_rewards([record["prompt"]], [record["responses"]])[0]
      np.testing.assert_allclose(record["scores"], golds, atol=1e-6)
  records = lang.ranked_records(2, 300, k=5)
  distinct = [len(set(r["metadata"]["qualities"])) == 5 for r in records]
  assert np.mean(distinct) > 0.95
  noisy = lang.ranked_records(2, 500, noise=0.1)
  gaps = np.array(
    [np.subtract(r["scores"], r["metadata"]["golds"]) for r in noisy]
  )
  assert abs(gaps.std() - 0.1) < 0.01
  with pytest.raises(errors.ConfigError, match="k=1"):
    lang.ranked_records(0, 1, k=1)


def test_group_order_says_nothing():
  records = lang.ranked_records(4, 2000, k=4)
  best = np.bincount([np.argmax(r["scores"]) for r in records], minlength=4)
  assert stats.chisquare(best).pvalue > 1e-4


def test_rated_groups():
  for record in lang.rated_records(2, 200, k=3, levels=5):
    for response, row in zip(
      record["responses"], record["ratings"], strict=True
    ):
      values = lang.aspects(record["prompt"], response)
      assert set(row) == set(lang.ASPECTS)
      for name, level in row.items():
        assert level == int(1 + 4 * values[name] + 0.5)
    assert all(1 <= score <= 5 for score in record["scores"])
  sparse = lang.rated_records(2, 500, missing=0.3, noise=0.5)
  present = np.mean([len(row) / 4 for r in sparse for row in r["ratings"]])
  assert abs(present - 0.7) < 5 * math.sqrt(0.21 / 8000)


def test_step_records():
  wrong = 0
  records = lang.step_records(6, 1500, wrong_rate=0.6)
  positions = []
  for record in records:
    steps = record["completions"]
    response = "\n".join(steps)
    first = lang.first_wrong_step(record["prompt"], steps)
    assert first == record["metadata"]["first_wrong"]
    if first < 0:
      assert response == record["metadata"]["answer"]
      assert all(record["labels"])
    else:
      wrong += 1
      positions.append(first)
      assert record["labels"] == [i < first for i in range(len(steps))]
      checks = lang.check_steps(record["prompt"], steps)
      # Exactly the first wrong step breaks the chain of reasoning.
      assert [c.consistent for c in checks].index(False) == first
      assert sum(not c.consistent for c in checks) == 1
      assert len(checks) == len(lang.parse(record["prompt"]).steps)
  assert abs(wrong / 1500 - 0.6) < 5 * math.sqrt(0.24 / 1500)
  assert {0, 1, 2} <= set(positions)
  noisy = lang.step_records(6, 800, flip_rate=0.2)
  flips = [
    label != right
    for r in noisy
    for label, right in zip(r["labels"], r["metadata"]["right"], strict=True)
  ]
  assert abs(np.mean(flips) - 0.2) < 5 * math.sqrt(0.16 / len(flips))


def test_check_steps_by_hand():
  def verdicts(prompt, text):
    checks = lang.check_steps(prompt, text.split("\n"))
    return [(c.consistent, c.right) for c in checks]

  assert verdicts("solve: 3+4-2?", "3+4=8\n8-2=6\n6") == [
    (False, False),
    (True, False),
    (True, False),
  ]
  assert verdicts("solve: 3+4-2?", "3+4=7\n7+2=9\n9") == [
    (True, True),
    (False, False),
    (True, False),
  ]
  assert verdicts("chain rev,up: abc?", "cba\nABC\nx") == [
    (True, True),
    (False, False),
    (False, False),
  ]
  assert verdicts("solve: 3+4-2?", "x\ny\n5\n5") == [
    (False, False),
    (False, False),
    (False, True),  # the right number out of nowhere
    (False, False),
  ]
  assert lang.first_wrong_step("solve: 3+4-2?", ["3+4=7"]) == 1
  assert (
    lang.first_wrong_step("solve: 3+4-2?", ["3+4=7", "7-2=5", "5", "5"]) == 3
  )
  with pytest.raises(errors.DataError, match="no written steps"):
    lang.check_steps("copy: abc?", ["abc"])
  with pytest.raises(errors.DataError, match="outside 0..2"):
    lang.wrong_steps(lang.draws(0, 0), lang.parse("solve: 3+4-2?"), 3)


def test_step_pairs():
  records = lang.step_pair_records(6, 1000, flip_rate=0.1)
  swaps = 0
  for record in records:
    meta = record["metadata"]
    right, wrong = record["chosen"], record["rejected"]
    if meta["flipped"]:
      right, wrong = wrong, right
      swaps += 1
    assert right != wrong
    prefix = record["initial_reason_steps"]
    assert record["answer"].startswith(prefix + right)
    steps = (prefix + wrong).rstrip("\n").split("\n")
    assert lang.first_wrong_step(record["prompt"], steps) == meta["step"]
  assert abs(swaps / 1000 - 0.1) < 5 * math.sqrt(0.09 / 1000)


def test_users_differ_and_their_labels_follow_their_taste():
  tastes = [lang.taste(0, user) for user in range(10)]
  assert tastes[3] == lang.taste(0, 3) != lang.taste(1, 3)
  assert {t.archetype for t in tastes[:5]} == set(lang.ARCHETYPES)
  for taste in tastes:
    assert sum(map(abs, taste.weights.values())) == pytest.approx(1)
  terse, polite, chatty = (
    next(t for t in tastes if t.archetype == name)
    for name in ("terse", "courteous", "chatty")
  )
  prompt = "copy: abc?"
  short, long = "abc", "Sure, I think it is abc"
  assert terse.reward(prompt, short) > terse.reward(prompt, long)
  assert polite.reward(prompt, short) < polite.reward(prompt, long)
  assert chatty.reward(prompt, short) < chatty.reward(prompt, long)

  n = 3000
  records = lang.user_records(0, n, users=10, flip_rate=0.1)
  disagree = 0
  for record in records:
    taste = tastes[record["user"]]
    values = [
      taste.reward(record["prompt"], record[side])
      for side in ("chosen", "rejected")
    ]
    assert 0 <= min(values) <= max(values) <= 1
    assert (values[0] < values[1]) == record["metadata"]["flipped"]
    golds = [
      lang.gold_reward(record["prompt"], record[side])
      for side in ("chosen", "rejected")
    ]
    disagree += golds[0] < golds[1]
  flips = np.mean([r["metadata"]["flipped"] for r in records])
  assert abs(flips - 0.1) < 5 * math.sqrt(0.09 / n)
  assert disagree / n > 0.15  # tastes are not the common gold reward
  assert {r["user"] for r in records} == set(range(10))


def test_user_history():
  records = lang.user_records(0, 40, users=3, history=4)
  for record in records:
    assert len(record["history"]) == 4
    for past in record["history"]:
      assert set(past) == {"prompt", "chosen", "rejected"}
      assert lang.split_of(past["prompt"]) == "train"
  right = [
    taste.reward(past["prompt"], past["chosen"])
    > taste.reward(past["prompt"], past["rejected"])
    for record in records
    for taste in [lang.taste(0, record["user"])]
    for past in record["history"]
  ]
  assert np.mean(right) > 0.75
