# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What all plots share: colours, axes, labels, files."""

import os
import pathlib
from typing import Any

Array = Any
Path = str | os.PathLike[str]

# Okabe and Ito's palette.
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
AMBER, PURPLE, SKY = "#E69F00", "#CC79A7", "#56B4E9"
INK, MUTED, GRID, GREY = "#1f2933", "#616e7c", "#e4e7eb", "#8a97a6"
BEFORE, AFTER = GREY, BLUE
_DPI = 160
# Widths in inches of plots for half and for all of the page: text comes out
# equally large.
SIZE = (5.2, 3.4)
WIDE = 10.6


def figure(
  columns: int = 1,
  size: tuple[float, float] = SIZE,
  *,
  rows: int = 1,
  **options,
):
  """(figure, axes list row by row), styled."""
  from matplotlib import figure as mpl_figure
  from matplotlib.backends import backend_agg

  out = mpl_figure.Figure(figsize=size, dpi=_DPI, layout="constrained")
  backend_agg.FigureCanvasAgg(out)
  axes = out.subplots(rows, columns, squeeze=False, **options).ravel()
  for axis in axes:
    for side in ("top", "right"):
      axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
      axis.spines[side].set_color(GREY)
    axis.grid(True, color=GRID, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(colors=MUTED, labelsize=8.5, length=3)
  return out, list(axes)


def label(axis, x: str, y: str, title: str = "") -> None:
  """Axis labels and a title at the left."""
  axis.set_xlabel(x, color=INK, fontsize=9.5)
  axis.set_ylabel(y, color=INK, fontsize=9.5)
  if title:
    axis.set_title(
      title, color=INK, fontsize=10.5, loc="left", fontweight="bold"
    )


def legend(axis, **options) -> None:
  """A legend on a veil of white, if anything is labelled."""
  if axis.get_legend_handles_labels()[0]:
    axis.legend(
      facecolor="white",
      edgecolor="none",
      framealpha=0.85,
      fontsize=8.5,
      labelcolor=INK,
      **options,
    )


def save(drawing, path: Path) -> pathlib.Path:
  """Writes a PNG file, its folder included."""
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  # No software name or date: equal data gives equal bytes.
  drawing.savefig(path, format="png", metadata={"Software": None})
  return path
