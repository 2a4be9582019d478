# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Curves along training: losses, log-probs, rewards, optimiser."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prefjax.analysis import plot_style, run_files

Rows = Sequence[Mapping[str, Any]]
# Curves of more points are smoothed, with the raw values faint behind.
_SMOOTH_FROM = 40


def series(rows: Rows, key: str) -> tuple[np.ndarray, np.ndarray]:
  """(steps, values) of a metric: finite numbers only, by ascending step."""
  points = {}
  for row in rows:
    step = run_files.number(row.get("step"))
    value = run_files.number(row.get(key))
    if step is not None and value is not None:
      points[step] = value  # a resumed step replaces the old one
  steps = sorted(points)
  return np.array(steps), np.array([points[step] for step in steps])


def smooth(values: plot_style.Array) -> np.ndarray:
  """Exponential average over about a twentieth of the run, unbiased.

  Args:
    values: [N].

  Returns:
    float64 [N]; the first entries are averages of fewer values.
  """
  values = np.asarray(values, np.float64)
  decay = 1 - 1 / max(2.0, len(values) / 20)
  total = weight = 0.0
  out = np.empty(len(values))
  for index, value in enumerate(values):
    total = decay * total + value
    weight = decay * weight + 1
    out[index] = total / weight
  return out


def _curve(axis, rows: Rows, key: str, color: str, label: str) -> bool:
  """Draws a training curve and its eval points; whether there was one."""
  steps, values = series(rows, key)
  if len(steps) >= _SMOOTH_FROM:
    axis.plot(steps, values, color=color, alpha=0.22, linewidth=0.8)
    axis.plot(steps, smooth(values), color=color, linewidth=1.9, label=label)
  elif len(steps):
    marker = "o" if len(steps) == 1 else None
    axis.plot(
      steps, values, color=color, linewidth=1.9, label=label, marker=marker
    )
  eval_steps, eval_values = series(rows, f"eval/{key}")
  if len(eval_steps):
    axis.plot(
      eval_steps,
      eval_values,
      color=color,
      marker="D",
      markersize=4.5,
      markeredgecolor="white",
      linestyle=(0, (2, 2)),
      linewidth=1.0,
      label=f"{label} (held out)",
    )
  return bool(len(steps) or len(eval_steps))


def loss_curve(path: plot_style.Path, rows: Rows) -> pathlib.Path | None:
  """Training loss, and held-out loss where it was evaluated.

  Args:
    path: PNG file to write.
    rows: metrics rows with `step` and `loss` or `eval/loss`.

  Returns:
    The path, or None without data.
  """
  figure, (axis,) = plot_style.figure()
  if not _curve(axis, rows, "loss", plot_style.BLUE, "loss"):
    return None
  plot_style.label(axis, "optimizer step", "loss (nats)", "Loss")
  plot_style.legend(axis)
  return plot_style.save(figure, path)


def logps_curve(path: plot_style.Path, rows: Rows) -> pathlib.Path | None:
  """Log-probs of chosen and rejected responses along training.

  Args:
    path: PNG file to write.
    rows: metrics rows with `logps/chosen`, `logps/rejected`.

  Returns:
    The path, or None without data.
  """
  figure, (axis,) = plot_style.figure()
  drawn = _curve(axis, rows, "logps/chosen", plot_style.BLUE, "chosen")
  drawn |= _curve(axis, rows, "logps/rejected", plot_style.ORANGE, "rejected")
  if not drawn:
    return None
  plot_style.label(
    axis,
    "optimizer step",
    "summed log-prob (nats a response)",
    "Log-probability of chosen and rejected responses",
  )
  plot_style.legend(axis)
  return plot_style.save(figure, path)


def rewards_curve(path: plot_style.Path, rows: Rows) -> pathlib.Path | None:
  """Implicit rewards with their margin, and reward accuracy.

  Args:
    path: PNG file to write.
    rows: metrics rows with `rewards/chosen`, `rewards/rejected`,
      `rewards/margins` and `rewards/accuracies`.

  Returns:
    The path, or None without data.
  """
  figure, (left, right) = plot_style.figure(2, (plot_style.WIDE, 3.7))
  drawn = _curve(left, rows, "rewards/chosen", plot_style.BLUE, "chosen")
  drawn |= _curve(left, rows, "rewards/rejected", plot_style.ORANGE, "rejected")
  drawn |= _curve(left, rows, "rewards/margins", plot_style.GREEN, "margin")
  left.axhline(0, color=plot_style.GREY, linewidth=0.9)
  has_accuracy = _curve(
    right, rows, "rewards/accuracies", plot_style.BLUE, "accuracy"
  )
  right.axhline(
    0.5, color=plot_style.GREY, linewidth=0.9, linestyle=(0, (4, 3))
  )
  if not (drawn or has_accuracy):
    return None
  plot_style.label(
    left, "optimizer step", "reward (nats, times beta)", "Rewards"
  )
  plot_style.label(
    right, "optimizer step", "share of pairs", "Reward accuracy (chance: 0.5)"
  )
  low = min(0.45, right.dataLim.y0 if has_accuracy else 0.45)
  right.set_ylim(max(-0.02, low - 0.02), 1.02)
  plot_style.legend(left)
  plot_style.legend(right, loc="lower right")
  return plot_style.save(figure, path)


def optimizer_curve(path: plot_style.Path, rows: Rows) -> pathlib.Path | None:
  """Gradient norm and learning rate.

  Args:
    path: PNG file to write.
    rows: metrics rows with `grad_norm` or `learning_rate`.

  Returns:
    The path, or None without data.
  """
  figure, (left, right) = plot_style.figure(2, (plot_style.WIDE, 3.2))
  drawn = _curve(left, rows, "grad_norm", plot_style.PURPLE, "gradient norm")
  steps, values = series(rows, "learning_rate")
  if len(steps):
    right.plot(steps, values, color=plot_style.GREEN, linewidth=1.9)
    right.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
  if not (drawn or len(steps)):
    return None
  plot_style.label(left, "optimizer step", "global L2 norm", "Gradient norm")
  plot_style.label(right, "optimizer step", "learning rate", "Learning rate")
  return plot_style.save(figure, path)
