# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Verifiable instructions: what is made is met, or is not."""

import numpy as np
import pytest

from prefjax import data
from prefjax.core import errors
from prefjax.data import constraints

RESPONSES = [
  "Yes",
  "The cat sat. It slept! Did it dream?",
  "one two two three",
  "ALL CAPITALS 42",
  '"Quoted from end to end"',
  "First part.\n\nSecond part, with don't and well-known.\n \nThird",
  " ".join(constraints._POOL) + " word0 word1",
  "Größe ÜBER 3.14 日本語 text",
]


@pytest.mark.parametrize("name", sorted(data.CONSTRAINTS))
def test_made_parameters_do_what_they_should(name):
  constraint = data.CONSTRAINTS[name]
  assert constraint.name == name
  for key in range(125):
    for response in RESPONSES:
      for satisfied in (True, False):
        params = constraint.make(key, response, satisfied)
        assert constraint.check(response, params) is satisfied, params
        text = constraint.text(params)
        assert text and "{" not in text


@pytest.mark.parametrize("name", sorted(data.CONSTRAINTS))
def test_empty_responses(name):
  constraint = data.CONSTRAINTS[name]
  for response in ("", " \n ", "..."):
    for satisfied in (True, False):
      params = constraint.make(0, response, satisfied)
      if params is not None:
        assert constraint.check(response, params) is satisfied


def test_a_key_decides():
  make = data.CONSTRAINTS["include_word"].make
  drawn = [make(key, RESPONSES[1], True)["word"] for key in range(30)]
  assert drawn == [make(key, RESPONSES[1], True)["word"] for key in range(30)]
  assert len(set(drawn)) > 3


def test_sets_and_wordings():
  assert len(data.CONSTRAINTS) >= 8
  for plain, other in zip(
    data.constraint_set(), data.constraint_set(wording=1), strict=True
  ):
    params = plain.make(0, "Some words 12", False)
    assert plain.name == other.name and plain.text(params) != other.text(params)
  (one,) = data.constraint_set(["digits"])
  assert one.name == "digits"
  with pytest.raises(errors.ConfigError, match="did you mean 'digits'"):
    data.constraint_set(["digit"])
  with pytest.raises(errors.ConfigError, match="wording=2"):
    data.constraint_set(wording=2)


@pytest.mark.parametrize(
  ("drawn", "expected"),
  [
    ([("min_words", {"n": 5}), ("max_words", {"n": 4})], True),
    ([("min_words", {"n": 4}), ("max_words", {"n": 4})], False),
    ([("min_distinct_words", {"n": 5}), ("max_words", {"n": 4})], True),
    ([("num_paragraphs", {"n": 3}), ("max_words", {"n": 2})], True),
    ([("min_sentences", {"n": 3}), ("max_sentences", {"n": 2})], True),
    ([("min_sentences", {"n": 3}), ("max_words", {"n": 2})], True),
    ([("include_word", {"word": "a"}), ("exclude_word", {"word": "a"})], True),
    ([("include_word", {"word": "a"}), ("exclude_word", {"word": "b"})], False),
    ([("first_word", {"word": "a"}), ("exclude_word", {"word": "a"})], True),
    ([("last_word", {"word": "4"}), ("digits", {"wanted": False})], True),
    ([("last_word", {"word": "4"}), ("digits", {"wanted": True})], False),
    ([("max_words", {"n": 0}), ("include_word", {"word": "a"})], True),
    (
      [
        ("min_words", {"n": 3}),
        ("max_words", {"n": 3}),
        ("word_parity", {"even": True}),
      ],
      True,
    ),
    ([("a user's own", {"n": 1})], False),
    ([], False),
  ],
)
def test_contradictions(drawn, expected):
  assert constraints.contradict(drawn) is expected


def test_what_one_response_meets_never_contradicts():
  rng = np.random.default_rng(0)
  for response in RESPONSES:
    for _ in range(50):
      drawn = [
        (c.name, c.make(rng, response, True)) for c in data.constraint_set()
      ]
      assert not constraints.contradict(drawn)
