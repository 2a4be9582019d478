# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The log of events: only grows, never harms, tells nothing private."""

import json
import os
import stat

import pytest

from prefjax.core import errors
from prefjax.train import events


def _names(path):
  return [row["event"] for row in events.read(path)]


def test_lines_are_appended(tmp_path):
  path = events.path_of(tmp_path)
  with events.EventLog(path) as log:
    log.start(steps=7)
    log.write("save", step=3)
  with events.EventLog(path) as log:
    log.start(steps=7)
    log.stop("done", step=7)
    log.stop("again")
  found = events.read(path)
  assert _names(path) == ["start", "save", "start", "stop"]
  assert found[0]["pid"] == os.getpid() and found[0]["steps"] == 7
  assert found[1]["step"] == 3 and found[-1]["reason"] == "done"
  assert all(row["at"].endswith("Z") for row in found)
  assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_line_that_was_cut_does_not_swallow_the_next(tmp_path):
  path = events.path_of(tmp_path)
  path.write_text('{"event": "save", "step": 1}\n{"event": "sa')
  with events.EventLog(path) as log:
    log.write("resume", step=1)
  assert _names(path) == ["save", "resume"]


def test_an_error_is_the_reason(tmp_path):
  path = events.path_of(tmp_path)
  with pytest.raises(errors.TrainingError), events.EventLog(path) as log:
    raise errors.TrainingError("updates 1 to 3 were not finite")
  assert log is not None
  stop = events.read(path)[-1]
  assert stop["reason"] == "error" and stop["error"] == "TrainingError"
  assert stop["message"] == "updates 1 to 3 were not finite"


def test_messages_of_others_are_left_out(tmp_path):
  path = events.path_of(tmp_path)
  with pytest.raises(KeyError), events.EventLog(path):
    raise KeyError("a private prompt")
  text = path.read_text()
  assert "private" not in text
  assert json.loads(text)["where"].startswith("events_test.py:")


def test_a_log_that_cannot_be_written_ends_nothing(tmp_path, caplog):
  with events.EventLog(tmp_path / "missing" / "events.jsonl") as log:
    log.write("save", step=1)
    log.stop("done")
  assert caplog.text.count("cannot be written") == 1


def test_a_full_disk_ends_nothing(tmp_path, caplog, monkeypatch):
  path = events.path_of(tmp_path)

  def full(handle, data):
    raise OSError(28, "No space left on device")

  with events.EventLog(path) as log:
    with monkeypatch.context() as patch:
      patch.setattr(os, "write", full)
      log.write("save", step=1)
    log.write("save", step=2)
  assert "No space left" in caplog.text and _names(path) == []


def test_odd_lines_are_passed_over(tmp_path):
  path = tmp_path / "events.jsonl"
  path.write_bytes(
    b'[1]\n{"event": 3}\n\xff\n{"event": "stop"}\n' + b"[" * 9000
  )
  assert _names(path) == ["stop"]
  assert events.read(tmp_path / "none.jsonl") == []
  with pytest.raises(errors.DataError, match="cannot be read"):
    events.read(tmp_path)


def test_long_text_is_cut(tmp_path):
  path = events.path_of(tmp_path)
  with events.EventLog(path) as log:
    log.write("alarm", message="x" * 10_000, value="\ud800")
  assert len(path.read_bytes()) < 1000 and _names(path) == ["alarm"]
