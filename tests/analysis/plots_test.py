# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Plots: files, missing data, laziness, odd values."""

import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from prefjax.analysis import plots


def _rows(n):
  return [
    {
      "step": step,
      "loss": 1 / step,
      "logps/chosen": -float(step),
      "rewards/chosen": 0.1 * step,
      "rewards/accuracies": 0.5,
      "grad_norm": 1.0,
      "learning_rate": 1e-4,
    }
    for step in range(1, n + 1)
  ]


def _checked(path):
  """The file is a PNG with something drawn on white."""
  with PIL.Image.open(path) as image:
    assert image.format == "PNG"
    pixels = np.asarray(image.convert("RGB"))
  assert min(pixels.shape[:2]) > 400
  assert tuple(pixels[0, 0]) == (255, 255, 255)
  assert 0.005 < np.mean(np.any(pixels < 200, -1)) < 0.7
  return pixels


@pytest.mark.parametrize("n", [1, 10, 100])
@pytest.mark.parametrize(
  "draw",
  [
    plots.loss_curve,
    plots.logps_curve,
    plots.rewards_curve,
    plots.optimizer_curve,
  ],
)
def test_curves(tmp_path, draw, n):
  path = draw(tmp_path / "deep" / "plot.png", _rows(n))
  _checked(path)
  assert draw(tmp_path / "none.png", [{"step": 1, "other": 2.0}]) is None
  assert draw(tmp_path / "none.png", []) is None
  assert not (tmp_path / "none.png").exists()


def test_pair_plots(tmp_path):
  rng = np.random.default_rng(0)
  before, after = rng.normal(0, 3, 200), rng.normal(1, 3, 200)
  lengths = rng.integers(-20, 20, 200)
  _checked(plots.margin_histogram(tmp_path / "a.png", before, after))
  _checked(plots.margin_histogram(tmp_path / "b.png", None, after))
  _checked(plots.length_bias_plot(tmp_path / "c.png", lengths, after, before))
  _checked(plots.length_bias_plot(tmp_path / "d.png", lengths, after))
  _checked(plots.reliability_plot(tmp_path / "e.png", after))
  interval = {"mean": 0.5, "low": 0.4, "high": 0.6}
  wins = {"wins": 0.6, "ties": 0.1, "losses": 0.3, "win_rate": 0.65}
  wins |= {"low": 0.6, "high": 0.7}
  _checked(plots.gold_bars(tmp_path / "f.png", interval, interval, wins))
  _checked(plots.gold_bars(tmp_path / "g.png", None, interval, None))
  _checked(plots.gold_bars(tmp_path / "h.png", None, None, wins))


@pytest.mark.parametrize(
  "margins",
  [
    [0.0, 0.0],
    [5.0],
    [1e300, -1e300, 0.0],
    [np.nan, 1.0, np.inf],
  ],
)
def test_degenerate_margins(tmp_path, margins):
  path = tmp_path / "x.png"
  _checked(plots.margin_histogram(path, margins, margins))
  _checked(plots.reliability_plot(path, margins))
  lengths = np.zeros(len(margins))
  _checked(plots.length_bias_plot(path, lengths, margins, margins))


def test_nothing_to_draw(tmp_path):
  path = tmp_path / "x.png"
  assert plots.margin_histogram(path, None, [np.nan]) is None
  assert plots.reliability_plot(path, None) is None
  assert plots.length_bias_plot(path, None, [1.0]) is None
  assert plots.length_bias_plot(path, [1.0, 2.0], [1.0]) is None
  assert plots.gold_bars(path, None, None, None) is None
  assert not path.exists()


def test_series_keeps_finite_numbers_in_order():
  rows = [
    {"step": 3, "x": 1.0},
    {"step": 1, "x": 2},
    {"step": 2, "x": float("nan")},
    {"step": 4, "x": "1"},
    {"step": None, "x": 1.0},
    {"step": 5, "x": True},
    {"x": 1.0},
    {"step": 3, "x": 7.0},  # written again after a resume
  ]
  steps, values = plots.series(rows, "x")
  np.testing.assert_array_equal(steps, [1, 3])
  np.testing.assert_array_equal(values, [2, 7])


def test_smooth():
  np.testing.assert_allclose(plots.smooth(np.full(100, 3.0)), 3.0)
  np.testing.assert_allclose(plots.smooth([1.0, 2.0]), [1.0, (0.5 + 2) / 1.5])
  noisy = np.random.default_rng(0).normal(size=1000)
  assert plots.smooth(noisy).std() < 0.3 * noisy.std()


def test_equal_data_gives_equal_bytes(tmp_path):
  for name in ("a.png", "b.png"):
    plots.loss_curve(tmp_path / name, _rows(50))
  assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_importing_analysis_does_not_load_matplotlib_or_a_backend():
  code = (
    "import sys, prefjax.analysis, prefjax.analysis.report;"
    "from jax._src import xla_bridge;"
    "assert 'matplotlib' not in sys.modules;"
    "assert 'rich' not in sys.modules;"
    "assert not xla_bridge._backends"
  )
  subprocess.run([sys.executable, "-c", code], check=True)
