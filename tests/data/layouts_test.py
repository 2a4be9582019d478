# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Every layout: recognised by its columns and turned into the right record."""

import json

import pytest
from layout_cases import CASES, DOG, RED

from prefjax.core import errors
from prefjax.data import columns, layouts, readers


def read_rows(tmp_path, *rows, **options):
  path = tmp_path / "rows.jsonl"
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  return readers.read(path, **options)


def read_one(tmp_path, row, **options):
  data = read_rows(tmp_path, row, **options)
  assert len(data) == 1
  return data.report.layout, data[0]


@pytest.mark.parametrize(
  "name,row,expected", CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)]
)
def test_layout_is_recognised_and_read(tmp_path, name, row, expected):
  layout, record = read_one(tmp_path, row)
  assert layout == name
  for field, value in expected.items():
    assert getattr(record, field) == value, field
  # The same layout by name gives the same record.
  again = readers.read(tmp_path / "rows.jsonl", layout=name)
  assert again[0] == record


def test_every_layout_has_a_case():
  assert {case[0] for case in CASES} == set(layouts.NAMES) - {"hh_rlhf"}


TALK = (
  "\n\nHuman: Hi there\n\nAssistant: Hello.\n\nHuman: A colour?\n\nAssistant:"
)


def test_transcripts_become_turns(tmp_path):
  layout, record = read_one(
    tmp_path, {"chosen": TALK + " Red.", "rejected": TALK + " A dog."}
  )
  assert layout == "hh_rlhf"
  assert record.prompt == (
    {"role": "user", "content": "Hi there"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "A colour?"},
  )
  assert record.responses == ((RED,), (DOG,))


def test_transcripts_that_part_early_keep_the_later_turns(tmp_path):
  start = "\n\nHuman: Hi\n\nAssistant:"
  _, record = read_one(
    tmp_path,
    {
      "chosen": start + " Yes?\n\nHuman: A colour?\n\nAssistant: Red.",
      "rejected": start + " No.",
    },
  )
  assert [len(r) for r in record.responses] == [3, 1]
  assert record.responses[0][1]["role"] == "user"


@pytest.mark.parametrize(
  "chosen,rejected,field",
  [
    (TALK + " Red.", TALK, "rejected"),
    (TALK + " Red.", TALK + " x\n\nHuman: bye", "rejected"),
    (TALK + " Red.", "\n\nHuman: other\n\nAssistant: x", "rejected"),
  ],
)
def test_bad_transcripts_name_the_side(tmp_path, chosen, rejected, field):
  with pytest.raises(errors.DataError, match=rf"line 1: {field}: "):
    read_rows(
      tmp_path, {"chosen": chosen, "rejected": rejected}, layout="hh_rlhf"
    )


def test_a_few_odd_rows_do_not_change_the_layout(tmp_path):
  good = [
    {"prompt": f"p{i}", "chosen": "a", "rejected": "b"} for i in range(20)
  ]
  data = read_rows(tmp_path, {"text": "x"}, *good, on_bad="skip")
  assert data.report.layout == "trl_preference"
  assert (data.report.kept, data.report.bad) == (20, 1)


def test_unknown_columns_say_what_to_do(tmp_path):
  with pytest.raises(errors.DataError, match="no layout fits.*colum1"):
    read_rows(tmp_path, {"colum1": 1, "other": 2})


def test_columns_name_an_unknown_table(tmp_path):
  row = {"ask": "q", "win": {"text": "a", "by": "x"}, "lose": {"text": "b"}}
  mapping = {"prompt": "ask", "chosen": "win.text", "rejected": "lose.text"}
  layout, record = read_one(tmp_path, row, columns=mapping)
  assert layout == "columns"
  assert record.responses == ("a", "b")
  assert record.metadata == {"win": {"by": "x"}, "lose": {}}


def test_columns_for_votes_and_steps(tmp_path):
  row = {"q": "q", "a": ["x", "y", "z"], "v": [2, 2, 0, 1]}
  mapping = {"prompt": "q", "responses": "a", "votes": "v"}
  _, record = read_one(tmp_path, row, columns=mapping)
  assert record.scores == (0.25, 0.25, 0.5)
  row = {"q": "q", "s": ["x", "y", "z"], "bad": 3}
  mapping = {
    "prompt": "q",
    "steps": "s",
    "first_error": {"path": "bad", "base": 1},
  }
  _, record = read_one(tmp_path, row, columns=mapping)
  assert record.step_labels == (True, True, False)
  assert record.first_error == 2


@pytest.mark.parametrize(
  "mapping,message",
  [
    ({"promt": "q"}, "did you mean 'prompt'"),
    ({"prompt": "q", "chosen": "c"}, "needs rejected"),
    ({"prompt": "q", "responses": "r"}, "needs scores, preferred or votes"),
    ({"prompt": "a..b"}, "is not a path"),
    ({"prompt": {"path": "q", "bose": 1}}, "takes path, base and tie"),
    ("llmbr", "did you mean 'llmbar'"),
    ({}, "expected a mapping"),
    ({"chosen": "c", "rejected": "r"}, "needs prompt"),
  ],
)
def test_bad_mappings_are_one_line(mapping, message):
  with pytest.raises(errors.DataError, match=message) as error:
    columns.compile_mapping(mapping)
  assert "\n" not in str(error.value)


def test_unknown_layout_lists_near_matches(tmp_path):
  with pytest.raises(errors.DataError, match="did you mean 'hh_rlhf'"):
    read_rows(tmp_path, {"text": "x"}, layout="hh_rlfh")


def test_ties_have_equal_scores(tmp_path):
  row = dict(CASES[[c[0] for c in CASES].index("pandalm")][1])
  row.update(annotator1=0, annotator2=0, annotator3=0)
  _, record = read_one(tmp_path, row)
  assert record.scores == (0.5, 0.5)
  row.update(annotator1=3)
  with pytest.raises(errors.DataError, match="annotator1: is 3, expected 1..2"):
    read_rows(tmp_path, row)
