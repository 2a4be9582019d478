# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Losses give TRL's numbers: recorded ones always, fresh ones with TRL."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts" / "parity"
TINY = ROOT / "tests" / "data" / "tiny-models" / "llama"
# Written by scripts/parity/trl_losses.py; holds the versions it came from.
RECORDED = pathlib.Path(__file__).with_name("trl_losses.json")

sys.path.insert(0, str(SCRIPTS))
import compare_losses  # noqa: E402
import loss_cases  # noqa: E402


def _rows(recorded, ours):
  return [
    compare_losses.Row(
      case,
      recorded["cases"][case.name][: len(ours[case.name])],
      ours[case.name],
    )
    for case in loss_cases.CASES
  ]


def test_recorded_losses_and_gradient_norms(tmp_path):
  recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
  assert set(recorded["cases"]) == {case.name for case in loss_cases.CASES}
  loss_cases.make_models(TINY, tmp_path)
  ours = compare_losses.measure(tmp_path, steps=1)
  gaps = {
    row.case.name: (row.gap("loss"), row.gap("grad_norm"))
    for row in _rows(recorded, ours)
    if not row.agrees
  }
  assert not gaps


def test_a_wrong_loss_would_be_noticed():
  recorded = json.loads(RECORDED.read_text(encoding="utf-8"))["cases"]
  case = next(c for c in loss_cases.CASES if c.name == "aot")
  # Sorting each half is TRL's number for micro-batches, not for the batch.
  halves = recorded["aot_unpaired, two micro-batches"]
  assert compare_losses.Row(case, recorded["aot"], recorded["aot"]).agrees
  assert not compare_losses.Row(case, recorded["aot"], halves).agrees


@pytest.mark.slow
@pytest.mark.skipif(
  importlib.util.find_spec("trl") is None, reason="needs the extra parity"
)
def test_the_installed_trl_gives_the_same(tmp_path):
  outputs = []
  for script in ("trl_losses.py", "compare_losses.py"):
    result = subprocess.run(
      [sys.executable, SCRIPTS / script, f"--work={tmp_path}"],
      cwd=ROOT,
      capture_output=True,
      text=True,
      timeout=900,
      check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    outputs.append(result.stdout)
  assert "left out: none" in outputs[0]
