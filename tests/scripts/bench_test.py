# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The benchmarks run, small, and what they report adds up."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCH = ROOT / "scripts" / "bench"


def _run(script: str, *flags: str) -> str:
  environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
  done = subprocess.run(
    [sys.executable, str(BENCH / script), *flags],
    capture_output=True,
    text=True,
    env=environment,
    cwd=ROOT,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  return done.stdout


@pytest.mark.slow
def test_scaling_counts_shared_prompts_once(tmp_path):
  out = tmp_path / "scaling.json"
  text = _run(
    "scaling.py",
    f"--out={out}",
    "--series",
    "responses",
    "--rounds=1",
    "--layers=1",
    "--hidden=64",
    "--vocab=256",
  )
  assert "| responses | layout | tokens |" in text
  rows = json.loads(out.read_text())["series"]["responses"]
  tokens = {(row["responses"], row["layout"]): row["tokens"] for row in rows}
  for k in (2, 4, 8):
    assert tokens[k, "shared"] == 2 * (256 + k * 32)
    assert tokens[k, "concat"] == 2 * k * (256 + 32)
  assert all(row["median_seconds"] > 0 for row in rows)


@pytest.mark.slow
def test_the_gpu_benchmark_runs_small_without_a_gpu(tmp_path):
  out = tmp_path / "gpu.json"
  text = _run("gpu.py", f"--out={out}", "--small", "--rounds=1")
  result = json.loads(out.read_text())
  assert result["step"]["median_seconds"] > 0
  names = {row["name"] for row in result["kernels"]}
  assert {"naive", "chunked"} <= names
  assert "DPO step:" in text


def test_rates_count_what_the_pairs_need():
  sys.path.insert(0, str(BENCH))
  try:
    spec = importlib.util.spec_from_file_location("v", BENCH / "versus.py")
    versus = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(versus)
  finally:
    sys.path.remove(str(BENCH))
  common = {"first_seconds": [3.0, 3.0], "peak_rss": 300}
  result = {
    "peak_flops": [50.0, 100.0],
    "state_bytes": 100,
    "other": {**common, "seconds": [[2.0, 2.0], [2.0, 4.0], [2.0, 2.0]]},
    "ours": {
      **common,
      "peak_rss": 150,
      "compile_seconds": 1.0,
      "seconds": [[1.0, 1.0]] * 3,
      "work": [{"pairs": 4, "tokens": 10, "flops": 60.0}] * 2,
    },
  }
  versus.rates(result, "ours", ("other", "ours"))
  assert result["other"]["pairs_per_second"] == 2.0
  assert result["ours"]["pairs_per_second"] == 4.0
  assert result["ours"]["utilisation"] == 0.6
  assert result["other"]["excess_bytes"] == 200
  assert result["other"]["compile_seconds"] == 2.0
  cells = [
    c.strip() for c in versus.row("t", result, ("other", "ours")).split("|")
  ]
  assert cells[1:5] == ["t", "2.000", "4.000", "2.00"]
  assert "0.25" in cells
