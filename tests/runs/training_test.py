# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Whole runs: what is written, what it says, and going on."""

import json
import math

import jax
import numpy as np
import pytest
import run_support

from prefjax import checkpoint, models, runs
from prefjax.core import errors
from prefjax.data import tokenizers

# As TRL names them.
TRL_NAMES = (
  "rewards/chosen",
  "rewards/rejected",
  "rewards/accuracies",
  "rewards/margins",
  "logps/chosen",
  "logps/rejected",
)
OWN_NAMES = ("loss", "grad_norm", "learning_rate", "train/skipped", "tokens")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  """A run of 8 updates with everything on."""
  workdir = tmp_path_factory.mktemp("run") / "made" / "here"
  c = run_support.config(
    data=run_support.HELD_OUT,
    eval={"every": 4, "samples": 3, "max_new_tokens": 4},
    log={"report": True, "export": True, "tensorboard": True},
    checkpoint={"keep": 2},
  )
  outcome = run_support.train(c, workdir)
  assert (outcome.step, outcome.interrupted, outcome.exit_status) == (
    8,
    False,
    0,
  )
  return c, workdir, outcome


def test_every_update_is_a_row(finished):
  _, workdir, _ = finished
  assert run_support.steps(workdir) == list(range(1, 9))
  for row in run_support.updates(workdir):
    for name in (*TRL_NAMES, *OWN_NAMES):
      assert math.isfinite(row[name]), name
    assert row["rewards/margins"] == pytest.approx(
      row["rewards/chosen"] - row["rewards/rejected"], abs=1e-6
    )
    assert row["train/skipped"] == 0 and row["batch/effective"] == 8


def test_training_begins_at_log_2_and_moves(finished):
  _, workdir, _ = finished
  losses = [row["loss"] for row in run_support.updates(workdir)]
  assert losses[0] == pytest.approx(math.log(2), abs=1e-6)
  assert losses[-1] < losses[0] - 1e-4


def test_held_out_numbers_before_between_and_after(finished):
  _, workdir, _ = finished
  found = {
    row["step"]: row for row in run_support.rows(workdir) if "eval/loss" in row
  }
  assert list(found) == [0, 4, 8]
  assert found[0]["eval/loss"] == pytest.approx(math.log(2), abs=1e-6)
  for name in TRL_NAMES:
    assert f"eval/{name}" in found[8]
  # The share of time spent on updates is known at the end.
  last = run_support.rows(workdir)[-1]
  assert 0 < last["goodput/step_share"] <= 1


def test_eval_json_and_samples(finished):
  _, workdir, _ = finished
  result = json.loads((workdir / "eval.json").read_text())
  assert result["beta"] == 0.1
  n = 12
  for name in ("margin_before", "margin_after", "length_difference"):
    assert len(result["pairs"][name]) == n
  # The same pairs as in the held-out metrics of step 8.
  after = np.asarray(result["pairs"]["margin_after"])
  before = np.asarray(result["pairs"]["margin_before"])
  row = [r for r in run_support.rows(workdir) if "eval/loss" in r][-1]
  assert 0.1 * (after - before).mean() == pytest.approx(
    row["eval/rewards/margins"], abs=1e-5
  )
  assert ((after > before).mean()) == pytest.approx(
    row["eval/rewards/accuracies"]
  )
  assert result["after"]["logps/chosen"] == pytest.approx(
    row["eval/logps/chosen"], rel=1e-5
  )
  samples = [
    json.loads(line)
    for line in (workdir / "samples.jsonl").read_text().splitlines()
  ]
  assert len(samples) == 3 and len(result["gold"]["after"]) == 3
  for sample in samples:
    assert sample["prompt"] and isinstance(sample["after"], str)
    assert 0 <= sample["gold_after"] <= 1


def test_report_and_config(finished):
  c, workdir, outcome = finished
  page = outcome.report.read_text()
  assert page.count("<img") >= 4 and "ranking accuracy" in page.lower()
  assert (workdir / "figures" / "margins.png").stat().st_size > 1000
  assert runs.read_config(workdir) == c
  assert any((workdir / "tensorboard").iterdir())
  assert (workdir.stat().st_mode & 0o777) == 0o700


def test_exported_policy_is_the_newest_checkpoint(finished):
  _, workdir, _ = finished
  _, weights, tokenizer = runs.load_policy(workdir)
  _, exported = models.from_pretrained(workdir / "policy")
  assert checkpoint.state_sha256(weights) == checkpoint.state_sha256(exported)
  own = tokenizers.load(workdir / "policy")
  assert own.fingerprint == tokenizer.fingerprint
  old, older, _ = runs.load_policy(workdir, step=4)
  assert checkpoint.state_sha256(older) != checkpoint.state_sha256(weights)
  with pytest.raises(errors.CheckpointError, match="has no step 5"):
    runs.load_policy(workdir, step=5)


