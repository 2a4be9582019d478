# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Column mappings of public data sets whose columns have names of their own.

The last one fits any table of questions and answers, so it is tried last.
"""

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
  "llmbar": {
    "prompt": "input",
    "responses": ["output_1", "output_2"],
    "preferred": {"path": "label", "base": 1},
  },
  "pandalm": {
    "id": "idx",
    "prompt": ["instruction", "input"],
    "responses": ["response1", "response2"],
    "votes": {
      "path": ["annotator1", "annotator2", "annotator3"],
      "base": 1,
      "tie": 0,
    },
  },
  "gsm8k_solutions": {
    "prompt": "question",
    "responses": "solutions[].solution",
    "scores": "solutions[].is_correct",
  },
  "mr_gsm8k": {
    "id": "uuid",
    "prompt": "question",
    "steps": "model_output_steps",
    "first_error": {
      "path": "model_output_solution_first_error_step",
      "base": 1,
    },
  },
  "bigbench_mistake": {
    "prompt": "input",
    "steps": "steps",
    "first_error": "mistake_index",
  },
  "topical_chat": {
    "prompt": ["context", "source"],
    "completion": "system_output",
    "attributes": "scores",
  },
  "summary_ratings": {
    "prompt": "source",
    "completion": "system_output",
    "attributes": "scores",
  },
  "tool_reward": {
    "prompt": "question",
    "chosen": "pos_answer.answer",
    "rejected": "neg_answer.answer",
  },
  "humaneval": {
    "id": "task_id",
    "prompt": "prompt",
    "completion": "canonical_solution",
  },
  "gsm8k": {"prompt": "question", "completion": "answer"},
}
