# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Written workings of `solve` and `chain` tasks: split, check, break.

A response is a list of lines, one a step: `3+4=7`, `7-2=5`, `5`. A step is
*consistent* when it follows from what the response claimed before it, and
*right* when it equals the step of the exact solution. After a first wrong
step the later ones are often consistent, and wrong.
"""

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from prefjax.core import errors
from prefjax.data.language import grammar, randomness

_LOOSE = re.compile(r"[;,\s]+")
_STEP = re.compile(r"(-?[0-9]{1,40})([+*-])([0-9]{1,40})=(-?[0-9]{1,40})")
_NUMBER = re.compile(r"-?[0-9]{1,40}")


@dataclasses.dataclass(frozen=True)
class StepCheck:
  """Verdict on one step.

  Attributes:
    consistent: it follows from the prompt and the previous claimed step.
    right: it equals the step of the exact solution.
  """

  consistent: bool
  right: bool


def split(response: str, *, strict: bool = True) -> list[str]:
  """The steps of a response; loose also splits at commas and spaces."""
  if strict:
    return response.split(grammar.STEP_SEPARATOR) if response else []
  return [part for part in _LOOSE.split(response) if part]


def _step_task(prompt: str) -> grammar.Task:
  task = grammar.parse(prompt)
  if task.kind not in grammar.STEP_KINDS:
    raise errors.DataError(
      f"prompt {prompt[:60]!r} has no written steps; use a solve or chain"
      " prompt"
    )
  return task


def _solve_consistent(task: grammar.Task, claimed: Sequence[str]) -> list[bool]:
  value, operations = grammar.terms(task.argument)
  current: int | None = value
  out = []
  for index, step in enumerate(claimed):
    if index < len(operations):
      match = _STEP.fullmatch(step)
      op, number = operations[index]
      out.append(
        match is not None
        and current is not None
        and int(match[1]) == current
        and (match[2], int(match[3])) == (op, number)
        and int(match[4]) == grammar.calculate(current, op, number)
      )
      current = int(match[4]) if match else None
    else:
      match = _NUMBER.fullmatch(step)
      out.append(
        index == len(operations)
        and match is not None
        and current is not None
        and int(step) == current
      )
  return out


def _chain_consistent(task: grammar.Task, claimed: Sequence[str]) -> list[bool]:
  operations = task.detail.split(",")
  current = task.argument
  out = []
  for index, step in enumerate(claimed):
    out.append(
      index < len(operations)
      and step == grammar.apply_op(operations[index], current)
    )
    current = step
  return out


def check_steps(prompt: str, claimed: Sequence[str]) -> list[StepCheck]:
  """Checks every step of a written solution.

  Args:
    prompt: a `solve` or `chain` prompt.
    claimed: the steps of a response, see `split`.

  Returns:
    One verdict a step; surplus steps are neither consistent nor right.

  Raises:
    DataError: the prompt has no written steps.
  """
  task = _step_task(prompt)
  consistent = (
    _solve_consistent(task, claimed)
    if task.kind == "solve"
    else _chain_consistent(task, claimed)
  )
  return [
    StepCheck(ok, index < len(task.steps) and step == task.steps[index])
    for index, (step, ok) in enumerate(zip(claimed, consistent, strict=True))
  ]


def first_wrong_step(prompt: str, claimed: Sequence[str]) -> int:
  """Index of the first wrong, missing or surplus step; -1 if none.

  Raises:
    DataError: the prompt has no written steps.
  """
  expected = _step_task(prompt).steps
  for index in range(max(len(expected), len(claimed))):
    if index >= min(len(expected), len(claimed)):
      return index
    if expected[index] != claimed[index]:
      return index
  return -1


def _wrong_number(draw: randomness.Draws, right: int, others: list[int]) -> int:
  """A near miss, or what another operation would give; never `right`."""
  others = [value for value in others if value != right and value >= 0]
  if others and draw.chance(0.3):
    return draw.pick(others)
  delta = draw.pick((-2, -1, 1, 2))
  return right + delta if right + delta >= 0 else right + abs(delta)


def _wrong_text(draw: randomness.Draws, right: str) -> str:
  """`right` with one character changed; case kept."""
  letters = "ABCDEFGHIJKL" if right.isupper() else "abcdefghijkl"
  if not right:
    return draw.pick(letters)
  at = draw.below(len(right))
  other = draw.pick([c for c in letters if c != right[at]])
  return right[:at] + other + right[at + 1 :]


def wrong_steps(
  rng: randomness.Draws | np.random.Generator,
  task: grammar.Task,
  at: int,
) -> tuple[str, ...]:
  """A solution whose first wrong step is `at`, later ones consistent.

  Args:
    rng: where the randomness comes from; it is advanced.
    task: a `solve` or `chain` task.
    at: 0-based index of the first wrong step.

  Returns:
    As many steps as the exact solution has. Later steps carry the error on.

  Raises:
    DataError: the task has no written steps, or `at` is not one of them.
  """
  task = _step_task(task.prompt)
  if not 0 <= at < len(task.steps):
    raise errors.DataError(
      f"first wrong step {at} is outside 0..{len(task.steps) - 1} of prompt"
      f" {task.prompt[:60]!r}"
    )
  draw = randomness.Draws.of(rng)
  out = list(task.steps[:at])
  if task.kind == "chain":
    operations = task.detail.split(",")
    out.append(_wrong_text(draw, task.steps[at]))
    for op in operations[at + 1 :]:
      out.append(grammar.apply_op(op, out[-1]))
    return tuple(out)
  value, operations = grammar.terms(task.argument)
  for op, number in operations[:at]:
    value = grammar.calculate(value, op, number)
  if at == len(operations):
    return (*out, str(_wrong_number(draw, value, [])))
  for index, (op, number) in enumerate(operations[at:]):
    right = grammar.calculate(value, op, number)
    result = right
    if index == 0:
      others = [grammar.calculate(value, o, number) for o in "+-*"]
      result = _wrong_number(draw, right, others)
    out.append(f"{value}{op}{number}={result}")
    value = result
  return (*out, str(value))


def closeness(task: grammar.Task, response: str) -> float:
  """Graded correctness of a working: 0.8 leading right steps, 0.2 result.

  Args:
    task: a `solve` or `chain` task.
    response: any text; commas and spaces may stand for line breaks.

  Returns:
    A value in [0, 1]; 1 exactly for the exact steps and no others.
  """
  claimed = split(response, strict=False)
  if not claimed:
    return 0.0
  leading = 0
  for step, expected in zip(claimed, task.steps, strict=False):
    if step != expected:
      break
    leading += 1
  total = max(len(task.steps), len(claimed))
  result = float(claimed[-1] == task.steps[-1])
  return 0.8 * leading / total + 0.2 * result
