# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""docs/scaling.md and README's table are made from what was compiled."""

import importlib.util
import pathlib

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script():
  path = _ROOT / "scripts" / "scaling_table.py"
  spec = importlib.util.spec_from_file_location("scaling_table", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def _result(flops, peak=4 << 30, error=""):
  """What `compile_tpu.measure` returns, as far as the page reads it."""
  if error:
    return {
      "error": error,
      "fits": False,
      "peak_bytes": peak,
      "hbm_bytes": 95 << 30,
    }
  return {
    "error": "",
    "fits": peak <= 95 << 30,
    "peak_bytes": peak,
    "argument_bytes": 1 << 30,
    "temporary_bytes": 3 << 30,
    "hbm_bytes": 95 << 30,
    "flops": flops,
    "bytes": 5e9,
    "collectives": {"all-gather": {"count": 2, "bytes": 7e9, "sent": 6e9}},
    "seconds": {"overlapped": 1.0, "serial": 2.0},
    "utilisation": {"overlapped": 0.8, "serial": 0.4},
  }


def _of(script, *results):
  keys = [script.key("llama_3_1_8b", "precomputed", t) for t in script.DOUBLING]
  return dict(zip(keys, results, strict=False))


def test_the_pages_are_up_to_date(script):
  results = script.load()
  page = script.PAGE.read_text(encoding="utf-8")
  assert page == script.page(results), "run scripts/scaling_table.py"
  text = script.README.read_text(encoding="utf-8")
  assert text == script.readme(text, results), "run scripts/scaling_table.py"


def test_products_of_a_chip_halve_as_chips_double(script):
  """From 16 to 256 chips within 10 %, as the compiler counted them."""
  ratios = dict(script.halvings(script.load()))
  assert {32, 64, 128, 256} <= set(ratios)
  for chips, ratio in ratios.items():
    assert 0.9 < ratio < 1.1, (chips, ratio)


def test_a_ratio_needs_both_neighbours(script):
  results = _of(
    script, _result(8e12), _result(0, error="too much"), _result(2e12)
  )
  assert script.halvings(results) == []
  results = _of(script, _result(8e12), _result(4.4e12))
  assert script.halvings(results) == [(8, pytest.approx(1.1))]


def test_what_does_not_fit_is_bold_and_has_no_products(script):
  results = _of(
    script,
    _result(8e12, peak=96 << 30),
    _result(0, peak=None, error="too much"),
    _result(2e12),
  )
  memory, products = script.doubling_table(results).splitlines()[2:4]
  assert memory.startswith(
    "| reference precomputed | GiB | **96.0** | **does not fit** | 4.0 |"
  )
  assert products.startswith("|  | TFLOP | 8 |  | 2 |")
  assert "| no |" in script.single_table(results)


def test_chips_of_a_slice(script):
  assert [script._chips(t) for t in script.DOUBLING] == [
    4 << i for i in range(8)
  ]
