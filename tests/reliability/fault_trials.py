# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Damage, disks that fail, numbers that are none, input that does not come."""

import contextlib
import os
import pathlib
import resource
import shutil
import socket
import tempfile
import time

import damage_test
import jax
import numpy as np
import run_support
import trial_support

from prefjax import checkpoint
from prefjax.checkpoint import storage
from prefjax.core import errors
from prefjax.data import pipeline
from prefjax.train import events, inputs

Outcome = trial_support.Outcome


def damage(count: int, seed: int, folder: pathlib.Path) -> Outcome:
  """Bits flipped, files cut and deleted in the newest of two checkpoints."""
  out = Outcome()
  root = folder / "run"
  with checkpoint.Checkpointer(root) as checkpointer:
    for step in (10, 20):
      tree = damage_test._tree(step)
      checkpointer.save(step, tree, metadata={"config": {"lr": 0.1}})
  files = damage_test._files(root / "20")
  rng = np.random.default_rng(seed)
  fallbacks = 0
  for number in range(count):
    # Of six trials four flip a bit, one cuts a file, one deletes it.
    kind = ("flip", "flip", "cut", "flip", "flip", "delete")[number % 6]
    path = files[rng.integers(len(files))]
    if number % 12 < 6:  # the file that holds most of the array bytes
      path = max(files, key=lambda p: p.stat().st_size)
    clean = path.read_bytes()
    content = bytearray(clean)
    if kind == "flip":
      content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    elif kind == "cut":
      content = content[: rng.integers(len(content))]
    path.write_bytes(content)
    if kind == "delete":
      path.unlink()
    what = f"{number}: {kind} {path.name}"
    try:
      if kind == "delete" and path.name == "COMMITTED":
        # The step does not exist any more, for any reader.
        restored = checkpoint.restore(root, damage_test._tree(0))
        found = "fallback" if restored.step == 10 else "wrong"
      else:
        found = damage_test._check_one_damage(root, what)
      fallbacks += found == "fallback"
      out.expect(found in ("fallback", "harmless"), what)
    except AssertionError as error:
      out.expect(False, f"{what}: {str(error)[:200]}")
    path.write_bytes(clean)
  intact = damage_test._check_one_damage(root, "repaired")
  out.also(intact == "harmless", "the repaired checkpoint is not restored")
  out.facts.append(f"{fallbacks} noticed with a fallback, 0 wrong values")
  return out


# --- numbers that are none ---------------------------------------------------

_KINDS = ("loss", "slope", "record")
_VALUES = (np.nan, np.inf, -np.inf)


def not_finite(count: int, seed: int, folder: pathlib.Path) -> Outcome:
  """NaN and infinities in the loss, in one gradient leaf, in one record."""
  out = Outcome()
  rng = np.random.default_rng(seed)
  for number in range(count):
    kind = _KINDS[number % 3]
    value = _VALUES[number // 3 % 3]
    length = 1 + number // 9 % 3
    first = int(rng.integers(1, 6))
    poison = {s: (kind, value) for s in range(first, first + length)}
    what = f"{kind} {value} at {first}, {length} updates"
    workdir = folder / str(number)
    shas: dict[int, str] = {}

    def look(state, shas=shas):
      shas[int(state.step)] = checkpoint.state_sha256(state.params)
      return {"eval/zero": 0.0}

    trial_support.train(
      9,
      workdir,
      trial_support.Source(poison),
      evaluate=look,
      eval_every=1,
      save_every=1,
      keep=20,
    )
    for step in range(1, 9):
      still = shas[step + 1] == shas[step]
      out.also(still == (step in poison), f"{what}: parameters at {step}")
    out.expect(True, what)
    skipped = [
      row["step"] - 1
      for row in trial_support.rows(workdir)
      if row.get("train/skipped")
    ]
    out.also(skipped == list(poison), f"{what}: counted {skipped}")
    told = [
      row["step"] - 1
      for row in events.read(events.path_of(workdir))
      if row["event"] == "skipped"
    ]
    out.also(told == list(poison), f"{what}: told {told}")
    for step in checkpoint.steps(workdir / "checkpoints"):
      tree = checkpoint.restore_untyped(workdir / "checkpoints", step=step).tree
      finite = all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))
      out.also(finite, f"{what}: step {step} is not finite")
    shutil.rmtree(workdir)
    _gives_up(out, kind, value, first, folder / f"{number}-end")
  return out


