# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Plots of reward models: over-optimisation and accuracy by category."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from prefjax.analysis import plot_style


def over_optimisation_plot(
  path: plot_style.Path, rows: Sequence[Mapping[str, float]]
) -> pathlib.Path | None:
  """Proxy and gold reward over the divergence of the best of n.

  Both are shown as gains over one sample, each in its own unit.

  Args:
    path: PNG file to write.
    rows: of `over_optimisation.best_of_n_curve`.

  Returns:
    The path, or None with fewer than two rows.
  """
  if len(rows) < 2:
    return None
  kl = np.asarray([row["kl"] for row in rows])
  figure, (left, right) = plot_style.figure(2, (plot_style.WIDE, 3.4))
  for axis, name, color in (
    (left, "proxy", plot_style.GREY),
    (right, "gold", plot_style.BLUE),
  ):
    values = np.asarray([row[name] for row in rows])
    axis.plot(kl, values, color=color, marker="o", markersize=4, label=name)
    for row, value in zip(rows, values, strict=True):
      axis.annotate(
        f"{row['n']}",
        (row["kl"], value),
        textcoords="offset points",
        xytext=(0, 5),
        fontsize=7.5,
        color=plot_style.MUTED,
        ha="center",
      )
  right.fill_between(
    kl,
    [row["gold_low"] for row in rows],
    [row["gold_high"] for row in rows],
    color=plot_style.SKY,
    alpha=0.35,
    linewidth=0,
  )
  right.plot(
    kl,
    [row["ceiling"] for row in rows],
    color=plot_style.INK,
    linestyle=(0, (4, 3)),
    linewidth=1.0,
    label="chosen by gold itself",
  )
  plot_style.label(
    left, "KL from one sample (nats), by n", "proxy reward", "What is optimised"
  )
  plot_style.label(
    right,
    "KL from one sample (nats), by n",
    "gold reward (95 % interval)",
    "What is wanted",
  )
  plot_style.legend(right, loc="best")
  return plot_style.save(figure, path)


def category_plot(
  path: plot_style.Path, found: Mapping[str, Mapping[str, float]]
) -> pathlib.Path | None:
  """Accuracies with intervals, a bar a category.

  Args:
    path: PNG file to write.
    found: name -> mean, low, high, count; see `reward_bench.by_subset`.

  Returns:
    The path, or None without a category.
  """
  if not found:
    return None
  height = max(2.4, 0.32 * len(found) + 1.0)
  figure, (axis,) = plot_style.figure(1, (plot_style.SIZE[0] * 1.3, height))
  names = list(found)[::-1]
  for place, name in enumerate(names):
    row = found[name]
    axis.barh(place, row["mean"], color=plot_style.BLUE, height=0.6)
    axis.plot(
      [row["low"], row["high"]],
      [place, place],
      color=plot_style.INK,
      linewidth=1.4,
    )
  axis.axvline(0.5, color=plot_style.GREY, linestyle=(0, (4, 3)), linewidth=1)
  axis.set_yticks(range(len(names)))
  axis.set_yticklabels([f"{n} ({found[n]['count']})" for n in names])
  axis.set_xlim(0, 1.02)
  plot_style.label(
    axis, "accuracy (95 % interval)", "", "Right response preferred"
  )
  return plot_style.save(figure, path)
