# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A run that is killed at any moment finds its newest committed step."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import checkpoint_support
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefjax import checkpoint

# Saves without a pause, each step a function of the one before; says so on
# standard output once a step is committed. Two processes compare their
# numbers, and their compilers may have other flags: so the start comes from
# NumPy, and an update rounds once (halving is exact).
_RUN = """
  import sys
  import jax, jax.numpy as jnp, numpy as np
  from prefjax import checkpoint
  root, keep, stored = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "stored"
  def init():
    w = np.random.default_rng(0).standard_normal((300, 100), np.float32)
    return {"w": jnp.asarray(w), "n": jnp.int32(0),
            "s": [jnp.zeros(3, jnp.bfloat16)]}
  @jax.jit
  def update(t):
    return {"w": t["w"] * 0.5 + t["n"], "n": t["n"] + 1,
            "s": [t["s"][0] + 1]}
  checkpointer = checkpoint.Checkpointer(root, keep=keep, store_frozen=stored)
  tree, step = init(), 0
  if checkpoint.steps(root):
    restored = checkpoint.restore(root, tree)
    tree, step = restored.tree, restored.step
    assert not restored.skipped, restored.skipped
  print("start", step, flush=True)
  while step < 400:
    tree, step = update(tree), step + 1
    checkpointer.save(step, tree, metadata={"config": {"a": 1}},
                      frozen={"r": {"w": init()["w"]}})
    if step > 1:
      print("saved", step - 1, flush=True)
"""


def _expected(step: int):
  """The state after that many updates, computed here."""
  w = np.random.default_rng(0).standard_normal((300, 100), np.float32)
  tree = {
    "w": jnp.asarray(w),
    "n": jnp.int32(0),
    "s": [jnp.zeros(3, jnp.bfloat16)],
  }

  @jax.jit
  def update(t):
    return {
      "w": t["w"] * 0.5 + t["n"],
      "n": t["n"] + 1,
      "s": [t["s"][0] + 1],
    }

  for _ in range(step):
    tree = update(tree)
  return tree


def _start(root, keep=2, stored=False) -> subprocess.Popen:
  return subprocess.Popen(
    [
      sys.executable,
      "-c",
      textwrap.dedent(_RUN),
      str(root),
      str(keep),
      "stored" if stored else "digest",
    ],
    env=checkpoint_support.environment(),
    stdout=subprocess.PIPE,
    text=True,
  )


def _kill_and_check(root, rng, trials: int, stored: bool) -> None:
  reported = 0
  for trial in range(trials):
    process = _start(root, stored=stored)
    assert process.stdout.readline().startswith("start"), "did not start"
    # A busy machine may take longer than the sleep: see one save in any case.
    first = process.stdout.readline() if trial == 0 else ""
    # Anywhere in the next few saves, each of which takes some 50 ms.
    time.sleep(float(rng.uniform(0.05, 0.6)))
    process.send_signal(signal.SIGKILL)
    lines = (first + process.stdout.read()).split("\n")
    process.wait()
    saved = [int(x.split()[1]) for x in lines if x.startswith("saved")]
    reported = max([reported, *saved])
    steps = checkpoint.steps(root)
    newest = steps[-1] if steps else 0
    # Never behind what was reported as committed.
    assert newest >= reported, (trial, newest, reported, os.listdir(root))
    if not steps:
      continue
    template = _expected(0)
    frozen = {"r": {"w": template["w"]}}
    if stored:
      frozen = jax.eval_shape(lambda f=frozen: f)
    restored = checkpoint.restore(root, template, step=newest, frozen=frozen)
    assert checkpoint_support.same(restored.tree, _expected(newest)), trial
    frozen_weights = np.asarray(restored.frozen["r"]["w"])
    assert np.array_equal(frozen_weights, template["w"])
  assert reported > 0


def test_sigkill_during_saves(tmp_path):
  rng = np.random.default_rng(1)
  _kill_and_check(tmp_path, rng, trials=3, stored=False)


@pytest.mark.slow
@pytest.mark.parametrize("stored", [False, True])
def test_30_sigkills_during_saves(tmp_path, stored):
  rng = np.random.default_rng(2)
  _kill_and_check(tmp_path, rng, trials=15, stored=stored)


_CRASH = """
  import os, signal, sys
  import numpy as np
  from prefjax import checkpoint
  from prefjax.checkpoint import layout
  root, crash = sys.argv[1], int(sys.argv[2])
  checkpointer = checkpoint.Checkpointer(root, keep=1)
  checkpointer.save(1, {"w": np.full(50, 1.0)})
  checkpointer.wait()
  # Count the calls that change the disk and die right before one of them.
  calls = 0
  def wrap(module, name):
    original = getattr(module, name)
    def counted(*args, **keywords):
      global calls
      calls += 1
      if calls == crash:
        os.kill(os.getpid(), signal.SIGKILL)
      return original(*args, **keywords)
    setattr(module, name, counted)
  for name in ("write_file", "fsync_tree", "remove_step"):
    wrap(layout, name)
  for name in ("rename", "replace", "mkdir", "fsync"):
    wrap(os, name)
  step = int(sys.argv[3])
  checkpointer.save(step, {"w": np.full(50, 2.0)})
  checkpointer.close()
  print("survived", calls)
"""


def _crash_at(root, crash: int, step: int) -> str:
  result = subprocess.run(
    [sys.executable, "-c", textwrap.dedent(_CRASH), str(root), str(crash)]
    + [str(step)],
    env=checkpoint_support.environment(),
    capture_output=True,
    text=True,
  )
  assert result.returncode in (0, -signal.SIGKILL), result.stderr[-2000:]
  return result.stdout.strip()


def _check_after_crash(root, step: int, context) -> None:
  """One of the two states is there, whole, before and after the clean-up."""
  template = {"w": np.zeros(50)}
  checkpoint.Checkpointer(root).close()  # cleans up
  found = checkpoint.restore(root, template)
  assert not found.skipped, context
  value = found.tree["w"][0]
  assert (found.tree["w"] == value).all(), context
  if step != 1:
    assert (found.step, value) in [(1, 1.0), (step, 2.0)], context
  else:
    assert found.step == 1 and value in (1.0, 2.0), context
  left = {p.name for p in root.iterdir()} - {".lock", "1", str(step)}
  assert not left, (context, left)


@pytest.mark.parametrize("step", [2, 1])
@pytest.mark.parametrize("crash", [4, 30, 45])
def test_crash_between_two_changes_of_the_disk(tmp_path, crash, step):
  # step 2 is a new step, step 1 replaces the only one there is.
  _crash_at(tmp_path, crash, step)
  _check_after_crash(tmp_path, step, crash)


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 1])
def test_crash_before_every_change_of_the_disk(tmp_path, step):
  for crash in range(1, 200):
    root = tmp_path / str(crash)
    survived = _crash_at(root, crash, step)
    _check_after_crash(root, step, crash)
    if survived:
      assert crash > 20
      return
  raise AssertionError("the save never completed")


def test_program_that_ends_without_close_still_saves(tmp_path):
  checkpoint_support.run_script(
    """
    import sys
    import numpy as np
    from prefjax import checkpoint
    checkpointer = checkpoint.Checkpointer(sys.argv[1])
    checkpointer.save(1, {"w": np.zeros((1000, 1000))})
    """,
    tmp_path,
  )
  assert checkpoint.restore(tmp_path, {"w": np.zeros((1000, 1000))}).step == 1
