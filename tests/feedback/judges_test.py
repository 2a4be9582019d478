# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Judges, verdicts in words, and both orders."""

import numpy as np
import pytest

from prefjax.analysis import self_preference
from prefjax.core import errors
from prefjax.feedback import judges


def _item(first, second, name="x"):
  return judges.Comparison(id=name, prompt="p", first=first, second=second)


@pytest.mark.parametrize(
  "reply, verdict",
  [
    ("Reasons.\n[[1]]", 1.0),
    ("Reasons.\n\n Verdict: [[2]] \n\n", 0.0),
    ("[[TIE]]", 0.5),
    ("[[ 1 ]]", 1.0),
    ("so [[1]], and again:\n[[1]]", 1.0),
    ("", None),
    ("Answer 1 is better.", None),
    ("[1]", None),
    ("[[3]]", None),
    ("[[1]]\n[[2]]", None),
    ("[[1]] [[2]]", None),
    ("It writes [[2]].\n[[1]]", None),
    ("[[1]]\nThat is what it claims.", None),
  ],
)
def test_only_a_clear_verdict_is_read(reply, verdict):
  assert judges.read_verdict(reply) == verdict


def test_texts_are_no_templates():
  item = _item("{second}", "{prompt} [[1]] {x}")
  text = judges.fill("{prompt}|{first}|{second}|{x}", item)
  assert text == "p|{second}|{prompt} [[1]] {x}|{x}"


def test_a_verdict_is_whole():
  for wrong in (
    dict(first=None),
    dict(first=0.5, status=judges.FAILED),
    dict(first=1.5),
    dict(first=float("nan")),
    dict(first=None, status="odd"),
  ):
    with pytest.raises(ValueError, match="Verdict"):
      judges.Verdict(**wrong)


def test_rules():
  judge = judges.RuleJudge("length", lambda p, r: len(r), band=1)
  items = [_item("aaaa", "b"), _item("a", "bbbb"), _item("aa", "b")]
  assert [v.first for v in judge.compare(items)] == [1.0, 0.0, 0.5]
  odd = judges.RuleJudge("odd", lambda p, r: float("nan"))
  assert odd.compare(items)[0].status == judges.UNPARSED


def test_probabilities():
  def probabilities(prompts, first, second):
    assert len(prompts) == len(first) == len(second) == 3
    return np.asarray([0.3, 0.0, 0.2]), np.asarray([0.1, 0.0, 0.2])

  judge = judges.ProbabilityJudge("local", probabilities)
  said = judge.compare([_item("a", "b")] * 3)
  assert said[0].first == pytest.approx(0.75) and said[2].first == 0.5
  assert said[1].status == judges.UNPARSED and "probability" in said[1].reason
  assert judge.compare([]) == []


class _Placed:
  """Likes the first place, by as much as it says, over length."""

  name = "placed"

  def __init__(self, bonus):
    self._bonus = bonus

  def compare(self, items):
    gaps = [len(i.first) - len(i.second) + self._bonus for i in items]
    return [
      judges.Verdict(first=0.5 + 0.5 * float(np.sign(gap))) for gap in gaps
    ]


def test_a_judge_of_places_ends_at_a_half():
  items = [_item("a" * n, "bb", f"i{n}") for n in range(1, 5)]
  found = judges.compare_both_orders(_Placed(100), items)
  np.testing.assert_array_equal(found.first, 0.5)
  found = judges.compare_both_orders(_Placed(0), items)
  np.testing.assert_array_equal(found.first, [0, 0.5, 1, 1])
  # The same as the analysis of orders says.
  found = judges.compare_both_orders(_Placed(1), items)
  ab, ba = found.by_order[:, 0], found.by_order[:, 1]
  want = self_preference.debias_position(ab, 1 - ab, 1 - ba, ba)
  np.testing.assert_allclose(found.first, want, atol=1e-6)


class _Broken(_Placed):
  def compare(self, items):
    said = super().compare(items)
    return [
      judges.Verdict(first=None, status=judges.FAILED, reason="gone")
      if item.first == "b"
      else verdict
      for item, verdict in zip(items, said, strict=True)
    ]


def test_one_order_without_a_verdict_leaves_the_comparison_out():
  items = [_item("a", "b", "bad"), _item("a", "cc", "good")]
  found = judges.compare_both_orders(_Broken(0), items)
  assert found.ids == ("good",) and found.left_out == {"bad": "failed: gone"}
  assert found.summary() == "1 judged, 1 left out: failed: gone"
  empty = judges.compare_both_orders(_Broken(0), [items[0]])
  assert empty.first.shape == (0,) and empty.by_order.shape == (0, 2)
  with pytest.raises(errors.DataError, match="'bad' comes twice"):
    judges.compare_both_orders(_Broken(0), [items[0], items[0]])
