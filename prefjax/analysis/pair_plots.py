# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Plots of held-out pairs and samples, before and after training."""

import math
import pathlib
from collections.abc import Mapping

import numpy as np

from prefjax.analysis import calibration, length_bias, plot_style, scores


def _finite(values: plot_style.Array | None) -> np.ndarray:
  if values is None:
    return np.zeros(0)
  values = np.asarray(values, np.float64).reshape(-1)
  return values[np.isfinite(values)]


def margin_histogram(
  path: plot_style.Path,
  before: plot_style.Array | None,
  after: plot_style.Array | None,
) -> pathlib.Path | None:
  """Held-out log-prob margins before and after training.

  Args:
    path: PNG file to write.
    before: [N] log pi(chosen) - log pi(rejected), nats, or None.
    after: [N] the same after training, or None.

  Returns:
    The path, or None without data.
  """
  groups = [
    (name, values, color)
    for name, values, color in (
      ("before", _finite(before), plot_style.BEFORE),
      ("after", _finite(after), plot_style.AFTER),
    )
    if values.size
  ]
  if not groups:
    return None
  figure, (axis,) = plot_style.figure()
  everything = np.concatenate([values for _, values, _ in groups])
  # The bulk sets the range; the rest is collected in the outer bins.
  low, high = np.percentile(everything, [0.5, 99.5])
  low, high = min(low, 0.0), max(high, 0.0)
  if high - low < 1e-9:
    low, high = -1.0, 1.0
  edges = np.linspace(low, high, 41)
  for name, values, color in groups:
    axis.hist(
      np.clip(values, low, high),
      bins=edges,
      weights=np.full(values.size, 100 / values.size),
      color=color,
      alpha=0.30,
    )
    axis.hist(
      np.clip(values, low, high),
      bins=edges,
      weights=np.full(values.size, 100 / values.size),
      color=color,
      histtype="step",
      linewidth=1.8,
      label=f"{name}: {100 * np.mean(values > 0):.1f} % above 0,"
      f" mean {values.mean():+.2f}",
    )
  axis.axvline(0, color=plot_style.INK, linewidth=1.0)
  plot_style.label(
    axis,
    "log-prob margin, chosen - rejected (nats)",
    "pairs (%)",
    "Margins on held-out pairs",
  )
  # Head room, so that the legend covers no bar.
  axis.set_ylim(0, axis.get_ylim()[1] * 1.28)
  plot_style.legend(axis, loc="upper left")
  return plot_style.save(figure, path)


def _bucket_name(row: Mapping[str, float]) -> str:
  low, high = row["low"], row["high"]
  if math.isinf(low):
    return f"< {high:g}"
  if math.isinf(high):
    return f"≥ {low:g}"
  if low < 0 < high:
    return "equal" if high <= 1 else f"{low:g}..{high:g}"
  return f"{math.ceil(low):g}..{math.ceil(high) - 1:g}"


