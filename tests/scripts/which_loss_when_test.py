# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""docs/which-loss-when.md is made from the results of the comparison."""

import importlib.util
import pathlib

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script():
  path = _ROOT / "scripts" / "which_loss_when.py"
  spec = importlib.util.spec_from_file_location("which_loss_when", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def _results(gaps):
  """Two losses, three seeds; `other` is below `dpo` by these gaps."""

  def numbers(gap):
    return {
      f"{metric}_{condition}": 1.0 - gap
      for metric in ("gain", "length", "kl", "chosen_drift")
      for condition in ("clean", "noise_20", "noise_40", "length")
    }

  return {
    "settings": {"steps": 3, "pairs": 8},
    "seeds": [
      {"arms": {"other": numbers(gap), "dpo": numbers(0.0)}} for gap in gaps
    ],
  }


def test_the_page_is_up_to_date(script):
  path = _ROOT / "docs" / "which-loss-when.md"
  text = path.read_text(encoding="utf-8")
  assert text == script.updated(text), "run scripts/which_loss_when.py"
  assert "| `dpo` |" in text and "37 losses" in text
  made = text.partition("<!-- end of measured -->")[0]
  rows = [line for line in made.splitlines() if line.startswith("| `")]
  assert len(rows) == 37


def test_a_clear_difference_is_shown_and_the_best_comes_first(script):
  text = script.table(_results([0.5, 0.4, 0.6]))
  first, second = text.splitlines()[2:]
  assert first.startswith("| `dpo` | 1.00 |")
  assert second.startswith("| `other` | 0.50 (-0.50) |")


def test_one_that_may_be_chance_is_not(script):
  text = script.table(_results([0.5, -0.4, 0.2]))
  assert "| `other` | 0.90 |" in text
