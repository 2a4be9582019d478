# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Step pairs: splitting, locating, building, errors."""

import numpy as np
import pytest

from prefjax import data
from prefjax.core import errors

RESPONSE = "Plan.\nStep 1: 2+3=5\nStep 2: 5*4=21 \nStep 3: 21-1=20\n#20"
RECORD = {"prompt": "(2+3)*4-1?", "response": RESPONSE, "answer": "19"}


@pytest.mark.parametrize(
  "text",
  [
    RESPONSE,
    "",
    "no marker",
    "Step 2: before Step 1: then Step 2: end",
    "Step 1:Step 2:Step 3:",
    "Step 1: a\nStep 3: gap\nStep 2: b",
    "Step 1: ten\n" + "".join(f"Step {k}: x\n" for k in range(2, 12)),
  ],
)
def test_pieces_join_to_the_text(text):
  assert "".join(data.split_steps(text)) == text


def test_a_marker_counts_only_after_the_previous_one():
  pieces = data.split_steps("Step 2: early Step 1: a Step 3: b Step 2: c")
  assert pieces == ["Step 2: early Step 1: a Step 3: b ", "Step 2: c"]


def test_step_eleven_is_not_step_one():
  text = "".join(f"Step {k}: x\n" for k in range(1, 12))
  assert len(data.split_steps(text)) == 11
  with pytest.raises(ValueError, match="holds no '{k}'"):
    data.split_steps(text, marker="Step")


def test_first_error_step():
  labels = np.array([[1, 0, -1], [1, 1, -1], [1, 1, 1], [-1, 0, 0]])
  mask = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 1], [1, 0, 0]])
  np.testing.assert_array_equal(
    data.first_error_step(labels, mask), [1, -1, -1, 0]
  )
  np.testing.assert_array_equal(
    data.first_error_step(labels, mask, neutral_is_error=False),
    [2, -1, -1, 0],
  )
  with pytest.raises(ValueError, match=r"step_mask has shape \(4, 2\)"):
    data.first_error_step(labels, mask[:, :2])


def test_step_token_mask():
  ids = np.array([[-1, 0, 0, 1, -1], [-1, 0, 1, 2, 2]])
  np.testing.assert_array_equal(
    data.step_token_mask(ids, np.array([0, -1])),
    [[0, 1, 1, 0, 0], [0, 0, 0, 0, 0]],
  )
  with pytest.raises(ValueError, match=r"target_step has shape \(3,\)"):
    data.step_token_mask(ids, np.array([0, 1, 2]))


def test_pairs_of_a_hand_made_record():
  pairs = data.make_step_pairs(
    RECORD,
    1,
    [" 5*4=20 \nStep 3: 19", " 5*4=20\nother", " 5*4=21\nStep 3: 19", " 20."],
    [1, 1, 1, 1],
  )
  prefix = "Plan.\nStep 1: 2+3=5\nStep 2:"
  chosen = [" 5*4=20", " 5*4=20\nother", " 20."]
  assert [pair["chosen"] for pair in pairs] == chosen
  for pair in pairs:
    assert pair["initial_reason_steps"] == prefix
    assert pair["rejected"] == " 5*4=21"
    assert pair["prompt"] == RECORD["prompt"] and pair["answer"] == "19"
    # The prefix and the rejected step are the response's own text.
    assert RESPONSE.startswith(prefix + pair["rejected"])


def test_wrong_continuations_and_limits():
  continuations = [" a\nStep 3: x", " b\nStep 3: x", " c\nStep 3: x"]
  make = data.make_step_pairs
  assert make(RECORD, -1, continuations, [1, 1, 1]) == []
  assert make(RECORD, 1, continuations, [0, 0, 0]) == []
  limited = make(RECORD, 1, continuations, [0, 1, 1], max_pairs=1)
  assert [pair["chosen"] for pair in limited] == [" b"]


def test_last_step():
  pairs = data.make_step_pairs(RECORD, 2, [" 20-1=19\n#19"], [1])
  assert pairs[0]["chosen"] == " 20-1=19\n#19"
  assert pairs[0]["rejected"] == " 21-1=20\n#20"
  assert pairs[0]["initial_reason_steps"].endswith("Step 3:")


def test_errors_name_field_and_fix():
  with pytest.raises(errors.DataError, match="no field 'answer'"):
    data.make_step_pairs({"prompt": "p", "response": "r"}, 0, [], [])
  with pytest.raises(errors.DataError, match="the response has 3 steps"):
    data.make_step_pairs(RECORD, 3, [], [])
  with pytest.raises(errors.DataError, match="2 values in correct, expected 1"):
    data.make_step_pairs(RECORD, 0, ["x"], [1, 1])


def test_no_step_has_no_error():
  none = np.zeros((2, 0))
  np.testing.assert_array_equal(data.first_error_step(none, none), [-1, -1])
