# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Truncation: what is kept, what is dropped, and that it says so."""

import pytest

from prefjax.core import errors
from prefjax.data import chat


def group(prompt, responses, weights=None):
  weights = weights or [[1.0] * len(ids) for ids in responses]
  offsets = [[(i, i + 1) for i in range(len(ids))] for ids in responses]
  return chat.Encoded(prompt, responses, weights, offsets, merges=0)


def test_what_fits_is_untouched():
  encoded = group([1, 2, 3], [[4, 5], [6]])
  result = chat.truncate(encoded, 3, 2)
  assert result == (encoded, None, 0, (0, 0))


def test_prompt_keeps_its_tail_and_responses_their_head():
  encoded = group([1, 2, 3, 4], [[5, 6, 7], [8, 9]])
  result = chat.truncate(encoded, 2, 2)
  assert result.encoded.prompt_ids == [3, 4]
  assert result.encoded.responses == [[5, 6], [8, 9]]
  assert result.encoded.weights == [[1.0, 1.0], [1.0, 1.0]]
  assert [len(o) for o in result.encoded.offsets] == [2, 2]
  assert (result.cut_prompt, result.cut_responses) == (2, (1, 0))
  head = chat.truncate(encoded, 2, 2, keep="head")
  assert head.encoded.prompt_ids == [1, 2]


def test_bos_survives_a_cut():
  encoded = group([1, 2, 3, 4], [[5]])
  assert chat.truncate(encoded, 3, 1, bos_id=1).encoded.prompt_ids == [1, 3, 4]
  assert chat.truncate(encoded, 3, 1, bos_id=9).encoded.prompt_ids == [2, 3, 4]
  with pytest.raises(errors.ConfigError, match="max_prompt=1"):
    chat.truncate(encoded, 1, 1, bos_id=1)


@pytest.mark.parametrize(
  "encoded, reason",
  [
    (group([], [[1]]), "empty_prompt"),
    (group([1], [[2], []]), "empty_response"),
    (group([1], [[], [2]]), "empty_response"),
    (group([1], [[2, 3, 4]], [[0.0, 0.0, 1.0]]), "no_weighted_token"),
    (group([1], [[2, 3, 4], [2, 3, 5]]), "responses_equal_after_cut"),
  ],
)
def test_unusable_groups_are_named_not_returned(encoded, reason):
  result = chat.truncate(encoded, 8, 2)
  assert result.encoded is None and result.reason == reason
  assert reason in chat.REASONS


def test_responses_that_always_were_equal_are_not_the_cut_s_fault():
  assert chat.truncate(group([1], [[2, 3], [2, 3]]), 8, 1).reason is None
  assert chat.truncate(group([1], [[2, 3, 4]]), 8, 1).reason is None


def test_every_response_is_length_checked_under_drop():
  for responses in ([[1, 2, 3], [4]], [[4], [1, 2, 3]]):
    result = chat.truncate(group([1], responses), 8, 2, policy="drop")
    assert result.reason == "long_response"
  result = chat.truncate(group([1, 2, 3], [[4]]), 2, 2, policy="drop")
  assert result.reason == "long_prompt"
  assert chat.truncate(group([1], [[4]]), 2, 2, policy="drop").encoded


@pytest.mark.parametrize(
  "kwargs, message",
  [
    ({"max_prompt": 0}, "max_prompt=0"),
    ({"max_response": -1}, "max_response=-1"),
    ({"max_response": True}, "max_response=True"),
    ({"keep": "tial"}, "did you mean 'tail'"),
    ({"policy": "ignore"}, "policy='ignore'"),
  ],
)
def test_options_are_checked(kwargs, message):
  options = {"max_prompt": 4, "max_response": 4, **kwargs}
  with pytest.raises(errors.ConfigError, match=message):
    chat.truncate(group([1], [[2]]), **options)
