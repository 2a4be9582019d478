# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Several stages in one run: order, references, borders, going on."""

import math
import shutil

import jax
import numpy as np
import pytest
import run_support

from prefjax import checkpoint
from prefjax.core import errors
from prefjax.train import signals

_STAGES = {
  "1_sft": {
    "method": {"name": "sft", "kwargs": {}},
    "data": {"train": "language:sft"},
    "train": {"steps": 3},
  },
  "2_dpo": {
    "train": {"steps": 5, "reference_from": "previous"},
  },
}


def _config(**changes):
  return run_support.config(
    **{"stages": _STAGES, "checkpoint": {"every": 2, "keep": 20}, **changes}
  )


def _held_out():
  return _config(data=run_support.HELD_OUT)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("stages")
  outcome = run_support.train(_held_out(), workdir)
  assert outcome.step == 8
  return workdir


def _places(workdir, name):
  """(stage, step) of the rows that have a metric."""
  rows = run_support.rows(workdir)
  return [(row["stage"], row["step"]) for row in rows if name in row]


_UPDATES = [("1_sft", n) for n in (1, 2, 3)]
_UPDATES += [("2_dpo", n) for n in (4, 5, 6, 7, 8)]
_HELD_OUT = [("1_sft", 0), ("1_sft", 3), ("2_dpo", 3), ("2_dpo", 8)]


def test_stages_run_in_order_and_count_on(whole):
  assert _places(whole, "loss") == _UPDATES
  assert _places(whole, "eval/loss") == _HELD_OUT


def test_the_second_stage_starts_from_the_first(whole):
  """Its reference is the policy after stage 1, so its first loss is log 2."""
  rows = {row["step"]: row for row in run_support.updates(whole)}
  assert rows[4]["loss"] == pytest.approx(math.log(2), abs=1e-6)
  assert rows[3]["loss"] < rows[1]["loss"]
  folder = whole / "checkpoints"
  manifests = {i.step: i.manifest for i in checkpoint.describe(folder)}
  assert manifests[3].stage == {"index": 0, "name": "1_sft", "start": 0}
  assert manifests[8].stage == {"index": 1, "name": "2_dpo", "start": 3}
  end = checkpoint.restore_untyped(folder, step=3).tree["params"]["policy"]
  reference = manifests[8].frozen["reference"]
  assert reference.stored
  expected = checkpoint.tree_digest(end)
  assert {k: v.sha256 for k, v in reference.leaves.items() if v.sha256} == {
    k: v.sha256 for k, v in expected.items() if v.sha256
  }
  assert set(reference.leaves) == set(expected)


def test_each_stage_warms_up_anew(whole):
  rates = [row["learning_rate"] for row in run_support.updates(whole)]
  assert rates[3] == rates[0] and rates[0] < rates[1]


@pytest.mark.parametrize(
  "after", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 4, 6))]
)
def test_killed_in_any_stage(whole, tmp_path, monkeypatch, after):
  """After 3: the second stage has begun, its first save has not."""
  with monkeypatch.context() as patch:
    run_support.kill_after(patch, after)
    with pytest.raises(run_support.Killed):
      run_support.train(_held_out(), tmp_path)
  run_support.train(_held_out(), tmp_path)
  assert run_support.digests(tmp_path) == run_support.digests(whole)
  assert run_support.updates(tmp_path) == run_support.updates(whole)
  assert _places(tmp_path, "eval/loss") == _HELD_OUT


def test_stopped_before_an_update_of_the_stage(whole, tmp_path, monkeypatch):
  """A signal while the second stage begins: nothing is lost or repeated."""
  real = signals.StopSignal.__enter__
  held = []

  def enter(self):
    held.append(self)
    return real(self)

  from prefjax.runs import evaluation

  before = evaluation.Watcher.before

  def measured(self, state):
    held[-1].received = 15
    before(self, state)

  with monkeypatch.context() as patch:
    patch.setattr(signals.StopSignal, "__enter__", enter)
    patch.setattr(evaluation.Watcher, "before", measured)
    outcome = run_support.train(_config(), tmp_path)
  assert (outcome.step, outcome.exit_status) == (3, 143)
  assert run_support.train(_config(), tmp_path).step == 8
  assert run_support.digests(tmp_path) == run_support.digests(whole)
  assert _places(tmp_path, "loss") == _UPDATES


