# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Final answers in model text."""

import time

import pytest

from prefjax import rewards


@pytest.mark.parametrize(
  ("text", "answer", "expected"),
  [
    ("so 17 #17 no wait #16", "16", True),
    ("so #16 no wait #17", "16", False),
    ("ANSWER :  Paris.", "paris", True),
    ("answer: Paris。", "Paris", True),
    ("#### 42\nmore words", "42", True),
    ("＃４２", "42", True),  # full-width
    ("42", "42", False),
    ("", "", False),
    ("answer:\n7", "7", True),
    ("answer: 7 .", "7", True),
    ("answer: 42.5", "42.", False),
    ("answer: " + "x" * 9, "y", False),
  ],
)
def test_last_marked_answer(text, answer, expected):
  assert rewards.final_answer_match(text, answer) is expected


def test_own_pattern():
  pattern = r"<a>(.*?)</a>"
  text = "<a>1</a> <A>2</A> #3"
  assert rewards.final_answer_match(text, "2", pattern=pattern)
  assert not rewards.final_answer_match(text, "3", pattern=pattern)


@pytest.mark.parametrize("piece", ["#", "# ", "#\n", "answer", "answer: \n"])
def test_model_text_cannot_stall_it(piece):
  start = time.perf_counter()
  rewards.final_answer_match(piece * 50_000, "1")
  assert time.perf_counter() - start < 2
