# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Retention, failures in the background, locks, frozen roles."""

import logging
import os
import shutil
import stat
import threading

import checkpoint_support
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefjax import checkpoint
from prefjax.checkpoint import commit, layout, storage
from prefjax.core import errors

same = checkpoint_support.same


def _tree(value: float = 0.0):
  return {"w": jnp.full((4, 3), float(value)), "n": jnp.asarray(int(value))}


def _save(checkpointer, step, **keywords):
  checkpointer.save(step, _tree(step), **keywords)
  checkpointer.wait()


# --- retention -------------------------------------------------------------


@pytest.mark.parametrize(
  ("keep", "left"), [(1, [5]), (3, [3, 4, 5]), (None, [0, 1, 2, 3, 4, 5])]
)
def test_keep_newest(tmp_path, keep, left):
  with checkpoint.Checkpointer(tmp_path, keep=keep) as checkpointer:
    for step in range(6):
      checkpointer.save(step, _tree(step))
  assert checkpoint.steps(tmp_path) == left
  assert same(checkpoint.restore(tmp_path, _tree()).tree, _tree(5))


@pytest.mark.parametrize(
  ("mode", "left"), [("max", [1, 2, 6, 7]), ("min", [3, 5, 6, 7])]
)
def test_keep_best(tmp_path, mode, left):
  scores = [0.1, 0.9, 0.8, -2.0, 0.3, -1.0, 0.0, float("nan")]
  checkpointer = checkpoint.Checkpointer(
    tmp_path, keep=2, keep_best=2, best_metric="score", best_mode=mode
  )
  with checkpointer:
    for step, score in enumerate(scores):
      _save(checkpointer, step, metrics={"score": score, "other": -score})
    assert checkpointer.steps() == left
    assert checkpointer.best_steps()[:2] == (
      [1, 2] if mode == "max" else [3, 5]
    )


def test_best_is_remembered_across_processes(tmp_path):
  options = dict(keep=1, keep_best=1, best_metric="score")
  with checkpoint.Checkpointer(tmp_path, **options) as checkpointer:
    _save(checkpointer, 1, metrics={"score": 5})
  with checkpoint.Checkpointer(tmp_path, **options) as checkpointer:
    _save(checkpointer, 2, metrics={"score": 4})
    _save(checkpointer, 3)  # without the metric it is never the best
  assert checkpoint.steps(tmp_path) == [1, 3]


def test_damaged_step_does_not_count_and_the_good_one_stays(tmp_path, caplog):
  caplog.set_level(logging.ERROR)
  with checkpoint.Checkpointer(tmp_path, keep=2) as checkpointer:
    _save(checkpointer, 1)
    _save(checkpointer, 2)
    (tmp_path / "2" / layout.MANIFEST).write_text("{}")
    _save(checkpointer, 3)
    # 2 does not count: 1 is the second newest good one.
    assert checkpointer.steps() == [1, 2, 3]
    _save(checkpointer, 4)
    assert checkpointer.steps() == [3, 4]


def test_nothing_is_pruned_when_the_new_step_cannot_be_read_back(
  tmp_path, monkeypatch
):
  with checkpoint.Checkpointer(tmp_path, keep=1) as checkpointer:
    _save(checkpointer, 1)
    original = commit.Workspace.commit

    def damage(self, manifest):
      seen = original(self, manifest)
      (self.final / layout.MANIFEST).write_text("{}")
      return seen

    monkeypatch.setattr(commit.Workspace, "commit", damage)
    with pytest.raises(errors.CheckpointError, match="cannot be read back"):
      _save(checkpointer, 2)
    monkeypatch.undo()
    assert 1 in checkpointer.steps()
  assert checkpoint.restore(tmp_path, _tree()).step == 1


@pytest.mark.parametrize("existing", [False, True])
def test_step_that_cannot_be_read_back_is_undone(
  tmp_path, monkeypatch, existing
):
  checkpointer = checkpoint.Checkpointer(tmp_path)
  if existing:
    _save(checkpointer, 1)
  original = layout.write_file

  def damage(path, content):
    original(path, content)
    if path.name == layout.MARKER:
      (path.parent / layout.MANIFEST).write_text("{}")

  monkeypatch.setattr(layout, "write_file", damage)
  checkpointer.save(1, _tree(9))
  with pytest.raises(errors.CheckpointError, match="changed since it was"):
    checkpointer.wait()
  monkeypatch.undo()
  checkpointer.close()
  if existing:
    assert same(checkpoint.restore(tmp_path, _tree()).tree, _tree(1))
  else:
    assert checkpoint.steps(tmp_path) == []
  left = {p.name for p in tmp_path.iterdir()} - {".lock"}
  assert left == ({"1"} if existing else set())


