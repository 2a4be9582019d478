# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""docs/images.md: what it shows is run as it stands there."""

import dataclasses
import functools
import json
import pathlib
import re
import shlex

import jax
import numpy as np
import pytest

from prefjax import checkpoint, runs
from prefjax import config as config_lib
from prefjax.cli import config_flag
from prefjax.cli import main as cli_main
from prefjax.data import media, readers

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "images.md"
# Smaller than :tiny, so that there is less to compile; else as on the page.
SMALLER = (
  "--config.model.overrides.num_layers=1",
  "--config.model.overrides.hidden_size=16",
  "--config.data.buckets=((64, 32),)",
  "--config.train.steps=2",
  "--config.eval.every=0",
  "--config.checkpoint.every=0",
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
  """A folder with the data files of the page, beside the configs."""
  monkeypatch.chdir(tmp_path)
  (tmp_path / "configs").symlink_to(PAGE.parents[1] / "configs")
  exec(compile("".join(blocks("python")), str(PAGE), "exec"), {})
  return tmp_path


@pytest.fixture
def quick_compilation(monkeypatch):
  """Compiling takes longer than two updates of a tiny model."""
  one = functools.partial(runs.train, devices=jax.devices()[:1])
  monkeypatch.setattr(runs, "train", one)
  before = jax.config.read("jax_disable_most_optimizations")
  jax.config.update("jax_disable_most_optimizations", True)
  yield
  jax.config.update("jax_disable_most_optimizations", before)


def test_the_files_hold_what_the_page_says(folder):
  scenes = readers.read(folder / "scenes.jsonl").records
  clips = readers.read(folder / "clips.jsonl").records
  assert len(scenes) == len(clips) == 64
  assert {len(r.images) for r in scenes} == {1}
  assert {len(r.frames) for r in clips} == {8}
  found = media.load(clips[0], media.Options(size=16))
  assert found["frames"].shape == (8, 16, 16, 3)
  assert any("blind" in r.metadata for r in scenes)


def test_the_record_of_the_page_is_read(tmp_path):
  (tmp_path / "shots").mkdir()
  media.save_png(tmp_path / "shots" / "0.png", np.zeros((8, 8, 3), np.uint8))
  (tmp_path / "rows.jsonl").write_text(blocks("json")[0])
  (record,) = readers.read(tmp_path / "rows.jsonl").records
  loaded = media.load(record, media.Options(size=4, channels=1))
  assert loaded["images"].shape == (1, 4, 4, 1)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize("which", [0, 1])
def test_the_commands_train_with_images(folder, which, capsys):
  program, *argv = shlex.split(blocks("sh")[which])
  assert program == "prefjax"
  assert cli_main.main([*argv, *SMALLER]) == 0, capsys.readouterr().err
  (workdir,) = (folder / "runs").iterdir()
  text = (workdir / "metrics.jsonl").read_text()
  rows = [row for row in map(json.loads, text.splitlines()) if "loss" in row]
  assert [row["step"] for row in rows] == [1, 2]
  found = {name for row in rows for name in row}
  assert ("rewards/blind_margins" in found) == (which == 0)
  tree = checkpoint.restore_untyped(workdir / "checkpoints").tree
  leaves = jax.tree_util.tree_flatten_with_path(tree["opt_state"])[0]
  moved = [x for path, x in leaves if "'vision'" in str(path)]
  assert max(np.abs(np.asarray(x)).max() for x in moved) > 0


def test_the_keys_are_those_there_are():
  raw, _ = config_flag.load([f"--config={PAGE.parents[1]}/configs/dpo.py:tiny"])
  config = config_lib.parse(raw)
  vision = {f.name for f in dataclasses.fields(config.model.vision)}
  cells = re.findall(r"^\| (`.*?`) \|", PAGE.read_text(), re.M)
  names = [n for cell in cells for n in re.findall(r"`([\w.]+)`", cell)]
  shown = {n.rsplit(".", 1)[-1] for n in names if not n.startswith("data.")}
  assert shown == vision
  for name in names:
    if name.startswith("data."):
      assert hasattr(config.data, name.removeprefix("data."))


def test_links_lead_somewhere():
  for link in re.findall(r"\]\(([^)#]+)\)", PAGE.read_text()):
    assert (PAGE.parent / link).exists(), link
  for path in re.findall(r"`((?:prefjax|configs)/[\w/.]+)`", PAGE.read_text()):
    assert (PAGE.parents[1] / path).exists(), path
