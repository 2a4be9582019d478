# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Every method of the registry trains from a file, dies, and goes on exactly.

The methods are found, not named: a new row is held to this by being there.
"""

import importlib
import json
import math
import pathlib
import random
import signal

import pytest
import reliability_support
import run_support

from prefjax import config as config_lib
from prefjax.data import language
from prefjax.methods import registry
from prefjax.runs import data as run_data

_STEPS = 20


def _names() -> list:
  """All methods; the first of each kind that couples examples is quick.

  Coupled methods go through everything that the others do, and two passes.
  """
  quick, found = set(), []
  for name in registry.names():
    method = registry.get(name)
    first = method.coupled and method.record_kind not in quick
    if first:
      quick.add(method.record_kind)
    found.append(
      pytest.param(name, marks=() if first else pytest.mark.slow, id=name)
    )
  return found


def _config(name: str, folder: pathlib.Path) -> config_lib.Config:
  """configs/NAME.py:tiny on a file of the records that it names."""
  module = importlib.import_module(f"configs.{name}")
  records = module.get_config().data.train.removesuffix(".jsonl")
  path = folder / f"{records}.jsonl"
  rows = run_data.PRODUCERS[records](0, 60, "train", language=language.QUICK)
  language.write_jsonl(path, rows)
  c = module.get_config("tiny")
  assert c.data.train == f"language:{records}"
  whole = config_lib.parse(c)
  stages = [config_lib.stage(whole, s) for s in config_lib.stage_names(whole)]
  assert sum(stage.train.steps for stage in stages) == _STEPS
  data = {
    "train": str(path),
    "eval_fraction": 0.2,
    "buckets": ((c.data.max_prompt, c.data.max_response),),
    "language": {},
  }
  raw = config_lib.plain(c)
  raw["data"].update(data)
  raw["model"]["overrides"] = run_support.SMALL
  raw["eval"]["every"] = 0
  rewards = {"length": 1.0}  # one that a random model gets some of
  raw["rl"].update(samples=2, max_new_tokens=6, rewards=rewards)
  raw["opt"]["schedule"] = "constant"
  raw["log"].update(progress=False, report=False, export=False)
  return config_lib.parse(raw)


def _check(workdir: pathlib.Path) -> None:
  rows = run_support.updates(workdir)
  assert [row["step"] for row in rows] == list(range(1, _STEPS + 1))
  for row in rows:
    assert math.isfinite(row["loss"]) and math.isfinite(row["grad_norm"])
    assert row["train/skipped"] == 0
  assert any(row["grad_norm"] > 0 for row in rows)
  rows = run_support.rows(workdir)
  if any("round" in row for row in rows):  # it learns from its own samples
    held_out = [row for row in rows if "eval/reward" in row]
    assert [row["step"] for row in held_out] == [0, _STEPS]
    return
  held_out = [row for row in rows if "eval/loss" in row]
  # Before and after, and at the borders of stages.
  assert held_out[0]["step"] == 0 and held_out[-1]["step"] == _STEPS
  assert held_out[0]["eval/loss"] != held_out[-1]["eval/loss"]


@pytest.mark.parametrize("name", _names())
def test_trains_dies_and_goes_on(name, tmp_path, monkeypatch):
  c = _config(name, tmp_path)
  run_support.train(c, tmp_path / "whole")
  _check(tmp_path / "whole")
  after = random.Random(name).randrange(1, _STEPS)
  with monkeypatch.context() as patch:
    run_support.kill_after(patch, after)
    with pytest.raises(run_support.Killed):
      run_support.train(c, tmp_path / "killed")
  run_support.train(c, tmp_path / "killed")
  _check(tmp_path / "killed")
  assert run_support.updates(tmp_path / "killed") == run_support.updates(
    tmp_path / "whole"
  )
  assert run_support.digests(tmp_path / "killed") == run_support.digests(
    tmp_path / "whole"
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  "name, more",
  [
    ("kto", ()),
    ("grpo", ("rl.rewards={'length':1.0}",)),
    ("grpo", ("rl.rewards={'length':1.0}", "rl.overlap=true")),
  ],
)
def test_killed_on_the_command_line(name, more, tmp_path):
  """`prefjax train --config=configs/NAME.py:tiny`, a real SIGKILL, again."""
  c = _config(name, tmp_path)
  words = (
    f"data.train={c.data.train}",
    *more,
    "data.language={}",
    "data.eval_fraction=0.2",
    "log.report=true",
  )
  start = reliability_support.start
  config = f"configs/{name}.py:tiny"
  whole, killed = tmp_path / "whole", tmp_path / "killed"
  reliability_support.finish(start(whole, _STEPS, words, config=config))
  process = start(killed, _STEPS, words, config=config)
  trial = reliability_support.interrupt(process, killed, signal.SIGKILL, 5, 0.0)
  assert trial is None or trial.status == -signal.SIGKILL
  reliability_support.finish(start(killed, _STEPS, words, config=config))
  assert reliability_support.updates(killed) == reliability_support.updates(
    whole
  )
  assert reliability_support.digest(killed) == reliability_support.digest(whole)
  assert (killed / "report.html").exists()
  assert json.loads((killed / "config.json").read_text())["method"]["name"] == (
    name
  )