def test_going_on_from_an_earlier_step_sets_later_ones_aside(tmp_path, caplog):
  with checkpoint.Checkpointer(tmp_path, keep=3) as checkpointer:
    for step in (10, 20, 30):
      _save(checkpointer, step)
    with caplog.at_level(logging.WARNING):
      checkpointer.save(15, _tree(1))
      checkpointer.wait()
    assert "moved the later" in caplog.text
    # The newest step is the one this run wrote last.
    assert checkpointer.steps() == [10, 15]
    assert (tmp_path / "20.superseded" / layout.MARKER).exists()
    _save(checkpointer, 25)
    names = sorted(p.name for p in tmp_path.iterdir() if p.is_dir())
    assert names == ["10", "15", "25", "30.superseded"]


# --- failures --------------------------------------------------------------


def _fail_finish(monkeypatch, error, release=None):
  """Makes the background write fail, after `release` if that is given."""

  def fail(self):
    if release is not None:
      release.wait(30)
    self._checkpointer.wait_until_finished()
    raise error

  monkeypatch.setattr(storage.Writer, "finish", fail)


def test_failure_in_the_background_surfaces_at_the_next_call(
  tmp_path, monkeypatch
):
  checkpointer = checkpoint.Checkpointer(tmp_path)
  _save(checkpointer, 1)

  _fail_finish(
    monkeypatch, OSError(28, "No space left on device", str(tmp_path))
  )
  checkpointer.save(2, _tree(2))
  with pytest.raises(errors.CheckpointError) as caught:
    checkpointer.save(3, _tree(3))
  message = str(caught.value)
  assert "step 2" in message and "No space left" in message
  assert "newest saved step: 1" in message and "\n" not in message
  monkeypatch.undo()
  checkpointer.wait()  # reported once
  _save(checkpointer, 4)
  assert checkpointer.steps() == [1, 4]
  assert not list(tmp_path.glob("*.tmp"))
  checkpointer.close()


def test_check_polls_without_waiting(tmp_path, monkeypatch):
  release = threading.Event()

  _fail_finish(monkeypatch, RuntimeError("broken"), release)
  checkpointer = checkpoint.Checkpointer(tmp_path)
  checkpointer.save(1, _tree())
  checkpointer.check()  # nothing yet, and no waiting
  release.set()
  checkpointer._thread.join()
  with pytest.raises(errors.CheckpointError, match="RuntimeError: broken"):
    checkpointer.check()
  checkpointer.close()


def test_close_raises_if_the_final_save_failed(tmp_path, monkeypatch):
  monkeypatch.setattr(
    commit, "prune", lambda *_: (_ for _ in ()).throw(OSError(5, "I/O error"))
  )
  checkpointer = checkpoint.Checkpointer(tmp_path)
  checkpointer.save(1, _tree())
  with pytest.raises(errors.CheckpointError, match="step 1.*I/O error"):
    checkpointer.close()
  checkpointer.close()  # a second time is harmless
  with pytest.raises(errors.CheckpointError, match="closed"):
    checkpointer.save(2, _tree())
  # The lock was given back in spite of the error.
  checkpoint.Checkpointer(tmp_path).close()


def test_a_writer_that_cannot_be_closed_gives_the_directory_back(
  tmp_path, monkeypatch
):
  """Orbax raises the error of a failed save once more when it is closed."""
  original = storage.Writer.close

  def close(self):
    original(self)
    raise ValueError("an error of Orbax")

  checkpointer = checkpoint.Checkpointer(tmp_path)
  with monkeypatch.context() as patch:
    patch.setattr(storage.Writer, "close", close)
    patch.setattr(storage.Writer, "finish", _broken_disk)
    checkpointer.save(1, _tree())
    with pytest.raises(errors.CheckpointError, match="saving step 1"):
      checkpointer.close()
  with checkpoint.Checkpointer(tmp_path) as checkpointer:
    checkpointer.save(2, _tree())
  assert checkpoint.steps(tmp_path) == [2]


