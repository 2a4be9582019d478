# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Work directories in buckets: order of writes, kills, two machines."""

import json
import os
import pathlib
import shutil
import signal
import time
import uuid

import fsspec
import pytest
import reliability_support as processes
import run_support
from fsspec.implementations import local as local_fs

from prefjax import checkpoint
from prefjax.cli import main
from prefjax.core import errors, storage
from prefjax.runs import diagnosis, mirror


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
  folder = tmp_path / "scratch"
  monkeypatch.setenv(storage.SCRATCH, str(folder))
  monkeypatch.setattr(storage, "_WAITS", ())
  return folder


@pytest.fixture
def bucket(tmp_path):
  return tmp_path / "bucket"


def _url(bucket: pathlib.Path) -> str:
  return f"file://{bucket}"


def _put(path: pathlib.Path, text: str) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(text)


def _step(workdir: pathlib.Path, number: int, text: str = "") -> None:
  """A committed step, as far as the mirror can tell."""
  folder = workdir / "checkpoints" / str(number)
  for name in ("arrays/_META", "arrays/d/a", "arrays/d/b", "manifest.json"):
    _put(folder / name, f"{number} {name} {text}")
  _put(folder / "COMMITTED", f"{number} {text}")


def _tree(folder: pathlib.Path) -> dict[str, str]:
  return {
    p.relative_to(folder).as_posix(): p.read_text()
    for p in sorted(folder.rglob("*"))
    if p.is_file()
  }


def _steps(folder: pathlib.Path) -> list[int]:
  return checkpoint.steps(folder / "checkpoints")


def _open(bucket, every: float = 60.0) -> mirror.Mirror:
  """One that pushes when it is told to."""
  return mirror.Mirror(_url(bucket), every=every)


def _move(scratch: pathlib.Path) -> None:
  """To another machine."""
  shutil.rmtree(scratch)


def _kill(m: mirror.Mirror) -> None:
  """Ends it without another push, as SIGKILL does."""
  m._closing = True
  m._wake.set()
  m._thread.join()
  m._lock.release()


def test_there_and_back(bucket, scratch):
  with _open(bucket) as m:
    _put(m.local / "config.json", "{}")
    _put(m.local / "metrics.jsonl", "row\n")
    _put(m.local / "policy" / "w", "weights")
    _put(m.local / "checkpoints" / ".lock", "1")
    _put(m.local / "checkpoints" / "7.tmp" / "arrays" / "x", "half")
    _put(m.local / "checkpoints" / "frozen" / "ab" / "arrays" / "x", "f")
    _put(m.local / "checkpoints" / "frozen" / "ab" / "COMMITTED", "f")
    _put(m.local / "x.partial", "")
    _step(m.local, 5)
    before = _tree(m.local)
  there = _tree(bucket)
  del there[mirror.OWNER]
  passing = ("checkpoints/.lock", "checkpoints/7.tmp/arrays/x", "x.partial")
  assert there == {n: t for n, t in before.items() if n not in passing}
  assert bucket.stat().st_mode & 0o777 == 0o700
  _move(scratch)
  with _open(bucket) as m:
    found = _tree(m.local)
  assert found == {n: t for n, t in there.items() if n != "policy/w"}
  assert "policy/w" in _tree(bucket)  # not brought, not removed


def test_only_what_changed_is_written_and_what_went_goes(bucket, monkeypatch):
  written = []
  real = storage.Place.put

  def put(self, source, name):
    written.append(name)
    real(self, source, name)

  with _open(bucket) as m:
    _put(m.local / "config.json", "{}")
    _put(m.local / "rounds" / "1", "1")
    _step(m.local, 5)
    m.push()
    monkeypatch.setattr(storage.Place, "put", put)
    m.push()
    assert written == []
    _step(m.local, 10)
    _put(m.local / "metrics.jsonl", "row\n")
    shutil.rmtree(m.local / "checkpoints" / "5")
    (m.local / "rounds" / "1").unlink()
    m.push()
    assert written[0] == "metrics.jsonl"
    assert written[-1] == "checkpoints/10/COMMITTED" and len(written) == 6
    assert _steps(bucket) == [10] and not (bucket / "rounds" / "1").exists()
    assert not (bucket / "checkpoints" / "5" / "manifest.json").exists()
    _step(m.local, 10, "again")  # the same number, other content
    m.push()
    assert (bucket / "checkpoints/10/COMMITTED").read_text() == "10 again"
    # Whatever happens here, the last step there stays.
    shutil.rmtree(m.local / "checkpoints")
    m.push()
    assert _steps(bucket) == [10]


