# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Questions that can be answered at once or with written steps.

'x3829D?' asks for the largest of four digits at once: '#9'. 'x3829E?' wants
the running maximum first: '3889#9'. 'n' asks for the smallest.
"""

import numpy as np

DIGITS = 4


def draw(rng: np.random.Generator, number: int) -> list[str]:
  """Questions without their mode, e.g. 'x3829'."""
  kinds = rng.integers(0, 2, number)
  digits = rng.integers(0, 10, (number, DIGITS))
  return [
    "xn"[k] + "".join(map(str, row))
    for k, row in zip(kinds, digits, strict=True)
  ]


def prompt(question: str, mode: str) -> str:
  """The question in mode 'D' (direct) or 'E' (explained)."""
  return f"{question}{mode}?"


def answer(question: str) -> str:
  """The right digit."""
  best = max if question[0] == "x" else min
  return best(question[1:])


def trace(
  question: str, rng: np.random.Generator | None = None, wrong: float = 0.0
) -> str:
  """The written steps and the answer.

  A wrong step is a misconception: the digit that would decide at once (9 for
  the largest, 0 for the smallest) is passed over. It is carried on by the
  steps after it.

  Args:
    question: without its mode.
    rng: where the misconceptions come from; None for none.
    wrong: how often such a digit is passed over.
  """
  best = max if question[0] == "x" else min
  decisive = "9" if question[0] == "x" else "0"
  running, steps = question[1], []
  for digit in question[1:]:
    passed = rng is not None and digit == decisive and rng.random() < wrong
    if not passed:
      running = best(running, digit)
    steps.append(running)
  return f"{''.join(steps)}#{running}"


def direct(question: str) -> str:
  """The answer alone."""
  return f"#{answer(question)}"