def _broken_disk(self):
  raise OSError(5, "Input/output error")


def test_error_in_the_body_is_not_masked_by_a_failed_save(
  tmp_path, monkeypatch, caplog
):
  _fail_finish(monkeypatch, ZeroDivisionError())
  with pytest.raises(KeyError, match="mine"):
    with checkpoint.Checkpointer(tmp_path) as checkpointer:
      checkpointer.save(1, _tree())
      raise KeyError("mine")
  assert "ZeroDivisionError" in caplog.text


def test_deleted_directory_surfaces(tmp_path):
  root = tmp_path / "run"
  checkpointer = checkpoint.Checkpointer(root)
  _save(checkpointer, 1)
  shutil.rmtree(root)
  with pytest.raises(errors.CheckpointError, match="step 2.*No such file"):
    checkpointer.save(2, _tree())
  checkpointer.close()


def test_directory_deleted_during_the_save_surfaces(tmp_path, monkeypatch):
  root = tmp_path / "run"
  checkpointer = checkpoint.Checkpointer(root)
  original = storage.Writer.finish

  def finish(self):
    original(self)
    shutil.rmtree(root)
    shutil.copytree(_empty_step(tmp_path), root / "1.tmp")

  monkeypatch.setattr(storage.Writer, "finish", finish)
  checkpointer.save(1, _tree())
  with pytest.raises(errors.CheckpointError, match="deleted while it was"):
    checkpointer.wait()
  checkpointer.close()
  assert checkpoint.steps(root) == []


def _empty_step(tmp_path):
  """What writers that recreate their directory would leave."""
  path = tmp_path / "recreated"
  (path / layout.ARRAYS).mkdir(parents=True)
  return path


_READ_ONLY = """
  import os, shutil, tempfile
  import numpy as np
  from prefjax import checkpoint
  from prefjax.core import errors
  root = tempfile.mkdtemp()
  checkpointer = checkpoint.Checkpointer(root)
  checkpointer.save(1, {"w": np.zeros(9)})
  checkpointer.wait()
  os.chmod(root, 0o555)
  if os.geteuid() == 0:  # permissions do not bind root
    os.seteuid(65534)
  try:
    checkpointer.save(2, {"w": np.zeros(9)})
    checkpointer.wait()
  except errors.CheckpointError as error:
    print(error)
  if os.getuid() == 0:
    os.seteuid(0)
  os.chmod(root, 0o700)
  print(checkpointer.steps())
  shutil.rmtree(root)
"""


def test_read_only_directory_surfaces():
  message, steps = checkpoint_support.run_script(_READ_ONLY).splitlines()
  assert "saving step 2" in message and "Permission denied" in message
  assert steps == "[1]"


def test_directory_that_cannot_be_made(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(errors.CheckpointError, match="cannot be used"):
    checkpoint.Checkpointer(tmp_path / "file" / "run")


_FULL = """
  import resource, signal, sys
  import numpy as np
  from prefjax import checkpoint
  from prefjax.core import errors
  signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  checkpointer = checkpoint.Checkpointer(sys.argv[1])
  checkpointer.save(1, {"w": np.zeros(1000, np.float32)})
  checkpointer.wait()
  # No file may grow beyond 64 KiB: what a full disk looks like to a writer.
  resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
  for step in (2, 3):
    checkpointer.save(step, {"w": np.ones(100_000, np.float32)})
    try:
      checkpointer.wait()
    except errors.CheckpointError as error:
      assert f"step {step}" in str(error), error
      print("failed", step)
  print(checkpointer.steps())
"""


def test_full_disk_surfaces_and_keeps_the_last_good_step(tmp_path):
  output = checkpoint_support.run_script(_FULL, tmp_path)
  assert output.split("\n") == ["failed 2", "failed 3", "[1]"]
  values = np.zeros(1000, np.float32)
  assert same(checkpoint.restore(tmp_path, {"w": values}).tree, {"w": values})


def test_unsavable_trees_leave_nothing_behind(tmp_path):
  with checkpoint.Checkpointer(tmp_path) as checkpointer:
    with pytest.raises(errors.CheckpointError, match="'a' is a str"):
      checkpointer.save(1, {"a": "text"})
    with pytest.raises(errors.CheckpointError, match="whole number"):
      checkpointer.save(-1, _tree())
    with pytest.raises(errors.CheckpointError, match="whole number"):
      checkpointer.save(1.5, _tree())
    with pytest.raises(errors.CheckpointError, match="metric 'm'"):
      checkpointer.save(1, _tree(), metrics={"m": "high"})
    checkpointer.save(np.int32(2), _tree())
  assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "2"]


