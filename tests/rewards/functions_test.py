# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Rewards by name, what they read of a record, and mistakes."""

import types

import pytest

from prefjax import rewards
from prefjax.core import errors


def record(**metadata):
  return types.SimpleNamespace(
    id="r1", metadata=metadata, responses=(), pairs=None
  )


@pytest.mark.parametrize(
  "name,settings,response,metadata,value",
  [
    ("exact", {}, " DH DH \n", {"answer": "DH DH"}, 1.0),
    ("exact", {}, "dh dh", {"answer": "DH DH"}, 0.0),
    ("exact", {"fold": True}, "dh dh", {"answer": "DH DH"}, 1.0),
    ("exact", {"field": "gold"}, "7", {"gold": 7}, 1.0),
    ("numeric", {}, "so it is 18", {"answer": "9 * 2\n#### 18"}, 1.0),
    ("numeric", {}, "\\boxed{1/2}", {"answer": "0.5"}, 1.0),
    ("numeric", {}, "18, no, 19", {"answer": "18"}, 0.0),
    ("numeric", {}, "none", {"answer": "18"}, 0.0),
    ("numeric", {"tolerance": 0.01}, "3.14", {"answer": "3.1416"}, 1.0),
    ("final_answer", {}, "Answer: Paris.", {"answer": "paris"}, 1.0),
    ("final_answer", {}, "Paris", {"answer": "paris"}, 0.0),
    ("regex", {"pattern": "<a>.*</a>"}, "<a>\n1</a>", {}, 1.0),
    ("regex", {"pattern": "<a>.*</a>"}, "x<a>1</a>", {}, 0.0),
    ("regex", {"pattern": "a", "whole": False}, "xax", {}, 1.0),
    ("json", {}, '{"a": 1}', {}, 1.0),
    ("json", {"keys": ["a", "b"]}, '{"a": 1}', {}, 0.5),
    ("json", {"keys": ["a"]}, '{"a": 1}', {}, 1.0),
    ("json", {}, "[1]", {}, 0.5),
    ("json", {}, "{'a': 1}", {}, 0.0),
    ("json", {}, "NaN", {}, 0.0),
    ("json", {}, "[" * 100_000, {}, 0.0),
    ("length", {"per": 10}, "x" * 25, {}, 2.5),
  ],
)
def test_rewards(name, settings, response, metadata, value):
  reward = rewards.get(name, **settings)
  assert reward("prompt", response, record(**metadata)) == value


def test_the_best_response_stands_in_for_the_answer():
  pair = types.SimpleNamespace(
    id="p", metadata={}, responses=("bad", "good"), pairs=((1, 0),)
  )
  assert rewards.get("exact")("", "good", pair) == 1.0


def test_a_record_without_the_field_is_named():
  with pytest.raises(errors.DataError, match="'r1': has no field 'answer'"):
    rewards.get("exact")("", "x", record())


@pytest.mark.parametrize(
  "name,settings,match",
  [
    ("exakt", {}, "did you mean 'exact'"),
    ("exact", {"feild": "a"}, "did you mean 'field'"),
    ("regex", {}, "pattern"),
    ("regex", {"pattern": "("}, "no regular expression"),
    ("length", {"per": 0}, "not positive"),
  ],
)
def test_mistakes(name, settings, match):
  with pytest.raises(errors.ConfigError, match=match):
    rewards.get(name, **settings)


def test_register():
  with pytest.raises(errors.ConfigError, match="built-in"):
    rewards.register("exact", lambda *a: 1.0)
  with pytest.raises(errors.ConfigError, match="no function"):
    rewards.register("own_reward", 3)
  rewards.register("own_reward", lambda prompt, response, record: 0.25)
  assert "own_reward" in rewards.names()
  assert rewards.get("own_reward")("", "", None) == 0.25
