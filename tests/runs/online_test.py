# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs of methods that learn from their own samples: rounds and resume."""

import numpy as np
import pytest
import run_support
from online_support import config, rollouts, round_rows, same_runs

from prefjax.core import errors
from prefjax.runs.online import rounds, stored


@pytest.mark.parametrize(
  "overlap", [pytest.param(False, marks=pytest.mark.slow), True]
)
def test_killed_in_the_middle_of_a_round(overlap, tmp_path, monkeypatch):
  c = config(
    rl={"overlap": overlap}, train={"steps": 10}, checkpoint={"every": 3}
  )
  run_support.train(c, tmp_path / "whole")
  assert run_support.steps(tmp_path / "whole") == list(range(1, 11))
  assert [r["step"] for r in round_rows(tmp_path / "whole")] == [1, 5, 9]
  # Saved at 3, 6 and 9: in the middle of rounds 0, 1 and 2.
  for after in (4, 4):
    with monkeypatch.context() as patch:
      run_support.kill_after(patch, after)
      with pytest.raises(run_support.Killed):
        run_support.train(c, tmp_path / "killed")
  run_support.train(c, tmp_path / "killed")
  same_runs(tmp_path / "killed", tmp_path / "whole")


def test_rollouts_that_were_changed_are_refused(tmp_path, monkeypatch):
  c = config(train={"steps": 8}, checkpoint={"every": 3})
  with monkeypatch.context() as patch:
    run_support.kill_after(patch, 4)
    with pytest.raises(run_support.Killed):
      run_support.train(c, tmp_path / "run")
  path = stored.path_of(tmp_path / "run" / "rollouts" / "stage-0", 0)
  data = bytearray(path.read_bytes())
  data[-200] ^= 1
  path.write_bytes(bytes(data))
  with pytest.raises(errors.CheckpointError, match="rollouts of round 0"):
    run_support.train(c, tmp_path / "run")
  path.unlink()
  with pytest.raises(errors.CheckpointError, match="rollouts of round 0"):
    run_support.train(c, tmp_path / "run")


def test_overlapped_rounds_are_one_round_old(tmp_path):
  """The first two rounds are sampled from the first parameters."""
  kwargs = dict(train={"steps": 8}, opt={"learning_rate": 0.05})
  own = config(rl={"overlap": False}, **kwargs)
  late = config(rl={"overlap": True}, **kwargs)
  run_support.train(own, tmp_path / "own")
  run_support.train(late, tmp_path / "late")
  frozen = config(train={"steps": 8}, opt={"learning_rate": 0.0})
  run_support.train(frozen, tmp_path / "frozen")

  def responses(name, number):
    rows = rollouts(tmp_path / name)
    return [r["response"] for r in rows if r["round"] == number]

  assert responses("late", 0) == responses("own", 0)
  assert responses("late", 1) == responses("frozen", 1)
  assert responses("own", 1) != responses("frozen", 1)


def test_every_row_of_a_round_comes_once_a_pass():
  plan = rounds.Plan(
    start=3,
    rows=4,
    prompts=12,
    epochs=3,
    seed=5,
    kl_coef=0.0,
    overlap=False,
  )
  assert plan.updates == 9
  passes = []
  for epoch in range(3):
    rows = [plan.rows_of(7, 3 * epoch + piece) for piece in range(3)]
    assert sorted(np.concatenate(rows)) == list(range(12))
    passes.append(np.concatenate(rows).tolist())
  assert passes[0] != passes[1] and passes[1] != passes[2]
  assert (
    passes[0]
    != np.concatenate([plan.rows_of(8, piece) for piece in range(3)]).tolist()
  )


def test_draws_are_new_in_every_round_and_ratios_start_at_one(tmp_path):
  c = config(train={"steps": 12}, opt={"learning_rate": 0.01})
  run_support.train(c, tmp_path)
  rows = rollouts(tmp_path)  # of three rounds: some prompts come again
  assert len(rows) == 3 * 16 * 2
  by_prompt: dict[str, set] = {}
  for row in rows:
    by_prompt.setdefault(row["prompt"], set()).add(row["response"])
  assert any(len(texts) > 2 for texts in by_prompt.values())
  updates = run_support.updates(tmp_path)
  # On policy the ratio is 1; later passes of a round leave it.
  assert abs(updates[0]["val/ratio"] - 1) < 1e-5
  assert updates[0]["policy/approxkl_avg"] < 1e-9
  assert updates[3]["policy/approxkl_avg"] > 1e-7
  assert abs(updates[4]["val/ratio"] - 1) < 1e-5
  first = round_rows(tmp_path)[0]
  assert first["sampling/sampling_logp_difference/max"] < 1e-5
  for name in ("reward", "reward_std", "frac_reward_zero_std", "entropy",
               "completions/mean_length", "completions/clipped_ratio",
               "rewards/length/mean", "objective/kl"):  # fmt: skip
    assert name in first


@pytest.mark.parametrize(
  "changes,match",
  [
    ({"rl": {"rewards": {}}}, "rl.rewards: names no reward"),
    ({"rl": {"rewards": {"lenght": 1.0}}}, "did you mean 'length'"),
    ({"rl": {"samples": 1}}, "rl.samples: grpo needs 2"),
    ({"rl": {"prompts": 12}}, "rl.prompts: 12 is not a multiple"),
    ({"rl": {"temperature": 0.0}}, "rl.temperature"),
    ({"method": {"kwargs": {"clip_lo": 0.1}}}, "clip_lo.*did you mean"),
    ({"method": {"kwargs": {"beta": -1.0}}}, "beta: is -1.0, below 0"),
    ({"method": {"kwargs": {"baseline": "mean"}}}, "baseline: is 'mean'"),
  ],
)
def test_mistakes_are_one_line(changes, match, tmp_path):
  with pytest.raises(errors.ConfigError, match=match) as caught:
    run_support.train(config(**changes), tmp_path / "run")
  assert "\n" not in str(caught.value)
  assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_evaluations_do_not_disturb_the_round_that_is_sampled(tmp_path):
  """Both give weights to one engine, and a thread samples the round."""
  kwargs = dict(
    rl={"overlap": True},
    train={"steps": 12},
    opt={"learning_rate": 0.05},
    data=run_support.HELD_OUT,
  )
  never = config(eval={"every": 0}, **kwargs)
  always = config(eval={"every": 1}, **kwargs)
  run_support.train(never, tmp_path / "never")
  run_support.train(always, tmp_path / "always")
  same_runs(tmp_path / "never", tmp_path / "always")
  rows = run_support.rows(tmp_path / "always")
  assert sum("eval/reward" in row for row in rows) >= 12


def test_a_round_has_one_digest_whatever_the_clock_says(tmp_path):
  c = config(train={"steps": 1})
  for name in ("first", "second"):
    run_support.train(c, tmp_path / name)
  first, second = (
    stored.path_of(tmp_path / name / "rollouts" / "stage-0", 0).read_bytes()
    for name in ("first", "second")
  )
  assert first == second