def test_a_finished_run_stays_as_it_is(finished):
  c, workdir, _ = finished
  before = (workdir / "metrics.jsonl").read_bytes()
  state = run_support.digests(workdir)
  measured = json.loads((workdir / "eval.json").read_text())
  outcome = run_support.train(c, workdir)
  assert outcome.step == 8 and not outcome.interrupted
  assert (workdir / "metrics.jsonl").read_bytes() == before
  assert run_support.digests(workdir) == state
  assert json.loads((workdir / "eval.json").read_text()) == measured


@pytest.mark.parametrize("after", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_a_killed_run_ends_like_one_that_was_not(
  finished, tmp_path, monkeypatch, after
):
  _, whole, _ = finished
  c = run_support.config(data=run_support.HELD_OUT, eval={"every": 4})
  with monkeypatch.context() as patch:
    run_support.kill_after(patch, after)
    with pytest.raises(run_support.Killed):
      run_support.train(c, tmp_path)
  run_support.train(c, tmp_path)
  assert run_support.digests(tmp_path) == run_support.digests(whole)
  assert run_support.updates(tmp_path) == run_support.updates(whole)
  measured = json.loads((tmp_path / "eval.json").read_text())
  expected = json.loads((whole / "eval.json").read_text())
  assert measured["pairs"] == expected["pairs"]


def test_more_updates_go_on_from_the_end(finished, tmp_path):
  short = run_support.config(train={"steps": 3})
  run_support.train(short, tmp_path)
  run_support.train(run_support.config(), tmp_path)
  _, whole, _ = finished
  assert run_support.steps(tmp_path) == list(range(1, 9))
  assert run_support.digests(tmp_path) == run_support.digests(whole)


def test_best_steps_are_kept(tmp_path):
  c = run_support.config(
    data=run_support.HELD_OUT,
    train={"steps": 6},
    eval={"every": 1},
    checkpoint={
      "every": 1,
      "keep": 1,
      "keep_best": 2,
      "best_metric": "eval/loss",
      "best_mode": "min",
    },
  )
  run_support.train(c, tmp_path)
  measured = {
    row["step"]: row["eval/loss"]
    for row in run_support.rows(tmp_path)
    if "eval/loss" in row and row["step"]
  }
  best = sorted(measured, key=measured.get)[:2]
  folder = tmp_path / "checkpoints"
  assert set(checkpoint.steps(folder)) == {6, *best}
  assert checkpoint.best_step(folder, "eval/loss", mode="min") == best[0]


def test_updates_that_are_not_finite_change_nothing(tmp_path):
  c = run_support.config(
    opt={"learning_rate": 1e30, "clip_norm": 0.0, "warmup_steps": 0},
    train={"max_bad_steps": 3},
    checkpoint={"every": 1, "keep": 10},
  )
  with pytest.raises(errors.TrainingError, match="updates . to . were not"):
    run_support.train(c, tmp_path)
  rows = run_support.updates(tmp_path)
  skipped = [row["step"] for row in rows if row["train/skipped"]]
  assert len(skipped) == 3
  folder = tmp_path / "checkpoints"
  states = [
    checkpoint.restore_untyped(folder, step=step).tree["params"]
    for step in checkpoint.steps(folder)
  ]
  for leaf in jax.tree.leaves(states):
    assert np.isfinite(leaf).all()
  # What was kept after the first bad update is what was there before it.
  assert (
    run_support.digests(tmp_path, skipped[0])["params/policy/embed/tokens"]
    == run_support.digests(tmp_path, skipped[0] - 1)[
      "params/policy/embed/tokens"
    ]
  )


def test_the_held_out_loss_of_a_mixture(tmp_path):
  c = run_support.config(
    data=run_support.HELD_OUT,
    method={"mixture": {"sft": 0.2}},
    train={"steps": 2},
  )
  run_support.train(c, tmp_path)
  rows = run_support.rows(tmp_path)
  for row in rows:
    for prefix in ("", "eval/"):
      if f"{prefix}loss" in row:
        expected = row[f"{prefix}loss/dpo"] + 0.2 * row[f"{prefix}loss/sft"]
        assert row[f"{prefix}loss"] == pytest.approx(expected, rel=1e-6)
  assert [row["step"] for row in rows if "eval/loss" in row] == [0, 2]