def _gives_up(out, kind, value, first, workdir) -> None:
  """Three bad updates in a row end a run that allows two."""
  poison = {s: (kind, value) for s in range(first, first + 3)}
  message = ""
  try:
    trial_support.train(
      9, workdir, trial_support.Source(poison), max_bad_steps=3, save_every=1
    )
  except errors.TrainingError as error:
    message = str(error)
  ids = list(range(8 * (first + 2), 8 * (first + 3)))
  good = f"updates {first + 1} to {first + 3}" in message
  out.also(good and str(ids) in message, f"gave up with {message!r}")
  shutil.rmtree(workdir)


# --- disks -------------------------------------------------------------------


@contextlib.contextmanager
def _no_file_beyond(size: int):
  """What a full disk looks like to a writer: no file grows beyond that."""
  before = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _full(size):
  def begin(stack, workdir, patch):
    del workdir, patch
    stack.enter_context(_no_file_beyond(size))

  return begin


def _vanished(stack, workdir, patch):
  del stack, patch
  while workdir.exists():  # a save that is just ending removes its own files
    shutil.rmtree(workdir, ignore_errors=True)


def _read_only(stack, workdir, patch):
  """Nothing may be made or changed in the work directory any more."""
  del patch
  places = [workdir, *(p for p in workdir.rglob("*") if p.is_dir())]
  if os.geteuid() == 0:  # permissions do not bind root
    # Others may read and enter the folders, but not write.
    os.seteuid(65534)
    stack.callback(os.seteuid, 0)
    return
  for place in places:
    os.chmod(place, 0o500)
    stack.callback(os.chmod, place, 0o700)


def _slow(stack, workdir, patch):
  del stack, workdir
  finish = storage.Writer.finish

  def slow(self):
    time.sleep(1.0)
    finish(self)

  patch(storage.Writer, "finish", slow)


def _broken_at_the_end(stack, workdir, patch):
  del stack, workdir

  finish = storage.Writer.finish

  def broken(self):
    finish(self)
    raise OSError(5, "Input/output error")

  patch(storage.Writer, "finish", broken)


# name -> (what happens, update at which, whether it ends the run)
DISKS = {
  "full in a save": (_full(200), 6, True),
  "full for everything": (_full(0), 7, True),
  "read-only": (_read_only, 6, True),
  "vanished": (_vanished, 6, True),
  "slow": (_slow, 6, False),
  "failing in the last save": (_broken_at_the_end, 11, True),
}
_STEPS, _EVERY = 12, 3


def disks(count: int, seed: int, folder: pathlib.Path) -> Outcome:
  """Disks that are full, read-only, gone, slow or broken in the middle."""
  out = Outcome()
  whole = trial_support.sha(trial_support.train(_STEPS))
  rng = np.random.default_rng(seed)
  # Not below a folder that only the owner may enter.
  with tempfile.TemporaryDirectory(dir="/tmp") as place:
    os.chmod(place, 0o755)
    for number in range(count):
      name = sorted(DISKS)[number % len(DISKS)]
      shift = 0 if number < len(DISKS) else int(rng.integers(-2, 1))
      _one_disk(out, name, shift, pathlib.Path(place) / str(number), whole)
  return out


