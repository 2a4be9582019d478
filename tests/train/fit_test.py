# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Training anything from one call, and going on where it was killed."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from objectives import recommender

from prefjax import checkpoint, methods
from prefjax.core import errors
from prefjax.train import fit, optim
from prefjax.train import mesh as mesh_lib

_HERE = pathlib.Path(__file__).parent
ONE = mesh_lib.make_mesh(data=1, devices=jax.devices()[:1])


class _Source:
  fingerprint = "rows-1"

  def __init__(self, poison=()):
    self.poison = poison

  def batch(self, step):
    batch = recommender.batch(step)
    if step in self.poison:
      batch["example_weight"][:] = np.inf
    return batch


def _fit(workdir=None, steps=6, source=None, **options):
  objective = options.pop("objective", None) or recommender.objective()
  return fit.fit(
    objective,
    source or _Source(),
    optim.make_optimizer("adamw"),
    0.01,
    steps,
    workdir=workdir,
    mesh=options.pop("mesh", ONE),
    **options,
  )


def _sha(state):
  return checkpoint.state_sha256(state)


def test_a_longer_run_goes_on(tmp_path):
  whole = _fit()
  part = _fit(tmp_path, steps=4)
  assert int(part.step) == 4
  assert _sha(_fit(tmp_path)) == _sha(whole)
  # Once it is done, nothing moves.
  assert _sha(_fit(tmp_path, steps=2)) == _sha(whole)


def test_evaluation_writer_and_progress(tmp_path):
  rows, seen = [], []

  class Writer:
    def write(self, row):
      rows.append(row)

    def flush(self):
      pass

    def close(self):
      raise AssertionError("the writer belongs to the caller")

  def evaluate(state):
    seen.append(int(state.step))
    return {"eval/size": float(jnp.sum(state.params["users"]["table"] ** 2))}

  _fit(tmp_path, eval_every=4, evaluate=evaluate, writer=Writer())
  assert seen == [4, 6]
  assert [row["step"] for row in rows] == [1, 2, 3, 4, 4, 5, 6, 6]
  assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 8


class _Moving(recommender.Recommender):
  """With a frozen role that never changes, and one that follows."""

  moving = ("average",)

  def __init__(self, still=1.0):
    self._still = still

  def init(self, key):
    start = super().init(key)
    frozen = {"average": start.params, "still": jnp.float32(self._still)}
    return methods.Init(start.params, frozen, {})

  def update_frozen(self, params, frozen, step):
    average = jax.tree.map(
      lambda a, p: 0.9 * a + 0.1 * p, frozen["average"], params
    )
    return {**frozen, "average": average}


def test_frozen_roles_move_and_resume(tmp_path):
  whole = _fit(objective=_Moving())
  _fit(tmp_path, steps=3, objective=_Moving())
  resumed = _fit(tmp_path, objective=_Moving())
  assert _sha(resumed) == _sha(whole)
  gap = jax.tree.map(
    lambda a, b: float(jnp.max(jnp.abs(a - b))),
    whole.frozen["average"],
    whole.params,
  )
  assert min(jax.tree.leaves(gap)) > 0
  assert float(whole.frozen["still"]) == 1
  with pytest.raises(errors.CheckpointError, match="frozen role 'still'"):
    _fit(tmp_path, steps=9, objective=_Moving(2.0))


@pytest.mark.parametrize(
  "options, message",
  [
    (dict(seed=1), "config.seed|seed: 0 -> 1"),
    (dict(config={"rate": 0.2}), "rate: 0.1 -> 0.2"),
    (dict(config={}), "rate"),
  ],
)
def test_another_run_is_refused(tmp_path, options, message):
  _fit(tmp_path, steps=1, config={"rate": 0.1})
  with pytest.raises(errors.CheckpointError, match=message):
    _fit(tmp_path, **{"config": {"rate": 0.1}, **options})


def test_other_data_are_refused(tmp_path):
  _fit(tmp_path, steps=1)
  other = _Source()
  other.fingerprint = "rows-2"
  with pytest.raises(errors.CheckpointError, match="data_fingerprint"):
    _fit(tmp_path, source=other)


def test_rows_must_divide():
  with pytest.raises(errors.ConfigError, match="batch_size: 8 rows"):
    _fit(micro_batches=3)
  with pytest.raises(errors.ConfigError, match="pmap is data parallel only"):
    _fit(mesh=mesh_lib.make_mesh(data=4, tensor=2), parallel="pmap")


def test_bad_batches_are_left_out_and_then_end_the_run(tmp_path):
  good = _fit(tmp_path, steps=6, source=_Source(poison=(3,)))
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(good.params))
  with pytest.raises(errors.TrainingError, match="updates 2 to 4 .*examples"):
    _fit(source=_Source(poison=(1, 2, 3)), max_bad_steps=3)


def test_the_caller_keeps_its_arrays():
  class Kept(recommender.Recommender):
    start = recommender.objective().init(jax.random.key(0))

    def init(self, key):
      return self.start

  _fit(objective=Kept(), steps=2)
  assert np.isfinite(Kept.start.params["users"]["table"]).all()


_CHILD = """
  import sys
  import jax
  sys.path[:0] = [sys.argv[1], sys.argv[2]]
  from objectives import recommender
  from prefjax.train import fit, optim, mesh
  def batch(step):
    print(step, flush=True)
    return recommender.batch(step)
  fit.fit(recommender.objective(), batch, optim.make_optimizer("adamw"), 0.01,
          150, workdir=sys.argv[3], save_every=1,
          mesh=mesh.make_mesh(data=1, devices=jax.devices()[:1]))
"""


def _child(workdir):
  methods_folder = str(_HERE.parent / "methods")
  return subprocess.Popen(
    [sys.executable, "-c", textwrap.dedent(_CHILD)]
    + [str(_HERE), methods_folder, str(workdir)],
    env={**os.environ},
    stdout=subprocess.PIPE,
    text=True,
  )


def _kill(process, after, number):
  """Sends a signal a little after a batch was asked for."""
  for line in process.stdout:
    if int(line) >= after:
      break
  process.send_signal(number)
  process.stdout.read()
  process.wait()


def test_killed_runs_end_like_one_that_was_not(tmp_path):
  whole = _fit(steps=150)
  for after, number in ((20, signal.SIGKILL), (45, signal.SIGTERM)):
    _kill(_child(tmp_path), after, number)
    last = checkpoint.latest_step(tmp_path / "checkpoints")
    assert after - 3 <= last < 150
  resumed = _fit(tmp_path, steps=150, source=recommender.batch)
  assert int(resumed.step) == 150
  assert _sha(resumed) == _sha(whole)
  rows = (tmp_path / "metrics.jsonl").read_text().splitlines()
  assert len(rows) == 150
