# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax sweep`: lists, refusals, and a real sweep from config to table."""

import json

import pytest

from prefjax.cli import main

_CONFIG = "--config=configs/dpo.py:tiny"


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch, request):
  monkeypatch.chdir(request.config.rootpath)


def _sweep(capsys, *words):
  status = main.main(["sweep", *words])
  out, err = capsys.readouterr()
  return status, out, err


def _file(folder, body: str) -> str:
  path = folder / "mine.py"
  path.write_text(f"def get_sweep(arg=''):\n  return {body}\n")
  return f"--sweep={path}"


@pytest.mark.parametrize("flag", ["--dry_run", "--dry-run", "--dry-run=true"])
def test_a_dry_run_lists_the_commands(capsys, tmp_path, flag):
  status, out, err = _sweep(
    capsys,
    _CONFIG,
    "--config.train.steps=3",
    "--sweep=configs/sweeps/beta_lr.py:betas=0.1/0.5,rates=1e-3,seeds=2",
    f"--workdir={tmp_path / 'sweep'}",
    flag,
  )
  assert (status, err) == (0, "")
  lines = out.splitlines()
  assert len(lines) == 4
  assert lines[0] == (
    f"prefjax train {_CONFIG} --config.train.steps=3"
    " --config.method.kwargs.beta=0.1 --config.opt.learning_rate=0.001"
    " --config.seed=0"
  )
  assert not (tmp_path / "sweep").exists()


def test_the_smollm2_sweep_is_five_methods_and_a_control(capsys):
  status, out, err = _sweep(
    capsys,
    "--config=configs/dpo.py",
    "--sweep=configs/sweeps/smollm2_five.py:data=somewhere",
    "--dry_run",
  )
  assert (status, err) == (0, "")
  names = [
    word.partition("=")[2]
    for line in out.splitlines()
    for word in line.split()
    if word.startswith("--config.method.name=")
  ]
  assert names == ["dpo", "ipo", "simpo", "ld_dpo", "dpo", "rdpo"]
  flipped = ["train_flipped.jsonl" in line for line in out.splitlines()]
  assert flipped == [False] * 4 + [True] * 2
  assert out.count("compute_dtype=bfloat16") == 6
  assert out.count("train.steps=150") == 6


@pytest.mark.parametrize(
  ("body", "said"),
  [
    ("[{'opt.learning_rat': 0.1}]", "did you mean"),
    ("[{'opt.learning_rate': 'fast'}]", "opt.learning_rate"),
    ("[{'opt.learning_rate': -1.0}]", "outside"),
    ("[{'seed': 1}, {'seed': 1}]", "the same overrides"),
    ("[]", "no run"),
    ("7", "must return a list"),
    ("1 / 0", "mine.py:2: ZeroDivisionError"),
  ],
)
def test_a_slip_is_one_line_before_anything_runs(capsys, tmp_path, body, said):
  workdir = tmp_path / "sweep"
  words = (_CONFIG, _file(tmp_path, body), f"--workdir={workdir}")
  status, out, err = _sweep(capsys, *words)
  assert (status, out) == (2, ""), err
  assert err.startswith("prefjax sweep: ") and err.count("\n") == 1
  assert said in err
  assert not workdir.exists()


def test_no_such_file_and_no_function(capsys, tmp_path):
  status, _, err = _sweep(capsys, _CONFIG, "--sweep=nowhere.py")
  assert status == 2 and "--sweep=nowhere.py: no such file" in err
  path = tmp_path / "empty.py"
  path.write_text("")
  status, _, err = _sweep(capsys, _CONFIG, f"--sweep={path}")
  assert status == 2 and "has no function get_sweep" in err


@pytest.mark.slow
def test_a_real_sweep_ends_in_a_table_and_is_not_run_again(capsys, tmp_path):
  body = "[{'opt.learning_rate': 1e-3, 'seed': s} for s in (0, 1)]"
  words = (
    _CONFIG,
    "--config.train.steps=3",
    "--config.log.export=false",
    _file(tmp_path, body),
    f"--workdir={tmp_path / 'sweep'}",
  )
  status, out, err = _sweep(capsys, *words)
  assert status == 0, out + err
  assert "| `opt.learning_rate` | runs |" in out
  table = json.loads((tmp_path / "sweep" / "table.json").read_text())
  (setting,) = table["settings"]
  assert setting["done"] == 2
  accuracy = setting["metrics"]["reward accuracy"]
  assert accuracy["count"] == 2 and accuracy["low"] <= accuracy["high"]
  assert (tmp_path / "sweep" / "plot.png").is_file()
  status, out, _ = _sweep(capsys, *words)
  assert status == 0 and "2 runs, 2 of them done" in out
  assert "started" not in out
