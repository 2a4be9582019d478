# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Ratings as text, and who rates."""

import numpy as np
import pytest

from prefjax import data, feedback
from prefjax.core import errors


def test_ratings_of_a_reply():
  reply = (
    "Rating: 4\nRationale: it rates 5 of 5\n \nRating: N/A\nRationale: x\n"
    "\n\nRationale: no rating\n\nsays Rating: 3\nRating: 2/5"
  )
  found = data.parse_annotation(text=reply, aspect="honesty")
  assert [item["rating"] for item in found] == [4, None, None, 2]
  assert all("types" not in item for item in found)
  assert data.parse_annotation(text=" \n", aspect="honesty") == []


def test_types():
  reply = "Type: 1, 3\nRationale: a\nRating: 3\n\nType: None\nRating: 5"
  found = data.parse_annotation(text=reply, aspect="helpfulness")
  assert found == [
    {"rating": 3, "types": [1, 3]},
    {"rating": 5, "types": []},
  ]


def test_attribute_strings_round_trip():
  scores = {"helpfulness": 4, "verbosity": 1.6, "tone": 0}
  text = data.attribute_string(scores, names=("helpfulness", "verbosity"))
  assert text == "helpfulness:4,verbosity:2"
  parsed = data.parse_attribute_string(text=text)
  assert parsed == {"helpfulness": 4, "verbosity": 2}
  other = data.attribute_string(scores, names=list(scores), separator=" | ")
  assert data.parse_attribute_string(text=other, separator=" | ") == {
    "helpfulness": 4,
    "verbosity": 2,
    "tone": 0,
  }
  assert data.parse_attribute_string(text="") == {}
  with pytest.raises(errors.DataError, match="did you mean 'tone'"):
    data.attribute_string(scores, names=["tones"])
  for bad in ("a", "a:", "a:b", ":1", "a:1,", "a:1,a:2"):
    with pytest.raises(errors.DataError, match="parse_attribute_string"):
      data.parse_attribute_string(text=bad)


def test_demonstrations_of_feedback():
  record = {"prompt": "q", "response": "a", "feedback": "thanks"}
  (swapped,) = data.feedback_sft_records([record])
  assert [m["role"] for m in swapped["prompt"]] == ["user", "assistant", "user"]
  assert [m["content"] for m in swapped["prompt"]][1:] == ["q", "a"]
  assert swapped["completion"] == [{"role": "assistant", "content": "thanks"}]
  (plain,) = data.feedback_sft_records([record], swap_roles=False)
  assert [m["content"] for m in plain["prompt"]] == ["q", "a"]
  assert plain["completion"] == [{"role": "user", "content": "thanks"}]
  with pytest.raises(errors.DataError, match="record 0 has no text 'response'"):
    data.feedback_sft_records([{"prompt": "q"}])


def _question(prompt, texts):
  return prompt + "|" + "|".join(texts)


def _annotate(judge, seed=0, **keywords):
  return feedback.annotate(
    judge,
    ["p"] * 40,
    [["a", "bb", "ccc"]] * 40,
    aspects={"honesty": _question, "helpfulness": _question},
    parse=data.parse_annotation,
    shuffle_key=seed,
    **keywords,
  )


def test_order_is_undone():
  def by_length(asked):
    texts = asked.split("|")[1:]
    return "\n\n".join(f"Rating: {len(text)}" for text in texts)

  out = _annotate(by_length)
  np.testing.assert_array_equal(out["mask"], 1)
  np.testing.assert_array_equal(
    out["ratings"], np.broadcast_to([[[1], [2], [3]]], (40, 3, 2))
  )


def test_a_judge_that_likes_the_first_text_likes_nobody():
  def first(asked):
    del asked
    return "Rating: 5\n\nRating: 1\n\nRating: N/A"

  out = _annotate(first, seed=1)
  assert (out["mask"].sum(1) == 2).all()
  wins = (out["ratings"] == 5).mean((0, 2))
  assert np.abs(wins - 1 / 3).max() < 5 * np.sqrt(2 / 9 / 80)


def test_replies_that_do_not_parse_are_asked_again():
  calls = []

  def moody(asked):
    calls.append(asked)
    return "no" if len(calls) % 2 else "\n\n".join(["Rating: 1"] * 3)

  assert _annotate(moody)["mask"].all()
  assert len(calls) == 160
  never = _annotate(lambda asked: "no", retries=0)
  assert not never["mask"].any() and never["replies"][0] == ["no", "no"]
  with pytest.raises(errors.DataError, match="0 lists of responses for 1"):
    feedback.annotate(
      None, ["p"], [], aspects={}, parse=data.parse_annotation, shuffle_key=0
    )


def test_reasons_follow_their_responses():
  def judge(asked):
    texts = asked.split("|")[1:]
    return "\n\n".join(
      f"Rating: {len(text)}\nRationale: of {text}" for text in texts
    )

  out = feedback.annotate(
    judge,
    ["p"] * 5,
    [["a", "bb", "ccc"]] * 5,
    aspects={"honesty": _question},
    shuffle_key=3,
  )
  assert out["rationales"] == [[["of a"], ["of bb"], ["of ccc"]]] * 5
  np.testing.assert_array_equal(out["ratings"][..., 0], [[1, 2, 3]] * 5)
  assert data.parse_rationales(text="Rating: 1\n\nRationale: x") == ["", "x"]
