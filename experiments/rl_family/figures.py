# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Exact match of the whole family against the answers drawn so far."""

import pathlib
from collections.abc import Sequence

import numpy as np

from experiments.rl_arithmetic import learning
from prefjax import experiments
from prefjax.analysis import plot_style

_PANELS = (
  ("policy gradients, clipped", ("ppo", "grpo", "dr_grpo", "dapo")),
  ("other ratios and baselines", ("gspo", "cispo", "rloo", "reinforce_pp")),
  ("greedy baseline, pairs, best of n", ("remax", "online_dpo", "raft")),
)
_COLORS = (
  plot_style.BLUE,
  plot_style.ORANGE,
  plot_style.GREEN,
  plot_style.PURPLE,
)


def _curve(seeds: Sequence[experiments.Arms], arm: str):
  """(answers drawn [T], exact match [S, T])."""
  places = sorted(
    int(name.removeprefix(learning.CURVE))
    for name in seeds[0][arm]
    if name.startswith(learning.CURVE)
  )
  return np.asarray(places), np.asarray(
    [[arms[arm][f"{learning.CURVE}{x}"] for x in places] for arms in seeds]
  )


def curves(
  seeds: Sequence[experiments.Arms],
  methods: Sequence[str],
  path: pathlib.Path,
) -> None:
  """Means over the seeds, with a band from the lowest to the highest."""
  figure, axes = plot_style.figure(
    3, (plot_style.WIDE, plot_style.SIZE[1]), sharey=True
  )
  for axis, (title, names) in zip(axes, _PANELS, strict=True):
    for name, color in zip(names, _COLORS, strict=False):
      if name not in methods:
        continue
      drawn, found = _curve(seeds, name)
      axis.plot(
        drawn / 1000, 100 * found.mean(axis=0), color=color, label=name, lw=1.8
      )
      axis.fill_between(
        drawn / 1000,
        100 * found.min(axis=0),
        100 * found.max(axis=0),
        color=color,
        alpha=0.12,
        lw=0,
      )
    plot_style.label(axis, "answers drawn, thousands", "", title)
    plot_style.legend(axis, loc="lower right")
  axes[0].set_ylabel(
    "exact match on held-out sums, %", color=plot_style.INK, fontsize=9.5
  )
  plot_style.save(figure, path)
