# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Going on only with one's own checkpoint, and only with a whole one."""

import json
import shutil

import pytest
import run_support

from prefjax import checkpoint
from prefjax.core import errors


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("whole")
  run_support.train(run_support.config(train={"steps": 6}), workdir)
  return workdir


@pytest.fixture(scope="module")
def half(tmp_path_factory):
  """A run that stopped after 4 of 6 updates."""
  workdir = tmp_path_factory.mktemp("half")
  run_support.train(
    run_support.config(train={"steps": 4}, checkpoint={"every": 2, "keep": 3}),
    workdir,
  )
  return workdir


@pytest.fixture
def copy(half, tmp_path):
  return shutil.copytree(half, tmp_path / "run")


def _config(**changes):
  changes = {"train": {"steps": 6}, **changes}
  return run_support.config(**changes)


@pytest.mark.parametrize(
  ("changes", "said"),
  [
    ({"seed": 1}, "seed: 0 -> 1"),
    ({"opt": {"learning_rate": 2e-3}}, "opt.learning_rate: 0.001 -> 0.002"),
    ({"method": {"kwargs": {"beta": 0.2}}}, "method.kwargs.beta: 0.1 -> 0.2"),
    ({"data": {"max_response": 39}}, "data.max_response: 40 -> 39"),
    ({"data": {"language": {"n": 41, "eval_n": 0}}}, "data.language.n"),
    ({"opt": {"name": "sgd"}}, "opt.name: 'adamw' -> 'sgd'"),
  ],
)
def test_another_config_is_refused_with_what_differs(copy, changes, said):
  before = (copy / "config.json").read_bytes()
  rows = (copy / "metrics.jsonl").read_bytes()
  with pytest.raises(errors.CheckpointError) as caught:
    run_support.train(_config(**changes), copy)
  text = str(caught.value)
  assert said in text and "\n" not in text and "step 4" in text
  # Nothing of the run was touched.
  assert (copy / "config.json").read_bytes() == before
  assert (copy / "metrics.jsonl").read_bytes() == rows
  assert checkpoint.steps(copy / "checkpoints") == [2, 4]


def test_changes_that_change_no_number_are_free(copy, whole):
  c = _config(
    data={"prefetch": 4},
    checkpoint={"every": 3, "keep": 5},
    log={"tensorboard": True},
  )
  run_support.train(c, copy)
  assert run_support.digests(copy) == run_support.digests(whole)


def test_a_change_that_is_allowed_by_name_stays_on_record(copy):
  c = _config(
    opt={"learning_rate": 2e-3},
    checkpoint={"allow_changes": ("opt.learning_rate",)},
  )
  run_support.train(c, copy)
  rates = [row["learning_rate"] for row in run_support.updates(copy)]
  assert rates[3] == pytest.approx(1e-3) and rates[4] == pytest.approx(2e-3)
  folder = copy / "checkpoints"
  manifest = checkpoint.describe(folder)[-1].manifest
  assert manifest.metadata["overridden"] == [
    {"key": "opt.learning_rate", "saved": 1e-3, "now": 2e-3}
  ]


def test_other_records_in_the_same_file_are_refused(tmp_path):
  data = tmp_path / "pairs.jsonl"
  rows = [
    {"prompt": f"p{i} ", "chosen": f"good {i}", "rejected": "bad"}
    for i in range(24)
  ]

  def write():
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))

  def config(steps, **more):
    own = {"train": str(data), "language": {}, "eval_fraction": 0.25}
    return _config(data=own, train={"steps": steps}, **more)

  write()
  run_support.train(config(2), tmp_path / "run")
  rows[5]["chosen"] = "another"
  write()
  with pytest.raises(errors.CheckpointError, match="data_fingerprint"):
    run_support.train(config(4), tmp_path / "run")
  allowed = {"allow_changes": ("data_fingerprint",)}
  run_support.train(config(4, checkpoint=allowed), tmp_path / "run")
  assert run_support.steps(tmp_path / "run") == [1, 2, 3, 4]


def test_another_tokenizer_is_refused(copy, monkeypatch):
  from prefjax.data import tokenizers

  monkeypatch.setattr(
    tokenizers.ByteTokenizer, "fingerprint", property(lambda self: "other")
  )
  with pytest.raises(errors.CheckpointError, match="tokenizer_hash"):
    run_support.train(_config(), copy)


def test_other_weights_of_the_reference_are_refused(copy, monkeypatch):
  """The frozen weights are known by their digests."""
  from prefjax.runs import models as run_models

  real = run_models.open_source

  def other(config, seed):
    return real(config, seed + 1)

  monkeypatch.setattr(run_models, "open_source", other)
  with pytest.raises(errors.CheckpointError, match="frozen role 'reference'"):
    run_support.train(_config(), copy)


def _flip(folder, step):
  """Flips one bit in the middle of the largest array file of a step."""
  files = [p for p in (folder / str(step)).rglob("*") if p.is_file()]
  path = max(files, key=lambda p: p.stat().st_size)
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)
  return path


def test_a_flipped_bit_falls_back_loudly(copy, whole, caplog):
  folder = copy / "checkpoints"
  _flip(folder, 4)
  run_support.train(_config(), copy)
  assert "checkpoint step 4 in" in caplog.text
  assert "falling back to the step before it" in caplog.text
  assert run_support.steps(copy) == [1, 2, 3, 4, 5, 6]
  assert run_support.digests(copy) == run_support.digests(whole)
  # The damaged step was written again on the way, or is gone.
  for info in checkpoint.describe(folder, deep=True):
    assert info.status == "ok", info


def test_all_damaged_is_an_error(copy):
  for step in (2, 4):
    _flip(copy / "checkpoints", step)
  with pytest.raises(errors.CheckpointCorruptError, match="no step in"):
    run_support.train(_config(), copy)


def test_a_save_that_was_cut_off(copy, whole):
  newest = copy / "checkpoints" / "4"
  shutil.copytree(newest, copy / "checkpoints" / "5")
  manifest = copy / "checkpoints" / "5" / "manifest.json"
  if manifest.exists():
    manifest.unlink()
  run_support.train(_config(), copy)
  assert run_support.digests(copy) == run_support.digests(whole)


def test_rows_after_the_checkpoint_come_again_once(copy, whole):
  """A kill leaves rows of updates that were not saved, and half a line."""
  path = copy / "metrics.jsonl"
  extra = {"step": 5, "loss": 99.0}
  path.write_text(path.read_text() + json.dumps(extra) + '\n{"step": 6, "lo')
  run_support.train(_config(), copy)
  assert run_support.updates(copy) == run_support.updates(whole)


def test_shorter_than_it_is_already(copy):
  state = run_support.digests(copy)
  outcome = run_support.train(_config(train={"steps": 3}), copy)
  assert outcome.step == 4 and not outcome.interrupted
  assert run_support.digests(copy) == state
