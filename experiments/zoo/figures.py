# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Figures of the comparison: one a condition, methods sorted."""

import pathlib
from collections.abc import Sequence

from experiments.zoo import tabular
from prefjax import experiments
from prefjax.analysis import plot_style

TITLES = {
  "clean": "right labels",
  "noise_20": "20 % of the labels wrong",
  "noise_40": "40 % of the labels wrong",
  "length": "annotators who like long answers",
}


def by_condition(
  seeds: Sequence[experiments.Arms], folder: pathlib.Path
) -> list[pathlib.Path]:
  """gain_CONDITION.png each: seeds as dots, means as bars, best on top."""
  paths = []
  for condition in tabular.CONDITIONS:
    metric = f"gain_{condition}"
    names = [name for name, found in seeds[0].items() if metric in found]
    names.sort(key=lambda name: -experiments.mean(seeds, name, metric))
    figure, (axis,) = plot_style.figure(size=(7.0, 0.2 * len(names) + 1.2))
    for place, name in enumerate(names):
      values = experiments.values(seeds, name, metric)
      color = plot_style.ORANGE if name == "dpo" else plot_style.BLUE
      axis.barh(place, values.mean(), color=color, alpha=0.4)
      axis.plot(values, [place] * len(values), "o", color=color, ms=2.5)
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.axvline(0, color=plot_style.GREY, lw=0.8)
    plot_style.label(
      axis, "reward gained over the reference", "", TITLES[condition]
    )
    paths.append(plot_style.save(figure, folder / f"{metric}.png"))
  return paths
