# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A run that is killed and stopped ends bit for bit like one that is not."""

import pathlib
import shutil
import signal
import time

import pytest
import reliability_support as support

from prefjax import checkpoint
from prefjax.runs import diagnosis


def _whole(workdir, steps):
  support.finish(support.start(workdir, steps))
  return workdir


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  return _whole(tmp_path_factory.mktemp("whole"), 60)


def _compare(workdir: pathlib.Path, expected: pathlib.Path, steps: int):
  numbers = [row["step"] for row in support.updates(workdir)]
  assert numbers == list(range(1, steps + 1))
  assert support.updates(workdir) == support.updates(expected)
  assert support.digest(workdir) == support.digest(expected)


@pytest.mark.slow
def test_two_kills_and_a_term(whole, tmp_path):
  found = support.trials(tmp_path, 60, kills=2, terms=1, seed=3)
  for trial in found:
    support.check(trial)
  assert {trial.kind for trial in found} == {"SIGKILL", "SIGTERM"}
  _compare(tmp_path, whole, 60)
  report = diagnosis.diagnose(tmp_path)
  assert report["ok"] and report["stopped"]["reason"] == "done"
  assert report["starts"] == len(found) + 1


def test_a_term_saves_and_says_so(whole, tmp_path):
  process = support.start(tmp_path, 10_000)
  trial = support.interrupt(process, tmp_path, signal.SIGTERM, 5, 0.1)
  assert trial.status == 143
  assert trial.after == trial.logged > trial.before - 1
  checkpoint.verify(tmp_path / "checkpoints", trial.after)
  said = dict(diagnosis.rows(diagnosis.diagnose(tmp_path)))
  assert "stopped by SIGTERM" in said["state"]
  assert said["a resume"] == f"goes on with update {trial.after + 1} of 10000"
  # Fewer updates were done than the other run has: the same ones.
  rows, expected = support.updates(tmp_path), support.updates(whole)
  number = min(len(rows), len(expected))
  assert number >= 5 and rows[:number] == expected[:number]


def test_a_flipped_byte_is_noticed_and_passed_over(whole, tmp_path):
  workdir = shutil.copytree(whole, tmp_path / "run")
  folder = workdir / "checkpoints"
  newest = checkpoint.latest_step(folder)
  files = [p for p in (folder / str(newest) / "arrays").rglob("*")]
  path = max((p for p in files if p.is_file()), key=lambda p: p.stat().st_size)
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)
  said = support.finish(support.start(workdir, 60))
  assert f"checkpoint step {newest}" in said and "falling back" in said
  _compare(workdir, whole, 60)


@pytest.mark.slow
def test_ten_kills_and_five_terms(tmp_path):
  expected = _whole(tmp_path / "whole", 200)
  found = support.trials(tmp_path / "run", 200, kills=10, terms=5, seed=11)
  for trial in found:
    support.check(trial)
  assert len(found) >= 13
  _compare(tmp_path / "run", expected, 200)


@pytest.mark.slow
def test_two_terms_leave_at_once(tmp_path):
  """The second comes while the first waits for the end of an update."""
  process = support.start(tmp_path, 10_000)
  while not (tmp_path / "config.json").exists():
    assert process.poll() is None
    time.sleep(0.01)
  process.send_signal(signal.SIGTERM)
  time.sleep(0.1)
  begin = time.monotonic()
  process.send_signal(signal.SIGTERM)
  support.finish(process, 143)
  assert time.monotonic() - begin < 5
  assert support.saved(tmp_path) == 0
