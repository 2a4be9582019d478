# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""MAPL: relations on all cases, and what the builders promise."""

import itertools

import numpy as np
import pytest

from prefjax import data
from prefjax.core import errors
from prefjax.data import prompt_variants

RESPONSE = "The quick brown fox jumps over 2 lazy dogs. It is late."
OTHER = "no"
LIBRARY = data.constraint_set()


def _level(met, mask):
  kept = [m for m, there in zip(met, mask, strict=True) if there]
  return 2 if all(kept) else 1 if any(kept) else 0


def test_relation_is_the_comparison_of_levels():
  sets = [
    (met, mask)
    for met in itertools.product((0, 1), repeat=3)
    for mask in itertools.product((0, 1), repeat=3)
  ]
  cases = list(itertools.product(sets, sets))
  arrays = [
    np.array([case[side][part] for case in cases])
    for side in (0, 1)
    for part in (0, 1)
  ]
  relation = data.mapl_intra_relation(*arrays)
  backwards = data.mapl_intra_relation(*arrays[2:], *arrays[:2])
  np.testing.assert_array_equal(relation, -backwards)
  for actual, (a, b) in zip(relation, cases, strict=True):
    expected = 0
    if any(a[1]) and any(b[1]):
      expected = np.sign(_level(*a) - _level(*b))
    assert actual == expected


def test_sets_of_different_sizes():
  np.testing.assert_array_equal(
    data.mapl_intra_relation([[1, 1, 0]], [[1, 1, 0]], [[1, 0]], [[1, 1]]), [1]
  )
  with pytest.raises(ValueError, match="satisfied_b has"):
    data.mapl_intra_relation([[1]], [[1]], [[1], [0]], [[1], [1]])


def test_direction_compares_two_responses():
  met, other = [[1, 1], [0, 1], [0, 0]], [[0, 1], [1, 1], [0, 0]]
  np.testing.assert_array_equal(
    data.mapl_inter_direction(met, other, np.ones((3, 2))), [1, -1, 0]
  )


def test_intra_pairs_keep_their_promise():
  checks = {constraint.name: constraint.check for constraint in LIBRARY}
  sizes, built = [], 0
  for key in range(300):
    out = data.build_mapl_intra(key, "Go.", RESPONSE, LIBRARY)
    if out is None:
      continue
    built += 1
    levels = []
    for side in ("better", "worse"):
      texts = [item["text"] for item in out[side]]
      assert out[f"prompt_{side}"] == "Go.\n" + " ".join(texts)
      met = [checks[i["name"]](RESPONSE, i["params"]) for i in out[side]]
      assert met == [item["satisfied"] for item in out[side]]
      names = [item["name"] for item in out[side]]
      assert len(set(names)) == len(names)
      levels.append(_level(met, [1] * len(met)))
    assert levels[0] > levels[1]
    sizes.append(len(out["better"]))
  assert built > 290
  assert min(sizes) == 1 and max(sizes) == 4 and 2 < np.mean(sizes) < 3


def test_inter_pairs_keep_their_promise():
  checks = {constraint.name: constraint.check for constraint in LIBRARY}
  directions = []
  for key in range(200):
    out = data.build_mapl_inter(
      key, "Go.", RESPONSE, OTHER, LIBRARY, num_constraints=(2, 3)
    )
    if out is None:
      continue
    items = out["instructions"]
    assert 2 <= len(items) <= 3
    levels = []
    for side, text in (("chosen", RESPONSE), ("rejected", OTHER)):
      met = [checks[item["name"]](text, item["params"]) for item in items]
      assert met == [item[f"{side}_satisfied"] for item in items]
      levels.append(_level(met, [1] * len(met)))
    assert out["direction"] == np.sign(levels[0] - levels[1]) != 0
    assert out["aug_prompt"].startswith("Go.\n") and out["prompt"] == "Go."
    directions.append(out["direction"])
  assert len(directions) > 180 and set(directions) == {1, -1}


def test_number_of_constraints():
  out = data.build_mapl_intra(
    0, "p", RESPONSE, data.CONSTRAINTS, num_constraints=(4, 4)
  )
  assert len(out["better"]) == len(out["worse"]) == 4
  with pytest.raises(errors.ConfigError, match="only 1 constraints"):
    data.build_mapl_intra(0, "p", "r", LIBRARY[:1], num_constraints=(2, 3))
  with pytest.raises(errors.ConfigError, match="expected 1 <= low <= high"):
    data.build_mapl_inter(0, "p", "r", "s", LIBRARY, num_constraints=(3, 2))
  with pytest.raises(errors.DataError, match="constraints is empty"):
    data.build_mapl_intra(0, "p", "r", [])


def test_no_difference_gives_none():
  never = data.Constraint(
    "never", lambda key, r, yes: None, lambda p: "", lambda r, p: True
  )
  assert data.build_mapl_intra(0, "p", "r", [never]) is None
  # Equal responses meet everything alike.
  assert data.build_mapl_inter(0, "p", "r", "r", LIBRARY) is None


def test_a_key_decides():
  def build(key):
    return data.build_mapl_intra(key, "p", RESPONSE, LIBRARY)

  assert build(3) == build(3)
  assert any(build(3) != build(key) for key in range(4, 8))


def test_conversations():
  prompt = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Yes?"},
    {"role": "user", "content": "Go."},
    {"role": "assistant", "content": "Well"},
  ]
  out = prompt_variants.add_instructions(prompt, ["A.", "B."])
  assert [m["content"] for m in out] == ["Hi", "Yes?", "Go.\nA. B.", "Well"]
  assert prompt[2]["content"] == "Go."
  assert prompt_variants.add_instructions("Go.", []) == "Go."
  with pytest.raises(errors.DataError, match="no user message"):
    prompt_variants.add_instructions(prompt[1:2], ["A."])


def test_a_constraint_is_believed_for_what_it_checks():
  """One that every response meets makes no prompt better than another."""
  always = data.Constraint(
    name="always",
    make=lambda key, response, satisfied: {},
    text=lambda params: "Do as you like.",
    check=lambda response, params: True,
  )
  for seed in range(5):
    assert data.build_mapl_intra(seed, "q", "an answer", [always]) is None
