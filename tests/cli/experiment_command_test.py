# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax experiment`: run, list, table, and what they refuse."""

import json

import pytest

from prefjax.cli import main

_TOY = """
PAPER = "Toy"
CLAIM = "mine is better"
ARM, BASELINE, METRIC = "mine", "theirs", "gold"
HIGHER_IS_BETTER = True
EXPECTED = "gold higher"
SETTINGS = {"quick": {"gain": 1.0}, "full": {"gain": 2.0}}
SEEDS = 3


def measure(seed, settings):
  return {
    "mine": {"gold": seed + settings["gain"]},
    "theirs": {"gold": seed + 0.0},
  }


def accept(seeds):
  return {"higher": all(a["mine"]["gold"] > a["theirs"]["gold"] for a in seeds)}
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  for slug in ("toy_one", "toy_two"):
    folder = tmp_path / "experiments" / slug
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "experiment.py").write_text(_TOY)
  return tmp_path / "experiments"


def _run(capsys, *words):
  status = main.main(["experiment", *words])
  out, err = capsys.readouterr()
  return status, out, err


def test_run_writes_results_and_the_page(capsys, root):
  status, out, err = _run(capsys, "run", "toy-one", "--seeds=4")
  assert status == 0, err
  assert "toy_one: shown: gold +2.00 [+2.00, +2.00]" in out
  assert "  yes higher" in out
  found = json.loads((root / "toy_one" / "results.json").read_text())
  assert [row["seed"] for row in found["seeds"]] == [1000, 1001, 1002, 1003]
  assert "[toy_one](toy_one/experiment.py)" in (root / "README.md").read_text()


def test_quick_results_are_kept_apart(capsys, root):
  status, _, err = _run(capsys, "run", "toy-one", "--quick", "--seed_start=5")
  assert status == 0, err
  assert not (root / "toy_one" / "results.json").exists()
  assert not (root / "README.md").exists()
  path = root.parent / "runs" / "experiments-quick" / "toy_one" / "results.json"
  found = json.loads(path.read_text())
  assert found["scale"] == "quick"
  assert [row["seed"] for row in found["seeds"]] == [5, 6]


def test_all_of_them_and_another_folder(capsys, root):
  out_folder = root.parent / "elsewhere"
  status, _, err = _run(capsys, "run", "--all", f"--out={out_folder}")
  assert status == 0, err
  assert sorted(p.parent.name for p in out_folder.glob("*/results.json")) == [
    "toy_one",
    "toy_two",
  ]
  assert not (root / "README.md").exists()


def test_all_goes_on_with_what_is_unfinished(capsys, root):
  _run(capsys, "run", "toy-one")
  status, out, _ = _run(capsys, "run", "--all")
  assert status == 0
  assert "toy_one: 3 of 3 seeds are done" in out
  assert "toy_one: seed" not in out and "toy_two: seed 1002" in out


def test_list_and_table(capsys, root):
  _run(capsys, "run", "toy-two")
  status, out, _ = _run(capsys, "list")
  assert status == 0
  one, two = out.splitlines()
  assert one.split() == ["toy_one", "not", "run", "yet"]
  assert "shown" in two and "+2.00" in two
  (root / "README.md").unlink()
  status, out, _ = _run(capsys, "table")
  assert status == 0 and (root / "README.md").is_file()


@pytest.mark.parametrize(
  ("words", "said"),
  [
    ((), "say which: run, list or table"),
    (("run",), "name experiments, or give --all"),
    (("run", "toy-one", "--all"), "name experiments, or give --all"),
    (("run", "toy-on"), "did you mean 'toy_one'"),
    (("run", "../x"), "a name is made of"),
    (("run", "toy-one", "--seeds=0"), "--seeds=0"),
    (("list", "--root=nowhere"), "no such folder"),
  ],
)
def test_what_it_refuses(capsys, root, words, said):
  status, out, err = _run(capsys, *words)
  assert (status, out) == (2, ""), err
  assert said in err and err.count("\n") == 1


def test_a_mistake_in_a_module_names_its_line(capsys, root):
  (root / "toy_one" / "experiment.py").write_text("PAPER = 1 / 0\n")
  status, _, err = _run(capsys, "run", "toy-one")
  assert status == 2 and "experiment.py:1: ZeroDivisionError" in err