def test_a_cut_push_never_leaves_a_torn_step(bucket, scratch, monkeypatch):
  """At whichever write or removal the bucket, or the machine, goes away."""
  whole = {}
  for n in (5, 10, 15):
    _step(scratch / "x", n)
    whole[n] = _tree(scratch / "x" / "checkpoints" / str(n))
  system, left = local_fs.LocalFileSystem, [10**6]
  real = {name: getattr(system, name) for name in ("put_file", "rm_file")}

  def cut(name):
    def call(self, *args, **kwargs):
      left[0] -= 1
      if left[0] < 0:
        if name == "put_file":
          pathlib.Path(args[1]).write_text("to")  # half of it
        raise OSError("gone")
      return real[name](self, *args, **kwargs)

    return call

  for name in real:
    monkeypatch.setattr(system, name, cut(name))
  monkeypatch.setattr(storage, "_WORKERS", 1)

  for number in range(40):
    shutil.rmtree(bucket, ignore_errors=True)
    shutil.rmtree(scratch, ignore_errors=True)
    left[0] = 10**6
    m = _open(bucket).__enter__()
    _step(m.local, 5)
    m.push()
    _step(m.local, 10)
    _step(m.local, 15)
    shutil.rmtree(m.local / "checkpoints" / "5")
    left[0] = number
    try:
      m.push()
      done = True
    except errors.StorageError:
      done = False
    _kill(m)
    saved = _steps(bucket)
    assert saved and saved[-1] >= 5, number
    for step in saved:
      found = _tree(bucket / "checkpoints" / str(step))
      found = {n: t for n, t in found.items() if not storage.is_part(n)}
      assert found == whole[step], (number, step)
    if done:
      break
    # Another machine goes on from there, and cleans up.
    left[0] = 10**6
    _move(scratch)
    with _open(bucket) as m:
      assert _steps(m.local) == saved
      _step(m.local, 20)
    assert _steps(bucket) == [*saved, 20]
    names = set(_tree(bucket / "checkpoints"))
    assert {n.split("/")[0] for n in names} == {str(n) for n in (*saved, 20)}
    assert not [n for n in names if storage.is_part(n)]
  assert done and saved == [10, 15] and number > 12


def test_a_folder_that_is_ahead_goes_on_and_one_left_behind_is_replaced(
  bucket, scratch
):
  with _open(bucket) as m:
    _step(m.local, 5)
  _step(m.local, 10)  # saved, but killed before the push
  with _open(bucket) as m:
    assert _steps(m.local) == [5, 10]
  assert _steps(bucket) == [5, 10]
  first = scratch.rename(scratch.with_name("first"))
  with _open(bucket) as m:
    _step(m.local, 15)
  shutil.rmtree(scratch)
  first.rename(scratch)
  with _open(bucket) as m:
    assert _steps(m.local) == [5, 10, 15]


def test_two_machines_cannot_write(bucket, scratch, monkeypatch):
  with pytest.raises(errors.StorageError, match="another run"), _open(bucket):
    monkeypatch.setenv(storage.SCRATCH, f"{scratch}-2")
    with _open(bucket) as other:
      _step(other.local, 5)
  assert _steps(bucket) == [5]
  with _open(bucket), pytest.raises(errors.CheckpointError, match="is being"):
    _open(bucket).__enter__()


def test_a_scratch_folder_that_went_removes_nothing(bucket):
  with pytest.raises(errors.StorageError, match="is gone"), _open(bucket) as m:
    _step(m.local, 5)
    m.push()
    shutil.rmtree(m.local)
  assert _steps(bucket) == [5]


def test_several_processes_are_told_what_to_do(bucket, monkeypatch):
  monkeypatch.setattr(mirror.jax, "process_count", lambda: 2)
  with pytest.raises(errors.ConfigError, match="gcsfuse"):
    _open(bucket)


