# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Every layout: recognised by its columns and turned into the right record."""

import json

import pytest

from prefjax.core import errors
from prefjax.data import columns, layouts, readers

USER = {"role": "user", "content": "Name a colour."}
SYSTEM = {"role": "system", "content": "Be brief."}
RED = {"role": "assistant", "content": "Red."}
DOG = {"role": "assistant", "content": "A dog."}


def read_rows(tmp_path, *rows, **options):
  path = tmp_path / "rows.jsonl"
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  return readers.read(path, **options)


def read_one(tmp_path, row, **options):
  data = read_rows(tmp_path, row, **options)
  assert len(data) == 1
  return data.report.layout, data[0]


# name of the layout, the row, fields that the record must have
CASES = [
  (
    "prefjax_table",
    {
      "id": "a",
      "kind": "pair",
      "chat": True,
      "prompt": json.dumps([USER]),
      "responses": [json.dumps([RED]), json.dumps([DOG])],
      "rest": '{"weight": 2}',
    },
    {"prompt": (USER,), "responses": ((RED,), (DOG,)), "weight": 2},
  ),
  (
    "trl_preference",
    {"prompt": "p", "chosen": "good", "rejected": "bad", "margin": 2},
    {
      "kind": "pair",
      "prompt": "p",
      "responses": ("good", "bad"),
      "pairs": ((0, 1),),
      "metadata": {"margin": 2},
    },
  ),
  (
    "trl_preference",
    {"prompt": [USER], "chosen": [RED], "rejected": [DOG]},
    {"kind": "pair", "prompt": (USER,), "responses": ((RED,), (DOG,))},
  ),
  (  # both sides repeat the prompt, which is a column as well
    "trl_preference",
    {
      "prompt": USER["content"],
      "chosen": [USER, RED],
      "rejected": [USER, DOG],
      "messages": [USER, RED],
    },
    {"prompt": (USER,), "responses": ((RED,), (DOG,))},
  ),
  (
    "trl_preference",
    {"system": "Be brief.", "question": "q", "chosen": "a", "rejected": "b"},
    {
      "prompt": (SYSTEM, {"role": "user", "content": "q"}),
      "responses": (
        ({"role": "assistant", "content": "a"},),
        ({"role": "assistant", "content": "b"},),
      ),
    },
  ),
  (
    "trl_preference_implicit",
    {"chosen": [SYSTEM, USER, RED], "rejected": [SYSTEM, USER, DOG]},
    {"prompt": (SYSTEM, USER), "responses": ((RED,), (DOG,))},
  ),
  (
    "trl_preference_implicit",
    {"chosen": "The sky is blue.", "rejected": "The sky is black."},
    {"prompt": "The sky is ", "responses": ("blue.", "black.")},
  ),
  (
    "trl_unpaired",
    {"prompt": "p", "completion": "c", "label": False},
    {"kind": "unpaired", "responses": ("c",), "labels": (False,)},
  ),
  (
    "trl_unpaired",
    {"prompt": [USER], "completion": [RED], "label": True, "weight": 2},
    {"prompt": (USER,), "labels": (True,), "weight": 2.0},
  ),
  (
    "trl_stepwise",
    {
      "prompt": "p",
      "completions": ["one", "two", "three"],
      "labels": [True, False, None],
    },
    {
      "kind": "steps",
      "responses": ("one\ntwo\nthree",),
      "steps": ("one\n", "two\n", "three"),
      "step_labels": (True, False, None),
    },
  ),
  (  # steps that bring their separators keep them
    "trl_stepwise",
    {"prompt": "p", "completions": ["a; ", "b"], "labels": [True, True]},
    {"responses": ("a; b",), "steps": ("a; ", "b")},
  ),
  (
    "trl_prompt_completion",
    {"prompt": "p", "completion": "c"},
    {"kind": "sft", "responses": ("c",)},
  ),
  (
    "trl_prompt_completion",
    {"prompt": [USER], "completion": [RED]},
    {"kind": "sft", "prompt": (USER,), "responses": ((RED,),)},
  ),
  (
    "trl_language_modeling",
    {"text": "once upon a time"},
    {"kind": "text", "prompt": "", "responses": ("once upon a time",)},
  ),
  (
    "trl_prompt_only",
    {"prompt": "p", "answer": "42"},
    {"kind": "prompt", "responses": (), "metadata": {"answer": "42"}},
  ),
  (
    "sharegpt",
    {"messages": [SYSTEM, USER, RED, USER, DOG]},
    {
      "kind": "sft",
      "prompt": (SYSTEM, USER),
      "responses": ((RED, USER, DOG),),
    },
  ),
  (
    "sharegpt",
    {
      "conversations": [
        {"from": "human", "value": "Name a colour."},
        {"from": "gpt", "value": "Red."},
      ],
      "system": "Be brief.",
    },
    {"prompt": (SYSTEM, USER), "responses": ((RED,),)},
  ),
  (
    "sharegpt_ranking",
    {
      "conversations": [{"from": "human", "value": "Name a colour."}],
      "chosen": {"from": "gpt", "value": "Red."},
      "rejected": {"from": "gpt", "value": "A dog."},
    },
    {"kind": "pair", "prompt": (USER,), "responses": ((RED,), (DOG,))},
  ),
  (
    "sharegpt_label",
    {"messages": [USER, DOG], "label": False},
    {"kind": "unpaired", "prompt": (USER,), "labels": (False,)},
  ),
  (
    "sharegpt_kto",
    {"messages": [USER, RED], "kto_tag": True},
    {"kind": "unpaired", "prompt": (USER,), "labels": (True,)},
  ),
  (
    "alpaca",
    {"instruction": "Add.", "input": "1 1", "output": "2"},
    {"kind": "sft", "prompt": "Add.\n1 1", "responses": ("2",)},
  ),
  (
    "alpaca",
    {"instruction": "Add.", "input": "", "output": ["2", "3"]},
    {"kind": "pair", "prompt": "Add.", "responses": ("2", "3")},
  ),
  (
    "alpaca",
    {
      "instruction": "And now?",
      "output": "3",
      "history": [["Add 1 1.", "2"]],
      "system": "Be brief.",
    },
    {
      "prompt": (
        SYSTEM,
        {"role": "user", "content": "Add 1 1."},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "And now?"},
      )
    },
  ),
  (
    "alpaca_ranking",
    {"instruction": "Add.", "input": "1 1", "chosen": "2", "rejected": "3"},
    {"kind": "pair", "prompt": "Add.\n1 1", "responses": ("2", "3")},
  ),
  (
    "alpaca_kto",
    {"instruction": "Add.", "input": "", "output": "2", "kto_tag": "true"},
    {"kind": "unpaired", "labels": (True,)},
  ),
  (
    "nemo_ranked",
    {
      "context": [USER],
      "completions": [
        {"rank": 1, "completion": [DOG]},
        {"rank": 0, "completion": [RED]},
      ],
    },
    {
      "kind": "ranked",
      "prompt": (USER,),
      "responses": ((DOG,), (RED,)),
      "scores": (-1.0, 0.0),
    },
  ),
  (
    "ultrafeedback",
    {
      "instruction": "i",
      "completions": [
        {
          "response": "a",
          "model": "m1",
          "annotations": {
            "honesty": {"Rating": "4"},
            "helpfulness": {"Rating": "N/A"},
          },
        },
        {
          "response": "b",
          "model": "m2",
          "annotations": {
            "honesty": {"Rating": "2"},
            "helpfulness": {"Rating": "3"},
          },
          "overall_score": 7.5,
        },
      ],
    },
    {
      "kind": "ranked",
      "prompt": "i",
      "responses": ("a", "b"),
      "scores": (4.0, 7.5),
      "attributes": ({"honesty": 4.0}, {"honesty": 2.0, "helpfulness": 3.0}),
      "metadata": {"completion_models": ["m1", "m2"]},
    },
  ),
  (
    "ranked",
    {"prompt": "p", "responses": ["a", "b", "c"], "scores": [1, None, 0.5]},
    {"kind": "ranked", "scores": (1.0, None, 0.5)},
  ),
  (
    "ranked",
    {"prompt": "p", "responses": ["a", "b"], "ranks": [2, 1]},
    {"scores": (-2.0, -1.0)},
  ),
  (
    "rated",
    {
      "prompt": "p",
      "responses": ["a", "b"],
      "ratings": [{"tone": 3}, {}],
      "scores": [3, 1],
    },
    {
      "kind": "rated",
      "attributes": ({"tone": 3.0}, {}),
      "scores": (3.0, 1.0),
    },
  ),
  (
    "helpsteer",
    {
      "prompt": "p",
      "response": "r",
      "helpfulness": 4,
      "correctness": 3,
      "coherence": 4,
      "complexity": 2,
      "verbosity": 1,
    },
    {
      "kind": "rated",
      "attributes": (
        {
          "helpfulness": 4.0,
          "correctness": 3.0,
          "coherence": 4.0,
          "complexity": 2.0,
          "verbosity": 1.0,
        },
      ),
    },
  ),
  (
    "joint",
    {"i_chosen": "q1", "r_chosen": "a1", "i_reject": "q2", "r_reject": "a2"},
    {
      "kind": "pair",
      "prompt": "",
      "responses": (
        (
          {"role": "user", "content": "q1"},
          {"role": "assistant", "content": "a1"},
        ),
        (
          {"role": "user", "content": "q2"},
          {"role": "assistant", "content": "a2"},
        ),
      ),
      "metadata": {"joint": True},
    },
  ),
  (
    "step_pair",
    {
      "prompt": "2+3*4=?",
      "initial_reason_steps": "3*4=12\n",
      "chosen": "2+12=14",
      "rejected": "2+12=15",
      "answer": "14",
    },
    {
      "prompt": "2+3*4=?3*4=12\n",
      "responses": ("2+12=14", "2+12=15"),
      "metadata": {"answer": "14", "initial_reason_steps": "3*4=12\n"},
    },
  ),
  (
    "prefjax",
    {
      "id": "x",
      "kind": "pair",
      "prompt": "p",
      "responses": ["a", "b", "c"],
      "pairs": [[2, 0], [2, 1]],
      "flip_rate": 0.25,
      "logging_prob": 0.5,
      "metadata": {"user": 3},
    },
    {
      "id": "x",
      "pairs": ((2, 0), (2, 1)),
      "flip_rate": 0.25,
      "logging_prob": 0.5,
      "metadata": {"user": 3},
    },
  ),
  (
    "llmbar",
    {"input": "i", "output_1": "a", "output_2": "b", "label": 2},
    {"kind": "pair", "responses": ("b", "a"), "metadata": {"label": 2}},
  ),
  (
    "pandalm",
    {
      "idx": 7,
      "instruction": "i",
      "input": "x",
      "response1": "a",
      "response2": "b",
      "annotator1": 1,
      "annotator2": 1,
      "annotator3": 0,
    },
    {
      "id": "7",
      "kind": "ranked",
      "prompt": "i\n\nx",
      "scores": (0.833333333, 0.166666667),
      "metadata": {
        "annotator1": 1,
        "annotator2": 1,
        "annotator3": 0,
        "agreement": 0.833333333,
      },
    },
  ),
  (
    "gsm8k_solutions",
    {
      "question": "q",
      "ground_truth": "g",
      "solutions": [
        {"model": "m", "solution": "s1", "is_correct": False},
        {"model": "n", "solution": "s2", "is_correct": True},
      ],
    },
    {
      "kind": "ranked",
      "responses": ("s1", "s2"),
      "scores": (0.0, 1.0),
      "metadata": {
        "ground_truth": "g",
        "solutions": [{"model": "m"}, {"model": "n"}],
      },
    },
  ),
  (
    "mr_gsm8k",
    {
      "uuid": "u",
      "question": "q",
      "model_output_steps": ["a", "b", "c"],
      "model_output_solution_first_error_step": 2,
    },
    {
      "id": "u",
      "kind": "steps",
      "steps": ("a\n", "b\n", "c"),
      "step_labels": (True, False, None),
    },
  ),
  (
    "bigbench_mistake",
    {"input": "q", "steps": ["a", "b"], "mistake_index": None},
    {"kind": "steps", "step_labels": (True, True)},
  ),
  (
    "topical_chat",
    {
      "source": "hi",
      "context": "fact",
      "system_output": "hello",
      "scores": {"overall": 4.5},
    },
    {
      "kind": "rated",
      "prompt": "fact\n\nhi",
      "attributes": ({"overall": 4.5},),
    },
  ),
  (
    "summary_ratings",
    {"source": "d", "system_output": "s", "scores": {"overall": 1}},
    {"kind": "rated", "prompt": "d"},
  ),
  (
    "tool_reward",
    {
      "question": "q",
      "pos_answer": {"answer": "a", "score": 1},
      "neg_answer": {"answer": "b", "score": 0},
    },
    {
      "kind": "pair",
      "responses": ("a", "b"),
      "metadata": {"pos_answer": {"score": 1}, "neg_answer": {"score": 0}},
    },
  ),
  (
    "humaneval",
    {"task_id": "t/0", "prompt": "def f():", "canonical_solution": "  pass"},
    {"id": "t/0", "kind": "sft", "responses": ("  pass",)},
  ),
  (
    "gsm8k",
    {"question": "q", "answer": "a"},
    {"kind": "sft", "prompt": "q", "responses": ("a",)},
  ),
]


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
