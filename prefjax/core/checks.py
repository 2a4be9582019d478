# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Shape and range checks that name the function, the argument and the fix.

They look at what is known while a program is traced (shapes, dtypes, values
that are no part of it), and so cost nothing under `jax.jit`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def _shape(value: Any) -> tuple[int, ...]:
  return tuple(jnp.shape(value))


def same_shape(function: str, /, **arrays: Any) -> tuple[int, ...]:
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


def rank(function: str, expected: int, /, **arrays: Any) -> None:
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
  /,
  *,
  low_open: bool = False,
  high_open: bool = False,
  **values: Any,
) -> None:
  """Checks numbers and arrays of them against a range; tracers are skipped."""
  left, right = "(" if low_open else "[", ")" if high_open else "]"
  for name, value in values.items():
    numbers = _known(value)
    if numbers is None:
      continue
    bad = np.isnan(numbers)
    if low is not None:
      bad |= numbers <= low if low_open else numbers < low
    if high is not None:
      bad |= numbers >= high if high_open else numbers > high
    if bad.any():
      low_text = "-inf" if low is None else low
      high_text = "inf" if high is None else high
      found = value if numbers.ndim == 0 else f"{numbers[bad][0]} (of several)"
      raise ValueError(
        f"{function}: {name}={found} is outside"
        f" {left}{low_text}, {high_text}{right}"
      )


def _known(value: Any) -> np.ndarray | None:
  """The numbers that a value holds here and now, or None."""
  if isinstance(value, jax.core.Tracer):
    return None
  if isinstance(value, jax.Array) and not value.is_fully_addressable:
    return None
  if not isinstance(value, (int, float, np.ndarray, np.generic, jax.Array)):
    return None
  numbers = np.asarray(value)
  # bfloat16 is a kind of its own to NumPy.
  return numbers if numbers.dtype.kind in "biuf" else numbers.astype(float)


def one_of(function: str, choices: tuple[Any, ...], /, **values: Any) -> None:
  """Checks that a keyword is one of `choices`."""
  for name, value in values.items():
    if value not in choices:
      raise ValueError(
        f"{function}: {name}={value!r} is not one of"
        f" {', '.join(map(str, choices))}"
      )
