# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The known gold reward of a (prompt, response), and its aspects.

Four aspects, each in [0, 1]:

  correctness  1 for the right content, whatever wraps it; else graded by edit
               distance, by distance of numbers, or by right leading steps
  format       1 when exactly the requested styles are there, and the answer
               is of the right sort (number or word); a half is lost a violation
  brevity      1 up to the length of the exact answer, then
               exp(-surplus / 8), or exp(-surplus / 3) under 'brief'
  politeness   1 with the polite prefix, 1/2 with a 'please' or 'thanks'

and gold = correctness * (0.40 + 0.25 format + 0.35 brevity): well-dressed
nonsense earns nothing, and only the exact answer earns 1. Politeness counts
in the gold reward only through format, when the prompt asks for it.
"""

import functools
import math
import re
from collections.abc import Sequence

import numpy as np

from prefjax.core import errors
from prefjax.data.language import grammar
from prefjax.data.language import steps as steps_lib

ASPECTS = ("correctness", "format", "brevity", "politeness")
GOLD_BASE, GOLD_FORMAT, GOLD_BREVITY = 0.40, 0.25, 0.35
_SURPLUS_SCALE, _BRIEF_SCALE = 8.0, 3.0
# Only this much of a response is compared: longer ones are wrong anyway.
_MAX_COMPARED = 96
_TOKEN = re.compile(r"[A-Za-z]+|[0-9]+")
_INTEGER = re.compile(r"(?<![A-Za-z0-9])-?[0-9]{1,18}(?![A-Za-z0-9])")
_DIGIT, _LETTER = re.compile("[0-9]"), re.compile("[A-Za-z]")
_LOOSE_SEPARATORS = frozenset(" ,;\t\r")
_DRESS = " \t\r\n\"'.`"
_POLITE = grammar.POLITE.lower()


def edit_distance(first: str, second: str) -> int:
  """Levenshtein distance: insertions, deletions and substitutions."""
  if first == second:
    return 0
  start, end_1, end_2 = 0, len(first), len(second)
  shortest = min(end_1, end_2)
  while start < shortest and first[start] == second[start]:
    start += 1
  while (
    end_1 > start and end_2 > start and first[end_1 - 1] == second[end_2 - 1]
  ):
    end_1 -= 1
    end_2 -= 1
  first, second = first[start:end_1], second[start:end_2]
  if not first or not second:
    return len(first) + len(second)
  row = list(range(len(second) + 1))
  for i, a in enumerate(first, 1):
    diagonal, row[0] = row[0], i
    left = i
    for j, b in enumerate(second, 1):
      up = row[j]
      best = diagonal if a == b else diagonal + 1
      if up < best:
        best = up + 1
      if left < best:
        best = left + 1
      row[j] = left = best
      diagonal = up
  return row[-1]


def closeness(first: str, second: str) -> float:
  """1 - edit distance / longer length, in [0, 1]; 1 for two empty texts."""
  longest = max(len(first), len(second))
  if not longest:
    return 1.0
  return 1.0 - edit_distance(first, second) / longest


@functools.lru_cache(maxsize=65536)
def _tokens(text: str) -> frozenset[str]:
  return frozenset(_TOKEN.findall(text.lower()))


def _contains(core: str, target: str, argument: str) -> bool:
  """Whether `target` stands as whole words in `core` among filler only.

  Filler may not hold words of the prompt's argument: echoing the whole
  argument is no answer to 'max: 3 8 2'.
  """
  at = core.find(target)
  numeric = target.isdecimal()
  while at >= 0:
    end = at + len(target)
    before, after = core[at - 1 : at], core[end : end + 2]
    bounded = not (before.isalnum() or after[:1].isalnum())
    if numeric:  # 5 is neither in -5 nor in 5.3
      bounded &= before not in ("-", ".") and not (
        after[:1] == "." and after[1:].isdecimal()
      )
    if bounded:
      rest = core[:at] + " " + core[end:]
      return _tokens(argument).isdisjoint(_TOKEN.findall(rest.lower()))
    at = core.find(target, at + 1)
  return False


def _number_credit(core: str, content: str) -> float:
  """Partial credit of a wrong number: 0.6, 0.4, 0.2 when 1, 2, 3 off."""
  found = _INTEGER.findall(core)
  if not found:
    return 0.0
  gap = abs(int(found[-1]) - int(content))
  credit = max(0.0, 0.8 - 0.2 * max(1, gap))
  return credit if found[-1] == core else 0.5 * credit


@functools.lru_cache(maxsize=65536)
def _shape(text: str) -> tuple[bool, bool]:
  """(has digits, has letters)."""
  return bool(_DIGIT.search(text)), bool(_LETTER.search(text))


def _undress(response: str) -> tuple[str, bool, bool, int]:
  """(core, polite, exclaimed, violations of dress)."""
  text = response.strip(_DRESS)
  violations = int(text != response)
  polite = text[: len(_POLITE)].lower() == _POLITE
  if polite:
    text = text[len(_POLITE) :]
  exclaimed = text.endswith("!")
  if exclaimed:
    text = text[:-1]
  core = text.strip(_DRESS)
  if core != text:
    violations += 1
  return core, polite, exclaimed, violations


def _judge(task: grammar.Task, response: str) -> tuple[float, float]:
  """(correctness, format) of a response that is not the exact answer."""
  core, polite, exclaimed, violations = _undress(response[:_MAX_COMPARED])
  if not core:
    return 0.0, 0.0
  styles, content = task.styles, task.content
  violations += polite != ("polite" in styles)
  violations += exclaimed != ("!" in styles)
  folded, target = core, content
  if task.kind not in grammar.CASED_KINDS:
    folded, target = core.lower(), content.lower()
    has_letters = folded != core.upper()
    if has_letters and content != content.upper():
      # Neither wholly upper nor wholly lower is wrong for both styles.
      wanted = core.upper() if "caps" in styles else folded
      violations += core != wanted
  elif "caps" in styles:
    target = content.upper()
  if task.kind not in grammar.STEP_KINDS:
    violations += "\n" in core
  if _shape(core) != _shape(content):
    violations += 1
  if folded == target:
    correctness = 1.0
    violations = max(1, violations)  # the text still differs somewhere
  elif _contains(folded, target, task.argument):
    correctness = 1.0
    violations = max(2, violations)
  elif task.kind in grammar.STEP_KINDS:
    correctness = steps_lib.closeness(task, core)
    violations += not _LOOSE_SEPARATORS.isdisjoint(core)
  elif task.kind in grammar.NUMERIC_KINDS:
    correctness = _number_credit(core, content)
  else:
    correctness = closeness(folded, target) ** 1.5
    if task.kind == "take":
      violations += core.count(" ") != content.count(" ")
  return correctness, max(0.0, 1.0 - 0.5 * violations)


def _brevity(task: grammar.Task, response: str) -> float:
  surplus = len(response) - len(task.answer)
  if surplus <= 0:
    return 1.0 if response else 0.0
  scale = _BRIEF_SCALE if "brief" in task.styles else _SURPLUS_SCALE
  return math.exp(-surplus / scale)


def _politeness(response: str) -> float:
  text = response[:_MAX_COMPARED].lower()
  if text.startswith(_POLITE):
    return 1.0
  return 0.5 if "please" in text or "thanks" in text else 0.0


def aspects(prompt: str, response: str) -> dict[str, float]:
  """Scores of one response by aspect.

  Args:
    prompt: a prompt of the language.
    response: any text.

  Returns:
    {aspect: value in [0, 1]} for every name in ASPECTS; an empty response
    scores 0 everywhere.

  Raises:
    DataError: the prompt is not in the language.
  """
  task = grammar.parse(prompt)
  if response == task.answer:
    correctness = form = 1.0
  else:
    correctness, form = _judge(task, response)
  return {
    "correctness": correctness,
    "format": form,
    "brevity": _brevity(task, response),
    "politeness": _politeness(response),
  }


def gold_reward(prompt: str, response: str) -> float:
  """The reward that a perfect annotator would give, in [0, 1].

  Args:
    prompt: a prompt of the language.
    response: any text.

  Returns:
    correctness * (0.40 + 0.25 format + 0.35 brevity); 1 exactly for the
    exact answer.

  Raises:
    DataError: the prompt is not in the language.
  """
  task = grammar.parse(prompt)
  if response == task.answer:
    return 1.0
  correctness, form = _judge(task, response)
  if not correctness:
    return 0.0
  brevity = _brevity(task, response)
  return correctness * (GOLD_BASE + GOLD_FORMAT * form + GOLD_BREVITY * brevity)


def gold_rewards(
  prompts: Sequence[str], responses: Sequence[str | Sequence[str]]
) -> np.ndarray:
  """Gold rewards of many responses.

  Args:
    prompts: B prompts.
    responses: B responses, or B lists of K responses each.

  Returns:
    float32 [B] or [B, K].

  Raises:
    DataError: lengths differ, or a prompt is not in the language.
  """
  if len(prompts) != len(responses):
    raise errors.DataError(
      f"{len(prompts)} prompts but {len(responses)} responses; give one"
      " response or one list of responses a prompt"
    )
  rows = [
    gold_reward(prompt, row)
    if isinstance(row, str)
    else [gold_reward(prompt, response) for response in row]
    for prompt, row in zip(prompts, responses, strict=True)
  ]
  if len({len(row) if isinstance(row, list) else -1 for row in rows}) > 1:
    raise errors.DataError(
      "responses differ in number between prompts; score ragged groups one"
      " by one with gold_reward"
    )
  return np.asarray(rows, np.float32)