# --- whole runs ---------------------------------------------------------------


def test_train_to_a_bucket_and_look_at_it(capsys):
  url = f"memory://bucket-{uuid.uuid4().hex}/run"
  c = run_support.config(train={"steps": 2}, checkpoint={"every": 1})
  outcome = run_support.train(c, url)
  with mirror.snapshot(url, deep=True) as there:
    assert run_support.digests(there) == run_support.digests(outcome.workdir)
    assert run_support.steps(there) == [1, 2]
  report = diagnosis.diagnose(url)
  assert report["ok"] and report["last_good_step"] == 2
  assert report["workdir"] == url and report["disk"]["free"] is None
  assert main.main(["doctor", f"--workdir={url}"]) == 0
  said = capsys.readouterr().out
  assert "complete since" in said and url in said


@pytest.mark.slow
def test_train_to_a_bucket_and_go_on_elsewhere(tmp_path, scratch, monkeypatch):
  url = f"memory://bucket-{uuid.uuid4().hex}/run"
  c = run_support.config(train={"steps": 4}, checkpoint={"every": 2})
  run_support.train(c, url)
  report = diagnosis.diagnose(url)
  assert report["ok"] and report["last_good_step"] == 4
  assert report["workdir"] == url and report["disk"]["free"] is None
  assert diagnosis.diagnose(url, deep=True)["checkpoints"] == [
    {"step": n, "status": "ok", "reason": ""} for n in (2, 4)
  ]
  _move(scratch)
  more = run_support.config(train={"steps": 8}, checkpoint={"every": 2})
  outcome = run_support.train(more, url)
  assert list(scratch.glob("look-*")) == []
  whole = tmp_path / "whole"
  run_support.train(more, whole)
  assert run_support.digests(outcome.workdir) == run_support.digests(whole)
  assert run_support.updates(outcome.workdir) == run_support.updates(whole)
  with mirror.snapshot(url, deep=True) as there:
    assert run_support.digests(there) == run_support.digests(whole)
  saved = json.loads((outcome.workdir / "config.json").read_text())
  assert "memory:" not in json.dumps(saved)

  # A bucket that cannot be written any more ends the run, and says why.
  def fail(self, *args, **kwargs):
    raise OSError("no space in the bucket")

  system = type(fsspec.filesystem("memory"))
  monkeypatch.setattr(system, "put_file", fail)
  longer = run_support.config(train={"steps": 12}, checkpoint={"every": 2})
  with pytest.raises(errors.StorageError, match="no space in the bucket"):
    run_support.train(longer, url)
  monkeypatch.undo()
  assert diagnosis.diagnose(url)["last_good_step"] == 8


def test_doctor_where_nothing_is(capsys):
  assert main.main(["doctor", "--workdir=memory://nowhere/run"]) != 0
  assert "nothing is there" in capsys.readouterr().err


@pytest.mark.slow
def test_killed_and_moved_again_and_again(tmp_path, scratch, bucket):
  """SIGKILL at any moment, each time an empty scratch folder."""
  whole, steps = tmp_path / "whole", 20
  processes.finish(processes.start(whole, steps))
  url = _url(bucket)
  for wanted in (0, 5, 10, 15):
    process = processes.start(url, steps)
    deadline = time.monotonic() + 300
    while (_steps(bucket) or [0])[-1] < wanted and process.poll() is None:
      assert time.monotonic() < deadline
      time.sleep(0.005)
    if not wanted:
      time.sleep(2.0)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    for info in checkpoint.describe(bucket / "checkpoints"):
      assert info.status in ("ok", "torn"), info
    shutil.rmtree(scratch, ignore_errors=True)
  processes.finish(processes.start(url, steps))
  assert processes.digest(bucket) == processes.digest(whole)
  assert processes.updates(bucket) == processes.updates(whole)
  resumed = [
    json.loads(line)["step"]
    for line in (bucket / "events.jsonl").read_text().splitlines()
    if '"resume"' in line
  ]
  assert resumed and resumed == sorted(resumed)
  assert os.listdir(scratch / "runs")
