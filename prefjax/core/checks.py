# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Shape and range checks that name the function, the argument and the fix.

All of them look at static facts only (shape, dtype, Python numbers), so they
run at trace time and cost nothing under `jax.jit`.
"""

from typing import Any

import jax
import jax.numpy as jnp


def _shape(value: Any) -> tuple[int, ...]:
  return tuple(jnp.shape(value))


def same_shape(function: str, **arrays: Any) -> tuple[int, ...]:
  """Checks that all arrays share the first one's shape and returns it.

  Args:
    function: name of the caller, for the message.
    **arrays: arrays by argument name; None is skipped.

  Raises:
    ValueError: names the first argument that differs and both shapes.
  """
  first_name, first_shape = None, ()
  for name, value in arrays.items():
    if value is None:
      continue
    if first_name is None:
      first_name, first_shape = name, _shape(value)
    elif _shape(value) != first_shape:
      raise ValueError(
        f"{function}: {name} has shape {_shape(value)}, expected"
        f" {first_shape} like {first_name}"
      )
  return first_shape


def rank(function: str, expected: int, **arrays: Any) -> None:
  """Checks that every array has `expected` axes; None is skipped."""
  for name, value in arrays.items():
    if value is not None and len(_shape(value)) != expected:
      raise ValueError(
        f"{function}: {name} has shape {_shape(value)}, expected"
        f" {expected} axes"
      )


def in_range(
  function: str,
  low: float | None = None,
  high: float | None = None,
  *,
  low_open: bool = False,
  high_open: bool = False,
  **values: Any,
) -> None:
  """Checks concrete Python numbers against a range; arrays are skipped."""
  left, right = "(" if low_open else "[", ")" if high_open else "]"
  for name, value in values.items():
    if value is None or isinstance(value, jax.core.Tracer):
      continue
    if not isinstance(value, (int, float)):
      continue
    too_low = low is not None and (value <= low if low_open else value < low)
    too_high = high is not None and (
      value >= high if high_open else value > high
    )
    if too_low or too_high or value != value:
      low_text = "-inf" if low is None else low
      high_text = "inf" if high is None else high
      raise ValueError(
        f"{function}: {name}={value} is outside"
        f" {left}{low_text}, {high_text}{right}"
      )


def one_of(function: str, choices: tuple[Any, ...], **values: Any) -> None:
  """Checks that a keyword is one of `choices`."""
  for name, value in values.items():
    if value not in choices:
      raise ValueError(
        f"{function}: {name}={value!r} is not one of"
        f" {', '.join(map(str, choices))}"
      )