def _one_disk(out, name, shift, workdir, whole) -> None:
  begin, at, ends = DISKS[name]
  at += shift
  error, reached, seen = None, [], []
  with contextlib.ExitStack() as stack:

    def patch(where, attribute, value):
      stack.callback(setattr, where, attribute, getattr(where, attribute))
      setattr(where, attribute, value)

    def before(step):
      reached.append(step)
      if step == at:
        # The save before has ended, so what is on disk is known.
        while checkpoint.latest_step(folder) != at - 1 - (at - 1) % _EVERY:
          time.sleep(0.01)
        seen.append(checkpoint.latest_step(folder))
        for path in (workdir, folder):
          os.chmod(path, 0o755)
        begin(stack, workdir, patch)

    folder = workdir / "checkpoints"
    try:
      trial_support.train(
        _STEPS,
        workdir,
        trial_support.Source(before=before),
        save_every=_EVERY,
        keep=9,
      )
    except errors.CheckpointError as caught:
      error = caught
    except Exception as caught:
      out.also(False, f"{name} at {at}: raw {type(caught).__name__}: {caught}")
  what = f"{name} at {at}"
  out.expect((error is not None) == ends, f"{what}: {error!r}")
  text = str(error or "")
  out.also("\n" not in text and len(text) < 900, f"{what}: {text!r}")
  # It surfaces at the save after the one that failed, at the latest; a disk
  # that is only slow ends nothing.
  good = max(reached) <= at + 2 * _EVERY if ends else _STEPS - 1 in reached
  out.also(good, f"{what}: ran on to {max(reached)}")
  if name != "vanished":
    newest = checkpoint.latest_step(folder)
    out.also(newest is not None and newest >= seen[0], f"{what}: lost a step")
    checkpoint.verify(folder, newest)
  end = trial_support.train(_STEPS, workdir, save_every=_EVERY)
  out.also(trial_support.sha(end) == whole, f"{what}: another SHA-256")


# --- input -------------------------------------------------------------------


def stragglers(count: int, seed: int, folder: pathlib.Path) -> Outcome:
  """A loader that is slow, one that hangs, one whose thread raises or dies.

  Args:
    count: seconds that the slow one takes; it is named after 10.
    seed: not used.
    folder: of the runs.
  """
  del seed
  out = Outcome()
  notes: list[tuple[float, str]] = []
  begin = time.monotonic()

  def slow():
    yield 0
    time.sleep(count)
    yield 1

  watched = inputs.Watched(
    slow(),
    lambda text: notes.append((time.monotonic() - begin, text)),
    limit=60,
    warn=min(inputs.WARN_SECONDS, count / 2),
  )
  out.expect(list(watched) == [0, 1], "the slow batch did not come")
  named = [text for _, text in notes if socket.gethostname() in text]
  out.also(len(named) == 1, f"remarks: {notes}")
  if notes:
    out.facts.append(f"named after {notes[0][0]:.1f} s")
    out.also(notes[0][0] < inputs.WARN_SECONDS + 1, "named too late")
  for kind in ("hangs", "raises", "dies"):
    workdir, began = folder / kind, time.monotonic()
    error = _run_with_a_loader_that(kind, workdir)
    took = time.monotonic() - began
    out.expect(isinstance(error, errors.PrefjaxError), f"{kind}: {error!r}")
    out.also(took < 60, f"{kind}: {took:.0f} s")
    stop = events.read(events.path_of(workdir))[-1]
    out.also(stop.get("reason") == "error", f"{kind}: logged {stop}")
    out.facts.append(f"{kind}: an error after {took:.1f} s")
  return out


def _run_with_a_loader_that(kind: str, workdir) -> BaseException | None:
  whole, pull = pipeline.Source.batch, inputs.Watched._pull

  def batch(self, step):
    if step == 2 and kind == "hangs":
      time.sleep(30)
    if step == 2 and kind == "raises":
      raise errors.DataError("pairs.jsonl, line 3: gone")
    return whole(self, step)

  def die(self, items):
    self._put("item", next(items))

  pipeline.Source.batch = batch
  if kind == "dies":
    inputs.Watched._pull = die
  try:
    run_support.train(
      run_support.config(data={"patience": 2.0}, train={"steps": 4}), workdir
    )
  except Exception as error:
    return error
  finally:
    pipeline.Source.batch, inputs.Watched._pull = whole, pull
  return None
