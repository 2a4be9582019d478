# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The record schema: what it accepts, refuses and promises."""

import dataclasses
import json

import numpy as np
import pytest

from prefjax.core import errors
from prefjax.data import records

WHERE = records.Where("f.jsonl", 7, "line")
PAIR = {"id": "a", "kind": "pair", "prompt": "p", "responses": ["x", "y"]}


def refused(raw, **options):
  with pytest.raises(records.RecordError) as error:
    records.validate(raw, WHERE, **options)
  assert str(error.value).startswith("f.jsonl, line 7")
  assert isinstance(error.value, errors.DataError)
  assert "\n" not in str(error.value)
  return error.value


@pytest.mark.parametrize(
  "raw",
  [
    PAIR,
    {**PAIR, "pairs": [[1, 0]], "scores": [0.5, None], "weight": 0},
    {**PAIR, "kind": "ranked", "scores": [2, 1]},
    {**PAIR, "kind": "unpaired", "labels": [True, False]},
    {**PAIR, "kind": "rated", "attributes": [{"a": 1}, {}]},
    {"id": 3, "kind": "steps", "prompt": "p", "steps": ["a ", "b"]},
    {"id": "s", "kind": "sft", "prompt": "p", "responses": ["x"]},
    {"id": "t", "kind": "text", "responses": ["x"]},
    {"id": "q", "kind": "prompt", "prompt": "p"},
    {**PAIR, "images": ["a.png"], "metadata": {"n": [1, {"b": None}]}},
    {
      "id": "c",
      "kind": "sft",
      "prompt": [{"role": "user", "content": [{"type": "image"}, "hi"]}],
      "responses": ["plain text after a chat prompt"],
    },
  ],
)
def test_records_survive_json(raw):
  record = records.validate(raw, WHERE)
  again = records.validate(json.loads(records.to_json(record)), WHERE)
  assert again == record
  assert again.content_digest == record.content_digest
  assert hash(record.id)


@pytest.mark.parametrize(
  "change,field",
  [
    ({"kind": "pears"}, "kind"),
    ({"prompt": ""}, "prompt"),
    ({"prompt": None}, "prompt"),
    ({"responses": ["x"]}, "responses"),
    ({"responses": ["x", " "]}, "responses[1]"),
    ({"responses": ["x", 3]}, "responses[1]"),
    ({"responses": ["x"] * 65}, "responses"),
    ({"scores": [1.0]}, "scores"),
    ({"scores": [1.0, float("nan")]}, "scores[1]"),
    ({"scores": [1.0, "nan"]}, "scores[1]"),
    ({"scores": [1.0, float("inf")]}, "scores[1]"),
    ({"scores": [1.0, 10**400]}, "scores[1]"),
    ({"labels": [True, "maybe"]}, "labels[1]"),
    ({"pairs": [[0, 2]]}, "pairs[0]"),
    ({"pairs": [[0, 0]]}, "pairs[0]"),
    ({"pairs": [[0]]}, "pairs[0]"),
    ({"pairs": [[0, 0.5]]}, "pairs[0]"),
    ({"weight": float("nan")}, "weight"),
    ({"flip_rate": -0.1}, "flip_rate"),
    ({"logging_prob": 1.1}, "logging_prob"),
    ({"attributes": [{"a": "high"}, {}]}, "attributes[0].a"),
    ({"metadata": []}, "metadata"),
    ({"metadata": {"a": {1, 2}}}, "metadata.'a'"),
    ({"images": [3]}, "images[0]"),
    ({"id": None}, "id"),
    ({"id": True}, "id"),
    ({"id": "x" * 600}, "id"),
    ({"promt": "p"}, "promt"),
    ({"kind": "ranked"}, "scores"),
    ({"kind": "ranked", "scores": [None, None]}, "scores"),
    ({"kind": "sft"}, "responses"),
    ({"kind": "text"}, "responses"),
    ({"kind": "steps"}, "responses"),
  ],
)
def test_refusals_name_the_field(change, field):
  assert refused({**PAIR, **change}).field == field