def length_bias_plot(
  path: plot_style.Path,
  length_differences: plot_style.Array | None,
  margin_after: plot_style.Array | None,
  margin_before: plot_style.Array | None = None,
) -> pathlib.Path | None:
  """Margins against length difference, and accuracy by length difference.

  Args:
    path: PNG file to write.
    length_differences: [N] chosen - rejected length, tokens.
    margin_after: [N] margins after training, nats.
    margin_before: [N] before, or None.

  Returns:
    The path, or None without data.
  """
  lengths = np.asarray(
    [] if length_differences is None else length_differences, np.float64
  ).reshape(-1)
  groups = []
  for name, values, color in (
    ("before", margin_before, plot_style.BEFORE),
    ("after", margin_after, plot_style.AFTER),
  ):
    values = np.asarray([] if values is None else values, np.float64)
    if values.size and values.size == lengths.size:
      kept = np.isfinite(values) & np.isfinite(lengths)
      if kept.any():
        groups.append((name, values[kept], lengths[kept], color))
  if not groups:
    return None
  figure, (left, right) = plot_style.figure(2, (plot_style.WIDE, 3.9))
  # A fixed jitter keeps equal lengths apart.
  jitter = np.random.Generator(np.random.Philox(0)).uniform(
    -0.28, 0.28, lengths.size
  )
  for name, values, x, color in groups:
    correlation = scores.spearman(values, x)
    left.scatter(
      x + jitter[: x.size],
      values,
      s=9,
      color=color,
      alpha=0.35,
      linewidths=0,
      label=f"{name}: Spearman {correlation:+.2f}",
    )
  left.axhline(0, color=plot_style.INK, linewidth=1.0)
  plot_style.label(
    left,
    "length difference, chosen - rejected (tokens)",
    "log-prob margin (nats)",
    "Margin against length",
  )
  low, high = left.get_ylim()
  left.set_ylim(low, high + 0.22 * (high - low))
  plot_style.legend(left, loc="upper left", markerscale=2)

  tables = [
    length_bias.accuracy_by_length(values, x) for _, values, x, _ in groups
  ]
  shown = [
    index
    for index in range(len(tables[0]))
    if any(table[index]["count"] for table in tables)
  ]
  width = 0.8 / len(groups)
  for offset, ((name, _, _, color), table) in enumerate(
    zip(groups, tables, strict=True)
  ):
    rows = [table[index] for index in shown]
    where = np.arange(len(rows)) + (offset - (len(groups) - 1) / 2) * width
    accuracy = np.array([row["accuracy"] for row in rows])
    error = 1.96 * np.array([row["standard_error"] for row in rows])
    right.bar(
      where,
      np.nan_to_num(accuracy),
      width * 0.94,
      color=color,
      alpha=0.85,
      label=name,
      yerr=np.nan_to_num(
        [np.minimum(error, accuracy), np.minimum(error, 1 - accuracy)]
      ),
      error_kw={"ecolor": plot_style.INK, "elinewidth": 0.9, "capsize": 1.8},
    )
  counts = [tables[-1][index]["count"] for index in shown]
  right.set_xticks(
    range(len(shown)),
    [
      f"{_bucket_name(tables[-1][i])}\nn={n}"
      for i, n in zip(shown, counts, strict=True)
    ],
  )
  right.tick_params(axis="x", labelsize=7.5)
  right.grid(False, axis="x")
  right.axhline(
    0.5, color=plot_style.GREY, linewidth=0.9, linestyle=(0, (4, 3))
  )
  right.set_ylim(0, 1.18)
  right.set_yticks(np.arange(0, 1.01, 0.2))
  plot_style.label(
    right,
    "length difference (tokens)",
    "share ranked right (95 % interval)",
    "Accuracy by length difference",
  )
  plot_style.legend(right, loc="upper center", ncols=2)
  return plot_style.save(figure, path)


