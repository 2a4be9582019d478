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
  """The written steps and the answer; each step may be wrong.

  A wrong step is carried on by those after it.
  """
  best = max if question[0] == "x" else min
  running, steps = question[1], []
  for digit in question[1:]:
    running = best(running, digit)
    if rng is not None and rng.random() < wrong:
      running = str((int(running) + rng.integers(1, 10)) % 10)
    steps.append(running)
  return f"{''.join(steps)}#{running}"


def direct(question: str) -> str:
  """The answer alone."""
  return f"#{answer(question)}"