def test_precomputed_references_of_a_previous_policy(whole, tmp_path):
  c = _config(train={"reference": "precomputed"})
  with pytest.MonkeyPatch.context() as patch:
    run_support.kill_after(patch, 6)
    with pytest.raises(run_support.Killed):
      run_support.train(c, tmp_path)
  run_support.train(c, tmp_path)
  for own, live in zip(
    run_support.updates(tmp_path), run_support.updates(whole), strict=True
  ):
    assert own["loss"] == pytest.approx(live["loss"], abs=1e-6)
  # Their weights are not kept, so the stored log-probs cannot be made again.
  for path in (tmp_path / "references").iterdir():
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
  with pytest.raises(errors.CheckpointError, match="missing or damaged"):
    run_support.train(c, tmp_path)


def test_a_stage_that_is_over_keeps_its_length(whole, tmp_path):
  shutil.copytree(whole, tmp_path / "copy")
  stages = {**_STAGES, "1_sft": {**_STAGES["1_sft"], "train": {"steps": 2}}}
  held_out = {"data": run_support.HELD_OUT}
  with pytest.raises(errors.CheckpointError, match="began after 3 updates"):
    run_support.train(_config(stages=stages, **held_out), tmp_path / "copy")
  swapped = {"1_sft": _STAGES["1_sft"], "3_dpo": _STAGES["2_dpo"]}
  with pytest.raises(errors.CheckpointError, match="saved in stage '2_dpo'"):
    run_support.train(_config(stages=swapped, **held_out), tmp_path / "copy")


def test_an_optimiser_that_goes_on(whole, tmp_path):
  stages = {
    **_STAGES,
    "2_dpo": {"train": {"steps": 5, "reset_optimizer": False}},
  }
  run_support.train(_config(stages=stages), tmp_path)
  count = {
    path: checkpoint.restore_untyped(path / "checkpoints").tree["opt_state"]
    for path in (tmp_path, whole)
  }
  found = {
    path: {int(leaf) for leaf in jax.tree.leaves(tree) if np.ndim(leaf) == 0}
    for path, tree in count.items()
  }
  assert found == {tmp_path: {8}, whole: {5}}
  stages["2_dpo"]["opt"] = {"name": "lion"}
  with pytest.raises(errors.ConfigError, match="reset_optimizer"):
    run_support.train(_config(stages=stages), tmp_path / "other")
  assert not (tmp_path / "other" / "checkpoints").exists()


def test_a_moving_reference_is_part_of_the_state(tmp_path):
  c = run_support.config(
    train={"steps": 4, "reference_mix": 0.5, "reference_every": 2},
    checkpoint={"every": 1, "keep": 9},
  )
  run_support.train(c, tmp_path / "a")
  folder = tmp_path / "a" / "checkpoints"
  trees = [
    checkpoint.restore_untyped(folder, step=n).tree for n in (1, 2, 3, 4)
  ]
  policy = [t["params"]["policy"]["embed"]["tokens"] for t in trees]
  reference = [t["frozen"]["reference"]["embed"]["tokens"] for t in trees]
  assert (reference[0] != policy[0]).any()
  expected = 0.5 * policy[1] + 0.5 * reference[0]
  np.testing.assert_allclose(reference[1], expected, atol=1e-7)
  assert (reference[2] == reference[1]).all()
  with pytest.MonkeyPatch.context() as patch:
    run_support.kill_after(patch, 3)
    with pytest.raises(run_support.Killed):
      run_support.train(c, tmp_path / "b")
  run_support.train(c, tmp_path / "b")
  assert run_support.digests(tmp_path / "b") == run_support.digests(
    tmp_path / "a"
  )


def test_a_curriculum_begins_every_stage_against_the_last(tmp_path):
  """Curry-DPO: at each border margins are 0, so the loss is log 2."""
  c = run_support.config("curry_dpo", checkpoint={"every": 0})
  run_support.train(c, tmp_path)
  rows = run_support.updates(tmp_path)
  first = {}
  for row in rows:
    first.setdefault(row["stage"], row)
  assert list(first) == ["1_wide", "2_middle", "3_narrow"]
  for row in first.values():
    assert row["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert row["rewards/margins"] == pytest.approx(0, abs=1e-6)
  assert any(abs(row["rewards/margins"]) > 1e-3 for row in rows)
