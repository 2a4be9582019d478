# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A row of every layout, and the record it must become."""

import json

USER = {"role": "user", "content": "Name a colour."}
SYSTEM = {"role": "system", "content": "Be brief."}
RED = {"role": "assistant", "content": "Red."}
DOG = {"role": "assistant", "content": "A dog."}

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
