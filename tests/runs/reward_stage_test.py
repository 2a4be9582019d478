# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Whole runs of reward models: what is trained, written and read again."""

import json

import jax
import numpy as np
import pytest
import run_support

from prefjax import checkpoint
from prefjax.core import errors
from prefjax.data import language, readers
from prefjax.runs import loading, reward_files
from prefjax.runs.scorers import trained


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  """A reward model after 30 updates on easy pairs."""
  workdir = tmp_path_factory.mktemp("reward")
  c = run_support.config(
    "reward_bt",
    data={
      "language": {
        "n": 120,
        "eval_n": 24,
        "flip_rate": 0.0,
        "mixture": {"exact": 0.5, "garbage": 0.5},
      }
    },
    train={"steps": 30},
    opt={"learning_rate": 1e-2},
    eval={"every": 30},
    log={"report": True, "export": True},
    checkpoint={"every": 30},
  )
  run_support.train(c, workdir)
  return workdir


def test_it_learns_to_rank(finished):
  rows = run_support.updates(finished)
  assert rows[0]["loss"] > 0.5 and len(rows) == 30
  for name in ("rewards/margins", "rewards/accuracies", "length/chosen"):
    assert name in rows[0]
  assert "logps/chosen" not in rows[0]
  found = json.loads((finished / "eval.json").read_text())
  after, before = found["after"], found["before"]
  assert after["ranking_accuracy"] > max(0.8, before["ranking_accuracy"])
  assert len(found["pairs"]["margin_after"]) == 24
  assert (finished / "report.html").stat().st_size > 10_000
  # The held-out metrics of the last update say the same.
  last = [r for r in run_support.rows(finished) if "eval/loss" in r][-1]
  assert last["eval/rewards/accuracies"] == pytest.approx(
    after["ranking_accuracy"], abs=1e-6
  )


def test_head_and_decoder_are_in_the_checkpoint(finished):
  leaves = run_support.digests(finished)
  heads = [name for name in leaves if name.startswith("params/reward/")]
  assert len(heads) == 2
  assert any(name.startswith("params/policy/") for name in leaves)


def test_the_exported_model_is_the_one_of_the_run(finished):
  run = reward_files.open_reward(finished)
  exported = reward_files.open_reward(finished / "policy")
  assert run.method == exported.method == "reward_bt"
  jax.tree.map(np.testing.assert_array_equal, run.params, exported.params)
  path = finished / "pairs.jsonl"
  rows = language.pair_records(
    3, 12, "heldout", flip_rate=0.0, mixture={"exact": 0.5, "garbage": 0.5}
  )
  language.write_jsonl(path, rows)
  records = readers.read(path).records
  scores = [
    [row["scores"] for row in trained.ModelScorer(model).score(records)]
    for model in (run, exported)
  ]
  np.testing.assert_allclose(*scores, atol=1e-5)
  right = [chosen > rejected for chosen, rejected in scores[0]]
  assert np.mean(right) > 0.7


def test_an_adapter_and_a_head(tmp_path):
  c = run_support.config(
    "reward_bt",
    model={
      "lora": {
        "rank": 2, "alpha": 4.0, "dropout": 0.0, "targets": "attention/.*",
        "rank_stabilised": False,
      }
    },
    train={"steps": 3},
    checkpoint={"every": 3},
    log={"export": True},
  )  # fmt: skip
  run_support.train(c, tmp_path / "run")
  leaves = checkpoint.verify(tmp_path / "run" / "checkpoints", 3).leaves
  names = [n for n in leaves if n.startswith("params/policy")]
  assert names and all(n.rpartition("/")[2] in ("a", "b") for n in names)
  run = reward_files.open_reward(tmp_path / "run")
  exported = reward_files.open_reward(tmp_path / "run" / "policy")
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
    run.policy.weights,
    exported.policy.weights,
  )


def test_a_head_after_a_stage_of_demonstrations(tmp_path):
  c = run_support.config(
    "reward_bt",
    stages={
      "1_sft": {
        "method": {"name": "sft", "kwargs": {}},
        "train": {"steps": 2},
      },
      "2_reward": {"train": {"steps": 2}},
    },
    checkpoint={"every": 2},
  )
  run_support.train(c, tmp_path / "run")
  found = reward_files.open_reward(tmp_path / "run")
  assert found.method == "reward_bt"
  policy = loading.open_policy(tmp_path / "run")
  jax.tree.map(
    np.testing.assert_array_equal, policy.weights, found.policy.weights
  )


def test_a_mixture_with_a_policy_loss(tmp_path):
  c = run_support.config(
    "reward_bt",
    method={"mixture": {"dpo": 0.1}},
    train={"steps": 2, "reference": "live"},
  )
  run_support.train(c, tmp_path / "run")
  row = run_support.updates(tmp_path / "run")[0]
  assert {"loss/reward_bt", "loss/dpo"} <= set(row)


def test_a_run_without_a_head_is_no_reward_model(tmp_path):
  c = run_support.config("dpo", train={"steps": 1}, checkpoint={"every": 1})
  run_support.train(c, tmp_path / "run")
  with pytest.raises(errors.ConfigError, match="dpo trains no reward model"):
    reward_files.open_reward(tmp_path / "run")