def reliability_plot(
  path: plot_style.Path, margins: plot_style.Array | None, *, bins: int = 10
) -> pathlib.Path | None:
  """How often the model is right when it says how sure it is.

  Args:
    path: PNG file to write.
    margins: [N] reward margins, chosen - rejected.
    bins: bins of equal count.

  Returns:
    The path, or None without data.
  """
  margins = _finite(margins)
  if not margins.size:
    return None
  sure, right = calibration.confidence(margins)
  bins = max(1, min(bins, margins.size // 20))
  curve = calibration.reliability_curve(sure, right, bins=bins, adaptive=True)
  error = calibration.expected_calibration_error(
    sure, right, bins=bins, adaptive=True
  )
  figure, (axis,) = plot_style.figure()
  axis.plot(
    [0.5, 1],
    [0.5, 1],
    color=plot_style.GREY,
    linestyle=(0, (4, 3)),
    linewidth=1.2,
    label="perfectly calibrated",
  )
  spread = np.sqrt(
    curve["frequency"] * (1 - curve["frequency"]) / curve["count"]
  )
  axis.errorbar(
    curve["probability"],
    curve["frequency"],
    yerr=1.96 * spread,
    color=plot_style.BLUE,
    ecolor=plot_style.SKY,
    marker="o",
    markersize=5,
    linewidth=1.6,
    elinewidth=1.2,
    capsize=2,
    label=f"model, calibration error {error:.3f}",
  )
  plot_style.label(
    axis,
    "stated confidence, sigmoid of |reward margin|",
    "share ranked right (95 % interval)",
    "Reliability on held-out pairs",
  )
  axis.set_xlim(0.49, 1.01)
  axis.set_ylim(min(0.45, float(curve["frequency"].min()) - 0.08), 1.04)
  plot_style.legend(axis, loc="lower right")
  return plot_style.save(figure, path)


def gold_bars(
  path: plot_style.Path,
  before: Mapping[str, float] | None,
  after: Mapping[str, float] | None,
  wins: Mapping[str, float] | None,
) -> pathlib.Path | None:
  """Gold reward before and after with intervals, and the win rate.

  Args:
    path: PNG file to write.
    before: mean, low, high of the gold reward before, or None.
    after: the same after, or None.
    wins: wins, ties, losses, win_rate, low, high, or None.

  Returns:
    The path, or None without data.
  """
  bars = [
    (name, values, color)
    for name, values, color in (
      ("before", before, plot_style.BEFORE),
      ("after", after, plot_style.AFTER),
    )
    if values
  ]
  if not bars and not wins:
    return None
  figure, (left, right) = plot_style.figure(
    2, (plot_style.WIDE, 3.4), width_ratios=(1, 1.5)
  )
  for index, (_, values, color) in enumerate(bars):
    mean = values["mean"]
    left.bar(
      index,
      mean,
      0.62,
      color=color,
      alpha=0.9,
      yerr=[
        [max(0.0, mean - values["low"])],
        [max(0.0, values["high"] - mean)],
      ],
      error_kw={"ecolor": plot_style.INK, "elinewidth": 1.2, "capsize": 4},
    )
    left.text(
      index,
      max(values["high"], mean),
      f"{mean:.3f}\n",
      ha="center",
      va="bottom",
      color=plot_style.INK,
      fontsize=9.5,
      linespacing=0.4,
    )
  left.set_xticks(range(len(bars)), [name for name, _, _ in bars])
  left.grid(False, axis="x")
  top = max([1.0, *(values["high"] for _, values, _ in bars)])
  left.set_ylim(0, 1.12 * top)
  left.set_xlim(-0.6, max(1, len(bars)) - 0.4)
  plot_style.label(left, "", "mean (95 % interval)", "Gold reward of samples")
  left.tick_params(axis="x", labelsize=9.5, colors=plot_style.INK)

  right.grid(False)
  right.set_yticks([])
  right.spines["left"].set_visible(False)
  if wins:
    right.axvline(
      0.5, color=plot_style.GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0
    )
    start = 0.0
    for name, share, color, text in (
      ("after wins", wins["wins"], plot_style.BLUE, "white"),
      ("ties", wins["ties"], "#d3dae1", plot_style.INK),
      ("before wins", wins["losses"], plot_style.ORANGE, "white"),
    ):
      right.barh(0, share, 0.42, left=start, color=color, label=name)
      if share >= 0.07:
        right.text(
          start + share / 2,
          0,
          f"{100 * share:.0f} %",
          ha="center",
          va="center",
          color=text,
          fontsize=9.5,
        )
      start += share
    rate = wins["win_rate"]
    right.errorbar(
      rate,
      0.42,
      xerr=[
        [max(0.0, rate - wins["low"])],
        [max(0.0, wins["high"] - rate)],
      ],
      color=plot_style.INK,
      marker="o",
      markersize=5,
      capsize=3,
      elinewidth=1.4,
    )
    right.text(
      rate,
      0.50,
      f"win rate {100 * rate:.1f} %"
      f" [{100 * wins['low']:.1f}, {100 * wins['high']:.1f}]",
      ha="center" if 0.25 < rate < 0.75 else "right" if rate > 0.5 else "left",
      va="bottom",
      color=plot_style.INK,
      fontsize=9.5,
      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
    )
    right.set_xticks(
      np.arange(0, 1.01, 0.25), [f"{p} %" for p in range(0, 101, 25)]
    )
    plot_style.legend(
      right, loc="lower center", ncols=3, bbox_to_anchor=(0.5, -0.01)
    )
  right.set_xlim(0, 1)
  right.set_ylim(-0.62, 0.85)
  plot_style.label(
    right,
    "share of prompts (win rate counts ties half)",
    "",
    "After against before, same prompts",
  )
  return plot_style.save(figure, path)
