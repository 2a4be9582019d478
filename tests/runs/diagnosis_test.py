# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax doctor --workdir`: what it says about runs in every state."""

import json
import os
import pathlib
import shutil

import numpy as np
import pytest

from prefjax import checkpoint
from prefjax.cli import main
from prefjax.core import errors
from prefjax.runs import diagnosis
from prefjax.train import events


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
  """A work directory with the steps 5 and 10 and twelve logged updates."""
  folder = tmp_path_factory.mktemp("saved")
  with checkpoint.Checkpointer(folder / "checkpoints") as checkpointer:
    for step in (5, 10):
      checkpointer.save(
        step,
        {"w": np.arange(40.0) + step},
        metadata={
          "config": {"lr": 0.1},
          "data_fingerprint": "f00d",
          "tokenizer_hash": "beef",
          "overridden": [{"key": "opt.lr", "saved": 1, "now": 2}],
        },
      )
  rows = [{"step": step, "loss": 0.5} for step in range(1, 13)]
  text = "".join(json.dumps(row) + "\n" for row in rows)
  (folder / "metrics.jsonl").write_text(text)
  return folder


@pytest.fixture
def folder(saved, tmp_path):
  return shutil.copytree(saved, tmp_path / "run")


def _log(folder, *rows, steps=20, pid=None):
  """Events of a process that has gone, unless `pid` says which it is."""
  with events.EventLog(events.path_of(folder)) as log:
    log.start(steps=steps)
    for name, fields in rows:
      log.write(name, **fields)
  path = events.path_of(folder)
  found = [json.loads(line) for line in path.read_text().splitlines()]
  for row in found:
    if "pid" in row:
      row["pid"] = pid or 2**22 + 1  # more than Linux gives
  path.write_text("".join(json.dumps(row) + "\n" for row in found))


def _damage(folder, step):
  path = folder / "checkpoints" / str(step) / "manifest.json"
  path.write_bytes(path.read_bytes()[:-40])


def _said(folder):
  report = diagnosis.diagnose(folder)
  return report, dict(diagnosis.rows(report))


def test_killed(folder):
  _log(folder, ("save", {"step": 10}))
  report, said = _said(folder)
  assert report["ok"] and report["stopped"]["reason"] == "killed"
  assert report["last_good_step"] == 10 and report["logged"] == 12
  assert said["state"].startswith("killed: the log ends without a stop")
  assert said["a resume"] == (
    "goes on with update 11 of 20; does 2 updates again, equal to before"
  )
  assert (said["data fingerprint"], said["tokenizer hash"]) == ("f00d", "beef")
  assert said["overridden"] == "opt.lr"
  parts = report["disk"]["parts"]
  assert parts["checkpoints"] > parts["files"] > 0
  assert report["disk"]["used"] == sum(parts.values())


def test_stopped_by_a_signal(folder):
  _log(
    folder, ("stop", {"reason": "signal", "status": 143, "step": 10}), steps=0
  )
  _, said = _said(folder)
  assert "stopped by SIGTERM" in said["state"]
  assert "saved after update 10" in said["state"]


def test_complete(folder):
  _log(folder, ("stop", {"reason": "done", "step": 10}), steps=10)
  report, said = _said(folder)
  assert report["ok"] and said["state"].startswith("complete since")
  assert said["a resume"].startswith("trains nothing more")


def test_failed(folder):
  stop = {"reason": "error", "error": "TrainingError", "message": "not finite"}
  _log(folder, ("skipped", {"step": 11}), ("stop", stop))
  report, said = _said(folder)
  assert not report["ok"] and "TrainingError: not finite" in said["state"]
  assert said["updates not applied"] == "1"


def test_running(folder):
  _log(folder, pid=os.getpid())
  report, said = _said(folder)
  assert report["running"] and said["state"] == "running now"
  assert "refused while" in said["a resume"]


def test_the_lock_says_running(folder):
  _log(folder)
  with checkpoint.Checkpointer(folder / "checkpoints"):
    assert diagnosis.diagnose(folder)["running"]
  assert not diagnosis.diagnose(folder)["running"]
  # Looking took no lock.
  checkpoint.Checkpointer(folder / "checkpoints").close()


def test_damaged_newest_step(folder):
  _damage(folder, 10)
  _log(
    folder,
    ("fallback", {"step": 10, "reason": "manifest.json is damaged"}),
    ("alarm", {"message": "the loss has been log 2"}),
  )
  report, said = _said(folder)
  assert report["last_good_step"] == 5
  assert "passes over the damaged checkpoint 10" in said["a resume"]
  assert said["checkpoint 10"].startswith("corrupt: ")
  assert said["passed over 10"] == "manifest.json is damaged"
  assert said["alarm"] == "the loss has been log 2"


def test_all_damaged(folder):
  _damage(folder, 5)
  _damage(folder, 10)
  report, said = _said(folder)
  assert not report["ok"] and said["a resume"].startswith("is refused")


def test_deep_reads_the_arrays(folder):
  arrays = folder / "checkpoints" / "10" / "arrays"
  largest = max(
    (p for p in arrays.rglob("*") if p.is_file()),
    key=lambda p: p.stat().st_size,
  )
  data = bytearray(largest.read_bytes())
  data[len(data) // 2] ^= 1
  largest.write_bytes(data)
  assert diagnosis.diagnose(folder, deep=True)["last_good_step"] == 5


def test_nothing_there(tmp_path):
  report, said = _said(tmp_path)
  assert report["ok"] and said["a resume"] == (
    "begins at update 1: nothing is saved"
  )
  assert said["state"].startswith("never started")
  with pytest.raises(errors.DataError, match="no such work directory"):
    diagnosis.diagnose(tmp_path / "none")


def test_torn_save_and_hostile_log(folder):
  (folder / "checkpoints" / "15").mkdir()
  rows = [
    {"event": "start", "pid": "x", "host": 5, "at": [], "steps": "many"},
    {"event": "alarm"},
    {"event": "stop", "reason": "signal", "status": {}, "step": 1},
  ]
  events.path_of(folder).write_text(
    "".join(json.dumps(row) + "\n" for row in rows)
  )
  _, said = _said(folder)
  assert said["checkpoint 15"].startswith("torn")
  assert "stopped by a signal" in said["state"]
  assert "goes on with update 11" in said["a resume"]


def test_command(folder, capsys):
  _log(folder)
  before = sorted(pathlib.Path(folder).rglob("*"))
  assert main.main(["doctor", f"--workdir={folder}"]) == 0
  out = capsys.readouterr().out
  assert "goes on with update 11 of 20" in " ".join(out.split())
  assert out.endswith("All is well.\n")
  assert main.main(["doctor", f"--workdir={folder}", "--json", "--deep"]) == 0
  assert json.loads(capsys.readouterr().out)["last_good_step"] == 10
  _damage(folder, 5)
  _damage(folder, 10)
  assert main.main(["doctor", f"--workdir={folder}"]) == 1
  assert capsys.readouterr().out.endswith("Something is wrong.\n")
  assert main.main(["doctor", "--workdir=/no/such/folder"]) == 2
  assert sorted(pathlib.Path(folder).rglob("*")) == before
