# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Rows on disk: whole lines, cut back at a resume."""

import json

import numpy as np
import pytest

from prefjax.core import errors
from prefjax.train import writers


def _rows(path):
  return [json.loads(line) for line in path.read_text().splitlines()]


def _write(path, steps, keep_to=-1):
  writer = writers.JsonlWriter(path, keep_to=keep_to)
  for step in steps:
    writer.write({"step": step, "loss": 1.0 / step})
  writer.flush()
  writer.close()


def test_a_line_a_row(tmp_path):
  path = tmp_path / "metrics.jsonl"
  _write(path, [1, 2, 3])
  assert _rows(path)[1] == {"step": 2, "loss": 0.5}
  assert [p.name for p in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_rows_after_the_checkpoint_are_dropped(tmp_path):
  path = tmp_path / "metrics.jsonl"
  _write(path, [1, 2, 2, 3, 4])  # two rows of step 2: it was evaluated
  _write(path, [3, 4], keep_to=2)
  assert [row["step"] for row in _rows(path)] == [1, 2, 2, 3, 4]


def test_a_torn_or_foreign_line_is_dropped(tmp_path):
  path = tmp_path / "metrics.jsonl"
  _write(path, [1, 2])
  with path.open("a") as file:
    file.write('[1]\n{"loss": 2}\n{"step": 3, "lo')
  _write(path, [3], keep_to=2)
  assert [row["step"] for row in _rows(path)] == [1, 2, 3]


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 16])
def test_the_end_is_cut_off_whatever_is_read_at_a_time(
  tmp_path, monkeypatch, block
):
  monkeypatch.setattr(writers, "_BLOCK", block)
  path = tmp_path / "metrics.jsonl"
  _write(path, range(1, 40))
  for keep_to in (39, 38, 20, 1, 0):
    writers.JsonlWriter(path, keep_to=keep_to).close()
    assert [row["step"] for row in _rows(path)] == list(range(1, keep_to + 1))


def test_a_full_disk_is_one_of_our_errors(tmp_path, monkeypatch):
  writer = writers.JsonlWriter(tmp_path / "metrics.jsonl")
  writer.write({"step": 1})

  def full(handle):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(writers.os, "fsync", full)
  with pytest.raises(errors.CheckpointError, match="No space left.*make room"):
    writer.flush()


def test_a_fresh_run_starts_an_empty_file(tmp_path):
  path = tmp_path / "metrics.jsonl"
  _write(path, [1, 2])
  _write(path, [1])
  assert [row["step"] for row in _rows(path)] == [1]


def test_numbers_of_every_kind_stay_json(tmp_path):
  path = tmp_path / "metrics.jsonl"
  writer = writers.JsonlWriter(path)
  writer.write(
    {
      "step": np.int64(1),
      "nan": float("nan"),
      "infinite": -np.float32("inf"),
      "half": np.float32(0.5),
      "flag": np.bool_(True),
      "stage": "a",
    }
  )
  writer.close()
  text = path.read_text()
  assert "NaN" not in text and "Infinity" not in text
  assert _rows(path) == [
    {
      "step": 1,
      "nan": "nan",
      "infinite": "-inf",
      "half": 0.5,
      "flag": True,
      "stage": "a",
    }
  ]


def test_an_unwritable_place_is_named(tmp_path):
  path = tmp_path / "missing" / "metrics.jsonl"
  with pytest.raises(errors.CheckpointError, match="metrics.jsonl: cannot be"):
    writers.JsonlWriter(path)


class _Recorder:
  def __init__(self):
    self.calls = []

  def write(self, row):
    self.calls.append(row["step"])

  def flush(self):
    self.calls.append("flush")

  def close(self):
    self.calls.append("close")


def test_several_writers_as_one():
  parts = _Recorder(), _Recorder()
  both = writers.MultiWriter(parts)
  both.write({"step": 4})
  both.flush()
  both.close()
  assert parts[0].calls == parts[1].calls == [4, "flush", "close"]


def test_tensorboard_gets_the_numbers(tmp_path):
  pytest.importorskip("tensorboardX")
  writer = writers.TensorBoardWriter(tmp_path)
  writer.write({"step": 3, "loss": 0.5, "stage": "a"})
  writer.flush()
  writer.close()
  (events,) = tmp_path.iterdir()
  content = events.read_bytes()
  assert b"loss" in content and b"stage" not in content
