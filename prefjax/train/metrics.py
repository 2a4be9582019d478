# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""From sums and weights to the numbers that are written, divided once."""

import math
from collections.abc import Mapping
from typing import Any

import jax

from prefjax.core import types

MOMENTS = "moments/"
COEFFICIENT = "coefficient/"
LOG_2 = math.log(2.0)


def add(
  left: Mapping[str, types.WeightedSum], right: Mapping[str, types.WeightedSum]
) -> dict[str, types.WeightedSum]:
  """Sums of both; a metric that only one has is kept."""
  out = dict(left)
  for name, value in right.items():
    out[name] = out[name] + value if name in out else value
  return out


def finish(metrics: Mapping[str, types.WeightedSum]) -> dict[str, float]:
  """Means as Python floats; metrics without any weight are left out.

  Raw moments of margin and length become their correlation, coefficients of
  terms the objective `loss`.
  """
  host = jax.device_get(dict(metrics))
  values = {}
  for name, value in host.items():
    total, weight = float(value.total), float(value.weight)
    if weight != 0:
      values[name] = total / weight
  coefficients = {
    name[len(COEFFICIENT) :]: values.pop(name)
    for name in list(values)
    if name.startswith(COEFFICIENT)
  }
  if coefficients:
    # A term without any weight adds nothing.
    values["loss"] = sum(
      coefficient * values.get(f"loss/{name}", 0.0)
      for name, coefficient in coefficients.items()
    )
  moments = {
    name[len(MOMENTS) :]: values.pop(name)
    for name in list(values)
    if name.startswith(MOMENTS)
  }
  if moments:
    correlation = _correlation(moments)
    if correlation is not None:
      values["length_bias/correlation"] = correlation
  return values


def _correlation(m: Mapping[str, float]) -> float | None:
  """Correlation of margin with length difference; None where undefined."""
  try:
    var_a = m["margin_margin"] - m["margin"] ** 2
    var_b = m["length_length"] - m["length"] ** 2
    both = m["margin_length"] - m["margin"] * m["length"]
  except KeyError:
    return None
  # Rounding leaves a little where there is no spread at all.
  if var_a <= 1e-6 * m["margin_margin"] or var_b <= 1e-6 * m["length_length"]:
    return None
  return max(-1.0, min(1.0, both / math.sqrt(var_a * var_b)))


class StuckAlarm:
  """Notices a pairwise loss that stays at log 2: nothing is being learned.

  Args:
    patience: steps in a row at log 2 before it speaks.
    tolerance: what counts as log 2.
  """

  def __init__(self, patience: int = 50, tolerance: float = 1e-4):
    self._patience = patience
    self._tolerance = tolerance
    self._count = 0

  def see(self, loss: float) -> bool:
    """Whether the alarm goes off at this step (once a stretch)."""
    if abs(loss - LOG_2) < self._tolerance:
      self._count += 1
    else:
      self._count = 0
    return self._count == self._patience


def effective_batch(weights: Any) -> float:
  """Kish's effective number of rows, (sum w)^2 / sum w^2."""
  import numpy as np

  weights = np.asarray(weights, np.float64)
  square = float(np.sum(weights**2))
  return float(np.sum(weights)) ** 2 / square if square else 0.0
