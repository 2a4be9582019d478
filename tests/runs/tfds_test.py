# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs on prepared data sets: the shipped config, as its docstring says."""

import importlib.abc
import math
import sys

import pytest
import run_support

from prefjax import config as config_lib
from prefjax.cli import data as data_command
from prefjax.core import errors
from prefjax.data import language
from prefjax.runs import data as run_data


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
  """(pairs.jsonl, the folder that `prefjax data build` made of it)."""
  folder = tmp_path_factory.mktemp("tfds")
  path = folder / "pairs.jsonl"
  language.write_jsonl(path, language.pair_records(0, 60))
  status = data_command.main(
    ["build", f"--data={path}", f"--out={folder}", "--eval_fraction=0.2"]
  )
  assert status == 0
  return path, folder / "pairs"


class _Asked(importlib.abc.MetaPathFinder):
  """Finds nothing, and remembers who was looked for."""

  def __init__(self):
    self.names: list[str] = []

  def find_spec(self, name, path=None, target=None):
    self.names.append(name)
    return None


def test_the_shipped_config_trains_without_tensorflow(
  prepared, tmp_path, monkeypatch
):
  asked = _Asked()
  monkeypatch.setattr(sys, "meta_path", [asked, *sys.meta_path])
  c = run_support.config(
    "dpo_tfds",
    data={"train": str(prepared[1])},
    train={"steps": 3},
    checkpoint={"every": 0},
  )
  outcome = run_support.train(c, tmp_path)
  assert outcome.step == 3
  losses = [row["loss"] for row in run_support.updates(tmp_path)]
  assert losses[0] == pytest.approx(math.log(2), abs=1e-6)
  assert len(losses) == 3 and losses[2] != losses[0]
  # Not there, and not even looked for.
  loaded = {name.split(".")[0] for name in (*sys.modules, *asked.names)}
  assert "tensorflow_datasets" in loaded and "tensorflow" not in loaded
  evaluated = [r for r in run_support.rows(tmp_path) if "eval/loss" in r]
  assert [r["step"] for r in evaluated] == [0, 3]


def _records(tmp_path, **settings) -> run_data.Records:
  return run_data.load_records(config_lib.DataConfig(**settings), tmp_path)


def test_a_data_set_gives_the_records_of_its_file(prepared, tmp_path):
  path, folder = map(str, prepared)
  file = _records(tmp_path, train=path, eval_fraction=0.2)
  both = _records(tmp_path, train=folder, split="train", eval_split="test")
  assert (both.train, both.held_out) == (file.train, file.held_out)
  assert len(both.held_out) > 3 and not both.is_language
  # The share to hold out counts only where nothing else is named.
  own = _records(tmp_path, train=folder, split="train", eval_fraction=0.4)
  assert 0 < len(own.held_out) and len(own.train) < len(both.train)
  # The split of a folder of held-out records.
  other = _records(tmp_path, train=path, eval=folder, eval_split="test")
  assert (len(other.train), other.held_out) == (60, both.held_out)


@pytest.mark.parametrize("key", ["split", "eval_split"])
def test_splits_that_are_not_there(prepared, tmp_path, key):
  splits = {"split": "train", "eval_split": "test", key: "tests"}
  with pytest.raises(errors.DataError, match="no split 'tests'.*did you mean"):
    _records(tmp_path, train=str(prepared[1]), **splits)


def test_tiny_needs_no_data_set(tmp_path):
  c = run_support.config("dpo_tfds", data=run_support.HELD_OUT)
  assert run_data.load_records(c.data, tmp_path).is_language
