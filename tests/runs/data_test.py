# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The data section of a config as records, stores and batches."""

import json

import numpy as np
import pytest
import run_support

from prefjax.core import errors
from prefjax.runs import data as run_data
from prefjax.runs import models as run_models


def _data(**changes):
  return run_support.config(data=changes).data


def _file(path, number, start=0):
  rows = [
    {"prompt": f"p{i}: ", "chosen": f"good {i}", "rejected": "bad"}
    for i in range(start, start + number)
  ]
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  return str(path)


def _store(config, records):
  source = run_models.open_source(run_support.config().model, 0)
  view = run_data.make_view(config, "pair")
  return run_data.make_store(config, source, records, view)


def test_the_language_is_read_like_any_file(tmp_path):
  config = _data(language={"n": 12, "eval_n": 4, "seed": 3})
  found = run_data.load_records(config, tmp_path)
  assert (len(found.train), len(found.held_out)) == (12, 4)
  assert found.is_language and len(found.notes) == 2
  assert not {r.prompt for r in found.train} & {
    r.prompt for r in found.held_out
  }
  again = run_data.load_records(config, tmp_path / "other")
  assert [r.content_digest for r in again.train] == [
    r.content_digest for r in found.train
  ]
  fewer = run_data.load_records(
    _data(language={"n": 12, "eval_n": 4, "seed": 3}, limit=5), tmp_path
  )
  assert fewer.train == found.train[:5]
  other = run_data.load_records(
    _data(language={"n": 12, "eval_n": 4, "seed": 4}), tmp_path
  )
  assert other.train[0].content_digest != found.train[0].content_digest


def test_held_out_by_share_by_file_or_not_at_all(tmp_path):
  train = _file(tmp_path / "train.jsonl", 20)
  own = _file(tmp_path / "eval.jsonl", 5, start=100)
  base = {"train": train, "language": {}}
  shared = run_data.load_records(_data(**base, eval_fraction=0.25), tmp_path)
  assert len(shared.train) + len(shared.held_out) == 20
  assert 2 <= len(shared.held_out) <= 8 and not shared.is_language
  given = run_data.load_records(_data(**base, eval=own), tmp_path)
  assert (len(given.train), len(given.held_out)) == (20, 5)
  none = run_data.load_records(_data(**base, eval_fraction=0.0), tmp_path)
  assert (len(none.train), len(none.held_out)) == (20, 0)
  few = run_data.load_records(
    _data(**base, eval_fraction=0.0, limit=7), tmp_path
  )
  assert len(few.train) == 7


def test_bad_rows(tmp_path):
  path = tmp_path / "rows.jsonl"
  _file(path, 9)
  path.write_text(path.read_text() + '{"prompt": "x", "chosen": 3}\n')
  config = {"train": str(path), "language": {}, "eval_fraction": 0.0}
  with pytest.raises(errors.DataError, match="rows.jsonl, line 10"):
    run_data.load_records(_data(**config), tmp_path)
  skipped = run_data.load_records(_data(**config, on_bad="skip"), tmp_path)
  assert len(skipped.train) == 9 and "1 bad" in skipped.notes[0]
  with pytest.raises(errors.DataError, match="bad"):
    run_data.load_records(
      _data(**config, on_bad="skip", max_bad_fraction=0.05), tmp_path
    )


def test_evaluation_takes_each_example_once(tmp_path):
  config = _data(language={"n": 13, "eval_n": 0})
  found = run_data.load_records(config, tmp_path)
  store = _store(config, found.train)
  source = run_data.eval_source(store, 4)
  ids, counted = [], 0
  for step in range(source.num_steps):
    batch = source.batch(step)
    counted += int((batch.example_weight > 0).sum())
    ids += batch.example_id[batch.example_weight > 0].tolist()
  assert sorted(ids) == list(range(13)) and counted == 13


@pytest.mark.parametrize("limit", [1, 5, 12, 13, 50])
def test_a_limit_picks_evenly(tmp_path, limit):
  config = _data(language={"n": 13, "eval_n": 0})
  found = run_data.load_records(config, tmp_path)
  source = run_data.eval_source(_store(config, found.train), 4, limit)
  ids = np.concatenate(
    [
      batch.example_id[batch.example_weight > 0]
      for batch in map(source.batch, range(source.num_steps))
    ]
  )
  assert len(ids) == len(set(ids.tolist())) == min(limit, 13)
  if 1 < limit < 13:
    # From the first to the last of the file.
    assert (ids.min(), ids.max()) == (0, 12)
    assert np.diff(np.sort(ids)).max() <= -(-12 // (limit - 1)) + 1


def test_lengths_that_the_model_cannot_hold(tmp_path):
  config = _data(language={"n": 8, "eval_n": 0})
  found = run_data.load_records(config, tmp_path)
  source = run_data.train_source(config, _store(config, found.train), 0)
  small = run_support.config(
    model={"overrides": {**run_support.SMALL, "max_positions": 16}}
  )
  model = run_models.open_source(small.model, 0).model
  with pytest.raises(errors.ConfigError, match="data.max_prompt: 48 prompt"):
    run_data.check_lengths(model, source, "data.max_prompt")
