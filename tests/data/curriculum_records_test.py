# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Stages of a curriculum: every pair once, wide gaps first."""

import collections

import pytest

from prefjax.core import errors
from prefjax.data import curriculum_records, language, records


def _ranked(number=40, k=4):
  out = []
  for row in language.ranked_records(0, number, k=k):
    out.append(
      records.validate(
        {
          "id": row["id"],
          "kind": "ranked",
          "prompt": row["prompt"],
          "responses": row["responses"],
          # Coarse scores: ties give no pair.
          "scores": [round(8 * s) / 8 for s in row["scores"]],
        },
        "test",
      )
    )
  return out


RANKED = _ranked()
ALL = curriculum_records.take(RANKED, {"by": "pairs"})


def test_pairs_prefer_the_best_to_every_lower_response():
  by_id = {record.id: record for record in RANKED}
  counts = collections.Counter()
  for pair in ALL:
    parent = by_id[pair.id.rsplit("/", 1)[0]]
    counts[parent.id] += 1
    chosen, rejected = (parent.responses.index(r) for r in pair.responses)
    assert parent.scores[chosen] == max(parent.scores)
    gap = parent.scores[chosen] - parent.scores[rejected]
    assert pair.metadata["gap"] == gap > 0 and pair.kind == "pair"
    assert pair.scores == (parent.scores[chosen], parent.scores[rejected])
  for record in RANKED:
    below = sum(s < max(record.scores) for s in record.scores)
    assert counts[record.id] == below


@pytest.mark.parametrize("by", ["rank", "gap"])
def test_stages_take_every_pair_once(by):
  more = {"stages": 3} if by == "gap" else {}
  stages = [
    curriculum_records.take(RANKED, {"by": by, "stage": t, **more})
    for t in range(3)
  ]
  ids = [pair.id for stage in stages for pair in stage]
  assert sorted(ids) == sorted(pair.id for pair in ALL)
  assert len(ids) == len(set(ids))
  means = [sum(p.metadata["gap"] for p in s) / len(s) for s in stages]
  assert means[0] > means[1] > means[2]
  if by == "gap":
    assert max(map(len, stages)) - min(map(len, stages)) <= 1
    ends = [[p.metadata["gap"] for p in s] for s in stages]
    assert min(ends[0]) >= max(ends[1]) and min(ends[1]) >= max(ends[2])
  turned = curriculum_records.take(
    RANKED, {"by": by, "stage": 0, "order": "hard_to_easy", **more}
  )
  if by == "gap":
    assert {p.id for p in turned} == {p.id for p in stages[2]}
  else:  # the narrowest pair of each prompt
    narrow = {}
    for pair in ALL:
      narrow[pair.id.rsplit("/", 1)[0]] = pair.id
    assert {p.id for p in turned} == set(narrow.values())


def test_held_out_records_are_those_of_all_stages():
  settings = {"by": "rank", "stage": 2, "min_gap": 0.6}
  held = curriculum_records.held_out(RANKED, settings)
  assert [p.id for p in held] == [p.id for p in ALL if p.metadata["gap"] > 0.6]
  assert curriculum_records.held_out(RANKED, {}) == RANKED


def test_all_pairs_of_a_group():
  found = curriculum_records.take(RANKED, {"by": "pairs", "scheme": "all"})
  assert len(found) > len(ALL)


def test_a_field_chooses_records():
  rows = [
    records.validate(
      {
        "id": str(i),
        "kind": "pair",
        "prompt": "p",
        "responses": ["a", "b"],
        "metadata": {"magnitude": 2 ** (1 + i % 3)},
      },
      "test",
    )
    for i in range(9)
  ]
  kept = curriculum_records.take(rows, {"by": "magnitude", "value": 4})
  assert [r.id for r in kept] == ["1", "4", "7"]
  assert curriculum_records.held_out(rows, {"by": "magnitude", "value": 4}) == (
    rows
  )
  with pytest.raises(
    errors.ConfigError, match="no record has magnitude=16; there are 2, 4, 8"
  ):
    curriculum_records.take(rows, {"by": "magnitude", "value": 16})
  with pytest.raises(errors.DataError, match="record '0': a curriculum over"):
    curriculum_records.take(rows, {"by": "rank"})


@pytest.mark.parametrize(
  "settings, message",
  [
    ({"stage": 1}, "by=None, expected rank, gap, pairs or the name"),
    ({"by": "rank", "stag": 1}, "no 'stag' .did you mean 'stage'"),
    ({"by": "rank", "stage": -1}, "stage=-1 is not a whole number of 0"),
    ({"by": "gap", "stage": 3}, "stage=3 of stages=3"),
    ({"by": "gap", "stages": 0}, "stages=0 is not a whole number of 1"),
    ({"by": "gap", "order": "random"}, "order='random' is not one of"),
    ({"by": "rank", "scheme": "best"}, "scheme='best' is not one of"),
    ({"by": "rank", "min_gap": "1"}, "min_gap='1' is not a number"),
    ({"by": "magnitude"}, "by='magnitude' needs a value"),
    ({"by": "rank", "stage": 7}, "leaves no pair"),
  ],
)
def test_settings_that_are_refused(settings, message):
  with pytest.raises(errors.ConfigError, match="data.curriculum: ") as caught:
    curriculum_records.take(RANKED, settings)
  assert message.replace(" .did", " (did") in str(caught.value)
