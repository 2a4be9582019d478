# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A sweep that is killed does the rest, and nothing twice."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
import sweep_support as support

from prefjax.core import errors
from prefjax.sweeps import driver, runner

_SCRIPT = pathlib.Path(support.__file__)
_ROOT = _SCRIPT.parents[2]


def _start(workdir) -> subprocess.Popen:
  return subprocess.Popen(
    [sys.executable, str(_SCRIPT), str(workdir)],
    stdout=subprocess.PIPE,
    text=True,
    env={**os.environ, "PYTHONPATH": str(_ROOT)},
  )


def _wait_for_done(workdir, number: int) -> None:
  deadline = time.monotonic() + 60
  while time.monotonic() < deadline:
    done = [r for r in support.runs() if "done" in support.events(workdir, r)]
    if len(done) >= number:
      return
    time.sleep(0.02)
  raise AssertionError("no run was done in a minute")


def _jobs(workdir) -> list[int]:
  """Process groups of the jobs that run."""
  out = subprocess.run(
    ["ps", "-eo", "pgid,args"], capture_output=True, text=True, check=True
  ).stdout
  return sorted(
    {
      int(line.split()[0])
      for line in out.splitlines()
      if "prefjax.sweeps.once" in line and str(workdir) in line
    }
  )


def test_a_killed_sweep_of_six_runs_is_finished(tmp_path):
  process = _start(tmp_path)
  _wait_for_done(tmp_path, 2)
  process.kill()
  process.communicate()
  sweep = support.sweep(tmp_path)
  assert any(sweep.status(run) != "done" for run in sweep.runs)
  assert sweep.drive() == 0
  for run in sweep.runs:
    # Jobs outlive their sweep, and are waited for rather than begun again.
    assert support.events(tmp_path, run) == ["start", "done"]
  state = json.loads((tmp_path / driver.STATE).read_text())
  assert [row["status"] for row in state["runs"]] == ["done"] * 6


def test_killed_with_its_jobs(tmp_path):
  process = _start(tmp_path)
  _wait_for_done(tmp_path, 1)
  process.kill()
  process.communicate()
  for group in _jobs(tmp_path):
    os.killpg(group, signal.SIGKILL)
  before = [r for r in support.runs() if "done" in support.events(tmp_path, r)]
  sweep = support.sweep(tmp_path)
  assert sweep.drive() == 0
  for run in sweep.runs:
    found = support.events(tmp_path, run)
    assert found.count("done") == 1, (run.name, found)
  for run in before:
    assert support.events(tmp_path, run) == ["start", "done"]


def test_a_signal_stops_the_jobs_and_says_so(tmp_path):
  process = _start(tmp_path)
  _wait_for_done(tmp_path, 1)
  process.send_signal(signal.SIGTERM)
  process.communicate(timeout=60)
  assert process.returncode == 128 + signal.SIGTERM
  assert not _jobs(tmp_path)
  assert support.sweep(tmp_path).drive() == 0


def test_done_runs_are_not_done_again(tmp_path):
  first = support.runs(2)
  assert support.sweep(tmp_path, first, seconds=0).drive() == 0
  # A longer list keeps what a shorter one did.
  assert support.sweep(tmp_path, support.runs(3), seconds=0).drive() == 0
  for run in support.runs(3):
    assert support.events(tmp_path, run) == ["start", "done"]


@pytest.mark.parametrize(
  ("last", "is_done"),
  [
    ({"event": "stop", "reason": "done", "status": 0}, True),
    ({"event": "stop", "reason": "signal", "status": 143}, False),
    ({"event": "stop", "reason": "done", "status": 1}, False),
    ({"event": "save", "step": 10}, False),
  ],
)
def test_a_run_that_was_killed_after_its_end_is_done(tmp_path, last, is_done):
  (run,) = support.runs(1)
  folder = driver.run_folder(tmp_path, run)
  folder.mkdir(parents=True)
  driver.job_folder(tmp_path, run).mkdir(parents=True)  # without a status
  rows = [{"event": "start"}, last]
  log = "".join(json.dumps(row) + "\n" for row in rows)
  (folder / "events.jsonl").write_text(log)
  sweep = support.sweep(tmp_path, [run], seconds=0)
  assert sweep.status(run) == ("done" if is_done else "pending")
  assert sweep.drive() == 0
  started = support.events(tmp_path, run).count("start") > 1
  assert started != is_done


def test_what_ends_before_its_turn_is_not_begun_again(tmp_path):
  """A job of a sweep that was killed, still going when the list is made."""
  sweep = support.sweep(tmp_path, support.runs(1), seconds=0)
  assert sweep.drive() == 0
  seen, status = ["running"], sweep.status
  sweep.status = lambda run: seen.pop() if seen else status(run)
  assert sweep.drive() == 0 and not seen
  assert support.events(tmp_path, sweep.runs[0]) == ["start", "done"]


def test_a_failed_run_is_named_and_tried_again(tmp_path, capsys):
  one = support.runs(1)
  sweep = support.sweep(tmp_path, one, seconds=0, status=3)
  assert sweep.drive() == 1
  assert sweep.status(one[0]) == "failed"
  out = capsys.readouterr().out
  assert f"{one[0].name}: is not done, see " in out and runner.LOG in out
  assert support.sweep(tmp_path, one, seconds=0).drive() == 0
  assert support.events(tmp_path, one[0]) == ["start", "done"] * 2


def test_another_config_under_the_same_name_is_refused(tmp_path):
  one = support.runs(1)
  assert support.sweep(tmp_path, one, seconds=0).drive() == 0
  other = [dataclasses.replace(one[0], digest="other")]
  with pytest.raises(errors.ConfigError, match="made with another config"):
    support.sweep(tmp_path, other)


def test_a_damaged_state_is_refused(tmp_path):
  (tmp_path / driver.STATE).write_text("{")
  with pytest.raises(errors.ConfigError, match="cannot be read"):
    support.sweep(tmp_path)


def test_any_runner_will_do(tmp_path):
  """One that runs nothing itself, but says how its jobs end."""
  started = []

  class Handle:
    def __init__(self, job):
      self._job, self._polls = job, 0

    def poll(self):
      self._polls += 1
      if self._polls < 2:
        return None
      path = self._job.folder / runner.STATUS
      path.write_text('{"status": 0, "seconds": 1.5}')
      return 0

    def stop(self):
      raise AssertionError("nobody asked")

  class Elsewhere:
    def start(self, job):
      job.folder.mkdir(parents=True)
      started.append(job)
      return Handle(job)

  sweep = driver.Sweep(
    tmp_path,
    support.runs(3),
    lambda run, folder: ("anywhere", run.name, str(folder)),
    using=Elsewhere(),
    parallel=3,
    say=lambda line: None,
  )
  assert sweep.drive() == 0
  assert [job.command[1] for job in started] == [r.name for r in sweep.runs]
  assert [sweep.seconds(run) for run in sweep.runs] == [1.5] * 3
