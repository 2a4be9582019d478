# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What each aspect is worth, and gold against divergence."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from prefjax import experiments
from prefjax.analysis import bootstrap, plot_style

_NAMES = {
  "data": "data: 20 % of the labels wrong → 10 %",
  "algorithm": "algorithm: DPO → PPO",
  "reward_model": "reward model: policy's size → larger",
  "prompts": "prompts: labelled → and others",
}
_CURVES = {
  "dpo": (plot_style.ORANGE, "o-"),
  "dpo_better_data": (plot_style.ORANGE, "D"),
  "ppo": (plot_style.BLUE, "o-"),
  "ppo_better_data": (plot_style.BLUE, "D"),
  "ppo_larger_reward_model": (plot_style.GREEN, "s"),
  "ppo_more_prompts": (plot_style.PURPLE, "^"),
}
_GOLD, _KL = "gold_at_", "kl_at_"


def _bars(axis: Any, seeds: Sequence[experiments.Arms]) -> None:
  for place, name in enumerate(_NAMES):
    rows = experiments.values(seeds, "worth", name)
    found = bootstrap.mean_interval(0, rows, num=4000)
    axis.barh(place, found["mean"], 0.6, color=plot_style.BLUE, alpha=0.45)
    axis.plot(
      [found["low"], found["high"]],
      [place, place],
      color=plot_style.BLUE,
      lw=2,
    )
    axis.plot(rows, [place] * len(rows), "o", ms=3.5, color=plot_style.BLUE)
  axis.set_yticks(range(len(_NAMES)), list(_NAMES.values()))
  axis.invert_yaxis()
  axis.axvline(0, color=plot_style.GREY, lw=0.8)
  plot_style.label(axis, "gain in gold reward", "", "what each aspect changes")


def _curves(axis: Any, seeds: Sequence[experiments.Arms]) -> None:
  start = experiments.mean(seeds, "start", "gold")
  for arm, (color, style) in _CURVES.items():
    ends = [
      name.removeprefix(_KL) for name in seeds[0][arm] if name.startswith(_KL)
    ]
    names = [(_KL + end, _GOLD + end) for end in ends] or [("kl", "gold")]
    points = sorted(
      tuple(experiments.mean(seeds, arm, name) for name in pair)
      for pair in names
    )
    line = [(0.0, start)] if ends else []
    x, y = np.asarray([*line, *points]).T
    axis.plot(
      x, y, style, ms=4.5, lw=1.6, color=color, label=arm.replace("_", " ")
    )
  plot_style.label(
    axis,
    "divergence from the start, nats",
    "gold reward",
    "three strengths, and the best of them",
  )
  plot_style.legend(axis, loc="lower right")


def worth(seeds: Sequence[experiments.Arms], path: pathlib.Path) -> None:
  """Both panels; the bars have 95 % intervals and a dot a seed."""
  figure, (left, right) = plot_style.figure(
    2, (1.25 * plot_style.WIDE, plot_style.SIZE[1])
  )
  _bars(left, seeds)
  _curves(right, seeds)
  plot_style.save(figure, path)
