# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""docs/adding-a-method.md: what it shows is run as it stands there."""

import functools
import json
import pathlib
import re
import shlex
import sys

import jax
import pytest

from prefjax import config as config_lib
from prefjax import methods, runs
from prefjax.cli import config_flag
from prefjax.cli import main as cli_main
from prefjax.methods import registry
from prefjax.runs import stages

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "adding-a-method.md"
# Smaller than :tiny, so that there is less to compile; else as on the page.
SMALLER = (
  "--config.model.overrides.num_layers=1",
  "--config.model.overrides.hidden_size=16",
  "--config.data.buckets=((48, 40),)",
  "--config.data.language.n=32",
  "--config.train.steps=3",
  "--config.eval.every=0",
  "--config.log.report=false",
  "--config.log.export=false",
  "--config.log.progress=false",
)


def blocks(language: str) -> list[str]:
  """The fenced blocks of a language, in order."""
  return re.findall(
    rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.S | re.M
  )


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """A folder with savage.py in it; the table is as before afterwards."""
  monkeypatch.setattr(registry, "_ROWS", dict(registry._ROWS))
  monkeypatch.chdir(tmp_path)
  monkeypatch.syspath_prepend(str(tmp_path))
  (tmp_path / "savage.py").write_text(blocks("python")[0])
  yield tmp_path
  sys.modules.pop("savage", None)


@pytest.fixture
def quick_compilation():
  """Compiling takes longer than three updates of a tiny model."""
  before = jax.config.read("jax_disable_most_optimizations")
  jax.config.update("jax_disable_most_optimizations", True)
  yield
  jax.config.update("jax_disable_most_optimizations", before)


def test_it_is_20_lines():
  lines = [line for line in blocks("python")[0].splitlines() if line.strip()]
  assert len(lines) <= 20


@pytest.mark.usefixtures("quick_compilation")
def test_the_command_trains_the_method(folder, capsys, monkeypatch):
  # One device compiles faster than eight.
  one = functools.partial(runs.train, devices=jax.devices()[:1])
  monkeypatch.setattr(runs, "train", one)
  (command,) = blocks("sh")
  program, *argv = shlex.split(command)
  assert program == "prefjax"
  assert cli_main.main([*argv, *SMALLER]) == 0, capsys.readouterr().err
  text = (folder / "runs" / "savage" / "metrics.jsonl").read_text()
  rows = [json.loads(line) for line in text.splitlines()]
  updates = [row for row in rows if "loss" in row]
  assert [row["step"] for row in updates] == [1, 2, 3]
  assert updates[0]["loss"] == updates[0]["loss/savage"]
  assert updates[0]["loss"] == pytest.approx(0.25, abs=1e-6)
  assert updates[2]["loss"] != updates[0]["loss"]
  assert (
    "rewards/accuracies" in updates[0] and "drift/chosen_logps" in updates[0]
  )
  assert any("eval/loss/savage" in row for row in rows)


def test_its_test_holds(folder):
  exec(compile(blocks("python")[1], str(PAGE), "exec"), {})
  assert "savage" in methods.names()


def test_flags_reach_it(folder):
  raw, _ = config_flag.load(
    ["--config=savage.py", "--config.method.kwargs.beta=0.5",
     "--config.method.mixture.sft=0.1"]
  )  # fmt: skip
  config = config_lib.parse(raw)
  assert config.data.train == "pairs.jsonl"
  assert config.method.kwargs == {"beta": 0.5}
  assert stages.make_method(config.method).roles() == ("policy", "reference")


def test_the_arguments_are_those_there_are():
  named = re.findall(r"^\| (`.*?`) \|", PAGE.read_text(), re.M)
  found = {name for cell in named for name in re.findall(r"`(\w+)`", cell)}
  assert found == set(registry.PAIR_ARRAYS)


def test_links_lead_somewhere():
  for link in re.findall(r"\]\(([^)#]+)\)", PAGE.read_text()):
    assert (PAGE.parent / link).exists(), link
  for path in re.findall(r"`((?:prefjax|tests)/[\w/.]+)`", PAGE.read_text()):
    assert (PAGE.parents[1] / path).exists(), path
