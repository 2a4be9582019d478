# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""README's table of methods is what the registry says."""

import importlib.util
import pathlib

from prefjax.methods import rows

_ROOT = pathlib.Path(__file__).resolve().parents[2]


def _script():
  spec = importlib.util.spec_from_file_location(
    "methods_table", _ROOT / "scripts" / "methods_table.py"
  )
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def test_the_table_is_up_to_date():
  text = (_ROOT / "README.md").read_text(encoding="utf-8")
  assert _script().updated(text) == text, "run python scripts/methods_table.py"


def test_every_method_has_a_row_and_a_config():
  table = _script().table()
  for name in rows.BUILT_IN:
    assert f"[`{name}`](configs/{name}.py)" in table
    assert (_ROOT / "configs" / f"{name}.py").is_file(), name


def test_no_method_is_credited_with_what_another_gained():
  seeds = [
    {"arms": {"base": {"x": 0.1}, "one": {"x": gain}, "two": {"x": 0.1}}}
    for gain in (0.4, 0.5)
  ]
  found = dict(
    methods=["one", "two", "three"],
    seeds=seeds,
    metric="x",
    baseline="base",
    effect="x of the arm that decides",
  )
  effect = _script()._effect
  assert effect("one", found).startswith("x +0.35")
  assert effect("two", found).startswith("x +0.000")
  assert effect("three", found) == ""
  found["methods"] = ["three"]
  assert effect("three", found) == found["effect"]