@pytest.mark.parametrize(
  ("options", "key"),
  [
    (dict(keep=0), "keep=0"),
    (dict(keep=True), "keep=True"),
    (dict(keep_best=-1, best_metric="a"), "keep_best=-1"),
    (dict(keep_best=1), "best_metric"),
    (dict(best_mode="most"), "best_mode='most'"),
  ],
)
def test_bad_options_are_named(tmp_path, options, key):
  with pytest.raises(errors.ConfigError, match=key):
    checkpoint.Checkpointer(tmp_path / "run", **options)
  assert not (tmp_path / "run").exists()


# --- the directory ---------------------------------------------------------


def test_only_the_owner_may_read(tmp_path):
  root = tmp_path / "run"
  with checkpoint.Checkpointer(root) as checkpointer:
    _save(checkpointer, 1)
  for path in (root, root / "1"):
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
  assert stat.S_IMODE((root / ".lock").stat().st_mode) == 0o600


_SECOND = """
  import sys
  from prefjax import checkpoint
  from prefjax.core import errors
  try:
    checkpoint.Checkpointer(sys.argv[1])
  except errors.CheckpointError as error:
    print(error)
"""


def test_a_second_process_is_locked_out(tmp_path):
  with checkpoint.Checkpointer(tmp_path):
    message = checkpoint_support.run_script(_SECOND, tmp_path)
  assert f"written by process {os.getpid()}" in message
  assert checkpoint_support.run_script(_SECOND, tmp_path) == ""


def test_a_second_checkpointer_of_this_process_takes_over(tmp_path):
  first = checkpoint.Checkpointer(tmp_path)
  first.save(1, _tree(1))  # and the notebook cell is run again
  second = checkpoint.Checkpointer(tmp_path)
  assert second.steps() == [1]
  with pytest.raises(errors.CheckpointError, match="closed"):
    first.save(2, _tree(2))
  _save(second, 2)
  second.close()
  del first, second
  dropped = checkpoint.Checkpointer(tmp_path)
  del dropped
  checkpoint.Checkpointer(tmp_path).close()


def test_leftovers_of_a_killed_process_are_cleaned_up(tmp_path, caplog):
  with checkpoint.Checkpointer(tmp_path) as checkpointer:
    for step in (1, 2, 3):
      _save(checkpointer, step)
  shutil.copytree(tmp_path / "3", tmp_path / "4.tmp")
  shutil.copytree(tmp_path / "3", tmp_path / "5")
  (tmp_path / "5" / layout.MARKER).unlink()
  os.rename(tmp_path / "2", tmp_path / "2.old")  # killed while replacing 2
  shutil.copytree(tmp_path / "3", tmp_path / "3.old")  # killed after it
  (tmp_path / "frozen" / ("a" * 64)).mkdir(parents=True)
  (tmp_path / "notes").mkdir()
  (tmp_path / "readme.tmp").write_text("not ours")
  checkpoint.Checkpointer(tmp_path).close()
  names = sorted(p.name for p in tmp_path.iterdir())
  assert names == [".lock", "1", "2", "3", "frozen", "notes", "readme.tmp"]
  assert not list((tmp_path / "frozen").iterdir())
  assert "4.tmp" in caplog.text and "'5'" in caplog.text
  assert checkpoint.restore(tmp_path, _tree(), step=2).step == 2


# --- frozen roles ----------------------------------------------------------


def _reference(value: float = 1.0):
  key = jax.random.key(0)
  return {"w": jax.random.normal(key, (300, 100)) * value, "b": jnp.ones(3)}