def test_limits_are_enforced_and_can_be_raised():
  big = {**PAIR, "prompt": "x" * 1_200_000}
  assert refused(big).field == "record"
  limits = records.Limits(bytes=2_000_000)
  assert records.validate(big, WHERE, limits=limits).id == "a"
  assert refused(PAIR, limits=records.Limits(bytes=20)).field == "record"
  few = records.Limits(responses=1)
  assert refused(PAIR, limits=few).field == "responses"
  deep = {**PAIR, "metadata": {"a": [[[[1]]]]}}
  assert records.validate(deep, WHERE)
  flat = records.Limits(depth=3)
  assert "nested" in refused(deep, limits=flat).reason
  steps = {"id": "s", "kind": "steps", "prompt": "p", "steps": ["a"] * 3}
  assert refused(steps, limits=records.Limits(steps=2)).field == "steps"
  turns = {**PAIR, "prompt": [{"role": "user", "content": "a"}] * 3}
  assert refused(turns, limits=records.Limits(messages=2)).field == "prompt"
  many = {**PAIR, "pairs": [[0, 1], [1, 0]]}
  assert refused(many, limits=records.Limits(pairs=1)).field == "pairs"


def test_errors_speak_the_words_of_the_source():
  names = {"responses[0]": "chosen", "responses[1]": "rejected"}
  error = refused({**PAIR, "responses": ["x", ""]}, names=names)
  assert error.field == "rejected"
  assert "(id 'a')" in str(error)


def test_the_content_digest_ignores_the_id_only():
  base = records.validate(PAIR, WHERE)
  assert (
    records.validate({**PAIR, "id": "b"}, WHERE).content_digest
    == base.content_digest
  )
  for change in (
    {"prompt": "q"},
    {"responses": ["y", "x"]},
    {"pairs": [[1, 0]]},
    {"weight": 2},
    {"scores": [1, 0]},
    {"flip_rate": 0.1},
    {"metadata": {"a": 1}},
    {"images": [np.zeros((2, 2, 3), np.float32)]},
  ):
    other = records.validate({**PAIR, **change}, WHERE)
    assert other.content_digest != base.content_digest, change
  one = records.validate({**PAIR, "images": [np.zeros((2, 2))]}, WHERE)
  two = records.validate({**PAIR, "images": [np.ones((2, 2))]}, WHERE)
  assert one.content_digest != two.content_digest
  with pytest.raises(errors.DataError, match="arrays cannot be written"):
    records.to_json(one)


def test_the_digest_of_a_list_depends_on_order_and_ids():
  a = records.validate(PAIR, WHERE)
  b = dataclasses.replace(a, id="b")
  assert records.digest([a, b]) == records.digest([a, b])
  assert records.digest([a, b]) != records.digest([b, a])
  assert records.digest([a]) != records.digest([b])


def test_equal_sides():
  same = records.validate({**PAIR, "responses": ["x", "x"]}, WHERE)
  assert same.equal_sides
  assert not records.validate(PAIR, WHERE).equal_sides
  three = {**PAIR, "responses": ["x", "x", "y"], "pairs": [[0, 2], [0, 1]]}
  assert not records.validate(three, WHERE).equal_sides


def test_first_error():
  raw = {"id": "s", "kind": "steps", "prompt": "p", "steps": ["a", "b"]}
  for labels, first in (
    (None, None),
    ([True, True], -1),
    ([True, False], 1),
    ([None, False], 1),
    ([True, None], None),
  ):
    record = records.validate({**raw, "step_labels": labels}, WHERE)
    assert record.first_error == first
  assert record.responses == ("ab",)
  assert refused({**raw, "responses": ["a b"]}).field == "steps"


def test_roles_of_other_formats_are_translated():
  raw = {
    "id": "x",
    "kind": "sft",
    "prompt": [
      {"from": "system", "value": "s"},
      {"from": "human", "value": "h"},
      {"from": "function_call", "value": "f"},
      {"from": "observation", "value": "o"},
    ],
    "responses": [{"from": "gpt", "value": "g"}],
  }
  record = records.validate(raw, WHERE)
  roles = [m["role"] for m in record.prompt]
  assert roles == ["system", "user", "assistant", "tool"]
  assert record.responses == (({"role": "assistant", "content": "g"},),)
  assert record.is_chat
