# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""From numbers by seed to intervals and a verdict."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from prefjax.analysis import bootstrap
from prefjax.experiments import spec

_KEY = 0  # judged again, the same numbers give the same intervals
_RESAMPLES = 4000

Arms = spec.Arms


def values(seeds: Sequence[Arms], arm: str, metric: str) -> np.ndarray:
  """One number a seed, float64 [S]."""
  return np.asarray([arms[arm][metric] for arms in seeds], np.float64)


def every(seeds: Sequence[Arms], holds: Callable[[Arms], bool]) -> bool:
  """Whether something holds for each seed."""
  return all(bool(holds(arms)) for arms in seeds)


def mean(seeds: Sequence[Arms], arm: str, metric: str) -> float:
  """Mean over the seeds."""
  return float(values(seeds, arm, metric).mean())


def difference(
  seeds: Sequence[Arms], arm: str, baseline: str, metric: str
) -> dict[str, float]:
  """Paired over seeds: mean, low, high, p_value of arm - baseline."""
  return bootstrap.paired_difference(
    _KEY,
    values(seeds, baseline, metric),
    values(seeds, arm, metric),
    num=_RESAMPLES,
  )


def summary(seeds: Sequence[Arms]) -> dict[str, dict[str, dict[str, float]]]:
  """Arm -> metric -> mean, low, high over the seeds."""
  return {
    arm: {
      metric: bootstrap.mean_interval(
        _KEY, values(seeds, arm, metric), num=_RESAMPLES
      )
      for metric in metrics
    }
    for arm, metrics in seeds[0].items()
  }


def verdict(
  checks: Mapping[str, bool], interval: Mapping[str, float], higher: bool
) -> str:
  """'shown', 'not shown' or 'mixed'.

  Args:
    checks: the accept rule; the first is the claim itself.
    interval: of the difference between the arms.
    higher: whether a larger difference is what the paper claims.

  Returns:
    'shown' where every check holds and the interval lies wholly on the
    claimed side of zero; 'not shown' where the claim itself fails and the
    interval does not lie there; 'mixed' for what is between: a difference of
    the right sign that misses the rule, or a side condition that fails.
  """
  clear = interval["low"] > 0 if higher else interval["high"] < 0
  claim = bool(next(iter(checks.values())))
  if all(checks.values()) and clear:
    return "shown"
  return "mixed" if claim or clear else "not shown"


def judge(experiment: spec.Experiment, seeds: Sequence[Arms]) -> dict[str, Any]:
  """The part of results.json that follows from the numbers.

  Args:
    experiment: with its accept rule.
    seeds: numbers by seed, at least one seed.
  """
  checks = _named(experiment.accept, seeds)
  gap = difference(
    seeds, experiment.arm, experiment.baseline, experiment.metric
  )
  return {
    "verdict": verdict(checks, gap, experiment.higher_is_better),
    "effect": effect(experiment.metric, gap),
    "checks": checks,
    "further": _named(experiment.further, seeds),
    "difference": gap,
    "arms": summary(seeds),
  }


def _named(
  accept: Callable[[Sequence[Arms]], Mapping[str, bool]] | None,
  seeds: Sequence[Arms],
) -> dict[str, bool]:
  found = accept(seeds) if accept is not None else {}
  return {str(name): bool(holds) for name, holds in found.items()}


def effect(metric: str, gap: Mapping[str, float]) -> str:
  """'value gap -0.53 [-0.56, -0.50]'."""
  size = max(abs(gap[k]) for k in ("mean", "low", "high"))
  digits = 3 if size < 0.1 else 2 if size < 100 else 0
  mean, low, high = (f"{gap[k]:+.{digits}f}" for k in ("mean", "low", "high"))
  return f"{metric.replace('_', ' ')} {mean} [{low}, {high}]"