def test_frozen_roles_are_kept_by_digest(tmp_path):
  with checkpoint.Checkpointer(tmp_path) as checkpointer:
    checkpointer.save(1, _tree(1), frozen={"reference": _reference()})
  assert not (tmp_path / "frozen").exists()
  restored = checkpoint.restore(
    tmp_path, _tree(), frozen={"reference": _reference()}
  )
  assert same(restored.frozen["reference"], _reference())
  other = {**_reference(), "w": _reference()["w"].at[7, 7].add(1e-6)}
  with pytest.raises(
    errors.CheckpointError, match="'reference'.*'w'.*original"
  ):
    checkpoint.restore(tmp_path, _tree(), frozen={"reference": other})
  with pytest.raises(errors.CheckpointError, match="no frozen role 'teacher'"):
    checkpoint.restore(tmp_path, _tree(), frozen={"teacher": other})
  shapes = jax.eval_shape(_reference)
  with pytest.raises(errors.CheckpointError, match="digest only"):
    checkpoint.restore(tmp_path, _tree(), frozen={"reference": shapes})
  half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), _reference())
  with pytest.raises(errors.CheckpointError, match="float32.*bfloat16"):
    checkpoint.restore(tmp_path, _tree(), frozen={"reference": half})


def test_stored_frozen_trees_are_written_once_and_pruned(tmp_path):
  shapes = jax.eval_shape(_reference)
  with checkpoint.Checkpointer(
    tmp_path, keep=2, store_frozen=True
  ) as checkpointer:
    for step in range(3):
      _save(checkpointer, step, frozen={"reference": _reference()})
    [stored] = (tmp_path / "frozen").iterdir()
    before = stored.stat().st_mtime_ns
    restored = checkpoint.restore(
      tmp_path, _tree(), frozen={"reference": shapes}
    )
    assert same(restored.frozen["reference"], _reference())
    assert checkpoint.verify(tmp_path, 2).frozen["reference"].stored
    # A new reference, as iterative methods have: both stay as long as a
    # step needs them.
    _save(checkpointer, 3, frozen={"reference": _reference(2.0)})
    assert len(list((tmp_path / "frozen").iterdir())) == 2
    assert stored.stat().st_mtime_ns == before
    _save(checkpointer, 4, frozen={"reference": _reference(2.0)})
    assert len(list((tmp_path / "frozen").iterdir())) == 1
  for step in (3, 4):
    restored = checkpoint.restore(
      tmp_path, _tree(), step=step, frozen={"reference": shapes}
    )
    assert same(restored.frozen["reference"], _reference(2.0))


def test_damaged_frozen_tree_is_noticed(tmp_path, caplog):
  caplog.set_level(logging.ERROR)
  with checkpoint.Checkpointer(tmp_path, store_frozen=True) as checkpointer:
    _save(checkpointer, 1, frozen={"reference": _reference()})
  files = [p for p in (tmp_path / "frozen").rglob("*") if p.is_file()]
  path = max(files, key=lambda p: p.stat().st_size)
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)
  shapes = jax.eval_shape(_reference)
  with pytest.raises(errors.CheckpointCorruptError, match="frozen/"):
    checkpoint.restore(tmp_path, _tree(), step=1, frozen={"reference": shapes})
  assert checkpoint.restore(tmp_path, _tree()).step == 1
  with pytest.raises(errors.CheckpointCorruptError, match="frozen/"):
    checkpoint.verify(tmp_path, 1)


def test_frozen_digests_are_computed_once(tmp_path, monkeypatch):
  from prefjax.checkpoint import digest

  calls = []
  original = digest.begin
  monkeypatch.setattr(
    digest, "begin", lambda *a: calls.append(len(a[0])) or original(*a)
  )
  reference, array = _reference(), np.ones(3)
  with checkpoint.Checkpointer(tmp_path) as checkpointer:
    for step in range(3):
      _save(checkpointer, step, frozen={"r": reference})
    assert calls == [2, 2, 2, 2]  # the reference, and three states of 2
    _save(checkpointer, 3, frozen={"r": {**reference, "b": array}})
    array[0] = 5  # NumPy arrays may change in place
    _save(checkpointer, 4, frozen={"r": {**reference, "b": array}})
  entries = [
    i.manifest.frozen["r"].digest for i in checkpoint.describe(tmp_path)
  ]
  assert len(set(entries)) == 3
