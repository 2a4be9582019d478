# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A run's log of events, a trace of one update, and what doctor makes of it."""

import run_support

from prefjax import runs
from prefjax.runs import diagnosis
from prefjax.train import events


def _names(workdir):
  return [row["event"] for row in events.read(events.path_of(workdir))]


def test_a_run_and_the_same_again(tmp_path):
  config = run_support.config(train={"steps": 3}, checkpoint={"every": 2})
  runs.train(config, tmp_path, profile=(1, 2))
  first = _names(tmp_path)
  assert first == (
    ["start", "stage", "compile", "profile", "save", "profile", "save", "stop"]
  )
  assert any((tmp_path / "profile").rglob("*.xplane.pb"))
  report = diagnosis.diagnose(tmp_path)
  assert report["ok"] and not report["running"]
  assert (report["last_good_step"], report["planned"], report["logged"]) == (
    (3, 3, 3)
  )
  assert report["stopped"]["reason"] == "done"
  assert report["identity"]["data_fingerprint"]
  # A resume appends; nothing is rewritten.
  text = events.path_of(tmp_path).read_text()
  runs.train(config, tmp_path)
  assert events.path_of(tmp_path).read_text().startswith(text)
  assert _names(tmp_path)[len(first) :] == ["start", "resume", "stage", "stop"]
