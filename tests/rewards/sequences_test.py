# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Batches of texts of many lengths."""

import numpy as np
import pytest

from prefjax.rewards import sequences


def _items(lengths):
  return [
    sequences.Item(list(range(1, p + 1)), [list(range(1, r + 1))] * k)
    for p, r, k in lengths
  ]


def test_texts_of_different_lengths_fill_batches():
  lengths = [(p, 9, 2) for p in range(10, 130, 10)]
  found = list(sequences.batches(_items(lengths), 4))
  assert [len(rows) for rows, _ in found] == [4, 4, 4]
  assert sorted(i for rows, _ in found for i in rows) == list(range(12))
  assert [group.prompt.shape[1] for _, group in found] == [48, 80, 128]
  for rows, group in found:
    held = np.asarray(group.prompt_mask).sum(axis=1)
    assert held.tolist() == [lengths[i][0] for i in rows]


def test_no_batch_is_longer_than_the_longest_text():
  """A long prompt and a long answer may fit the model only one by one."""
  items = _items([(1000, 10, 1), (990, 12, 1), (100, 900, 1), (30, 4, 1)])
  found = list(sequences.batches(items, 4))
  sizes = [
    group.prompt.shape[1] + group.response.shape[2] for _, group in found
  ]
  assert max(sizes) == sequences.slots(100) + sequences.slots(900)
  assert sorted(i for rows, _ in found for i in rows) == [0, 1, 2, 3]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_groups_of_other_sizes_stay_apart(batch_size):
  items = _items([(5, 3, 1), (5, 3, 2), (5, 3, 1), (5, 3, 0)])
  found = list(sequences.batches(items, batch_size))
  for rows, group in found:
    assert {len(items[i].responses) for i in rows} == {group.response.shape[1]}
  # One without a continuation is left out.
  assert sorted(i for rows, _ in found for i in rows) == [0, 1, 2]
