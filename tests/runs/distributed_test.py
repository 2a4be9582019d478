# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Two processes train as one would."""

import processes_support as support
import pytest

from prefjax.runs import distributed


def test_alone_nothing_is_started():
  with distributed.started(None):
    distributed.note(3, "computing")


def test_two_processes_train_as_one(tmp_path):
  words = ("train.steps=2",)
  together = ("mesh.fsdp=2", f"data.cache_dir={tmp_path / 'tokens'}")
  two = support.Run(tmp_path / "two", (*words, *together))
  two.finish()
  # Each made its part of the tokens, and one put them together.
  assert [path.name[:7] for path in (tmp_path / "tokens").iterdir()] == [
    "tokens-"
  ]
  one = support.Run(tmp_path / "one", words, count=1, devices=1)
  one.finish()
  found, expected = (support.rows(tmp_path / name) for name in ("two", "one"))
  assert len(found) == len(expected) >= 2
  for row, other in zip(found, expected, strict=True):
    for name in ("step", "batch/ids", "tokens"):
      assert row.get(name) == other.get(name)
    for name in ("loss", "rewards/margins"):
      if name in other:
        assert row[name] == pytest.approx(other[name], abs=1e-6)
  assert "hosts/slowest" in support.updates(tmp_path / "two")[0]
  # Only process 0 writes numbers; what happened is logged by each.
  names = {path.name for path in (tmp_path / "two").iterdir()}
  assert {"metrics.jsonl", "events.jsonl", "events-1.jsonl"} <= names
  assert not any(name.startswith(("metrics-", ".")) for name in names)
