# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Prompts with and without a history."""

import pytest

from prefjax import data
from prefjax.core import errors

RECORD = {
  "prompt": "Review the lamp",
  "history": ["new one", "old two three", "older four"],
  "response": "Bright.",
}


def test_the_newest_entries_stay():
  out = data.history_pairs(RECORD, max_history=2)
  assert out["with_history"] == "Review the lamp\nnew one\nold two three"
  assert out["without_history"] == "Review the lamp\nNone"
  assert (out["kept"], out["response"]) == (2, "Bright.")


def test_the_oldest_entry_goes_while_it_is_too_long():
  # 3 words of prompt, then 2, 3 and 2 of history.
  kept = [
    data.history_pairs(RECORD, max_prompt_tokens=most)["kept"]
    for most in (10, 9, 8, 7, 5, 4, 0)
  ]
  assert kept == [3, 2, 2, 1, 1, 0, 0]
  by_letters = data.history_pairs(
    RECORD, count_tokens=len, max_prompt_tokens=len("Review the lamp\nnew one")
  )
  assert by_letters["kept"] == 1


def test_no_history_gives_the_same_prompt_twice():
  for out in (
    data.history_pairs({**RECORD, "history": []}),
    data.history_pairs(RECORD, max_history=0),
    data.history_pairs(RECORD, max_prompt_tokens=1),
  ):
    assert out["with_history"] == out["without_history"]
    assert out["kept"] == 0
  assert len(RECORD["history"]) == 3


def test_errors():
  with pytest.raises(errors.DataError, match="no field 'history'"):
    data.history_pairs({"prompt": "p", "response": "r"})
  with pytest.raises(errors.DataError, match="history is not a list of texts"):
    data.history_pairs({**RECORD, "history": "old"})
  with pytest.raises(ValueError, match="max_history=-1"):
    data.history_pairs(RECORD, max_history=-1)
