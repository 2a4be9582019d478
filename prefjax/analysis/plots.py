# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Plots as PNG files: one function a plot, colours safe for colour-blind eyes.

Matplotlib is imported inside functions and used through `Figure` objects with
the Agg canvas: no backend is chosen, no window opens, no global state changes.
Each function returns the path it wrote, or None when it has nothing to draw.
"""

from prefjax.analysis.curve_plots import (
  logps_curve,
  loss_curve,
  optimizer_curve,
  rewards_curve,
  series,
  smooth,
)
from prefjax.analysis.pair_plots import (
  gold_bars,
  length_bias_plot,
  margin_histogram,
  reliability_plot,
)

__all__ = [
  "gold_bars",
  "length_bias_plot",
  "logps_curve",
  "loss_curve",
  "margin_histogram",
  "optimizer_curve",
  "reliability_plot",
  "rewards_curve",
  "series",
  "smooth",
]
