# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The plot that every experiment has: arms, seeds, intervals."""

import pathlib
from collections.abc import Mapping
from typing import Any

from prefjax.analysis import plot_style


def arms_plot(result: Mapping[str, Any], path: pathlib.Path) -> pathlib.Path:
  """The deciding metric of every arm that has it, with a dot a seed.

  Args:
    result: content of results.json, judged.
    path: the PNG file.
  """
  metric = result["metric"]
  arms = [arm for arm, found in result["arms"].items() if metric in found]
  width = max(plot_style.SIZE[0], 0.55 * len(arms) + 1.5)
  figure, (axis,) = plot_style.figure(size=(width, plot_style.SIZE[1]))
  colors = {
    result["arm"]: plot_style.BLUE,
    result["baseline"]: plot_style.ORANGE,
  }
  for place, arm in enumerate(arms):
    at = result["arms"][arm][metric]
    color = colors.get(arm, plot_style.GREY)
    axis.bar(place, at["mean"], width=0.6, color=color, alpha=0.45)
    axis.plot([place, place], [at["low"], at["high"]], color=color, lw=2)
    rows = [row["arms"][arm][metric] for row in result["seeds"]]
    axis.plot([place] * len(rows), rows, "o", ms=3.5, color=color)
  turned = dict(rotation=40, ha="right") if len(arms) > 5 else {}
  axis.set_xticks(range(len(arms)), arms, **turned)
  axis.axhline(0, color=plot_style.GREY, lw=0.8)
  better = "higher" if result["higher_is_better"] else "lower"
  plot_style.label(
    axis,
    "",
    f"{metric.replace('_', ' ')} ({better} is better)",
    f"{result['slug']}: {result['verdict']}",
  )
  return plot_style.save(figure, path)
