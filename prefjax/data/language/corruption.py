# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Responses of graded quality to a task, from nonsense to exact.

Grades, worst first: 'garbage' (random characters), 'mixup' (another
instruction was followed), 'half' (about half is there), 'verbose' (right but
wrapped in filler), 'slip' (one small mistake), 'format' (right content in the
wrong dress), 'exact'. Mean gold reward rises along this list.
"""

import itertools

import numpy as np

from prefjax.core import errors
from prefjax.data.language import grammar, randomness
from prefjax.data.language import steps as steps_lib

QUALITIES = (
  "garbage",
  "mixup",
  "half",
  "verbose",
  "slip",
  "format",
  "exact",
)

_FILLERS = (
  ("The answer is ", "."),
  ("I think it is ", ""),
  ("Well, ", ", I guess"),
  ("It must be ", ""),
  ("", ", I hope so"),
  ("Let me see: ", ""),
  ("So it is ", ""),
)
_SHORT_FILLERS = (("It is ", ""), ("Well: ", ""), ("", ", ok?"))
_GARBAGE = "abcdefghijklmnopqrstuvwxyz 0123456789"
_MAX_TRIES = 32


def _near_number(draw: randomness.Draws, value: int, deltas) -> int:
  delta = draw.pick(deltas) * (1 if draw.chance(0.5) else -1)
  return value + delta if value + delta >= 0 else value - delta


def _slip_text(draw: randomness.Draws, text: str) -> str:
  """One edit: substitute, swap, drop or double a character."""
  places = [i for i, c in enumerate(text) if c != " "]
  at = draw.pick(places)
  char = text[at]
  pool = "0123456789" if char.isdigit() else "abcdefghijkl"
  if char.isupper():
    pool = pool.upper()
  kind = draw.below(4)
  if kind == 1 and at + 1 < len(text) and text[at + 1] not in (" ", char):
    return text[:at] + text[at + 1] + char + text[at + 2 :]
  if kind == 2 and len(places) > 2:
    return text[:at] + text[at + 1 :]
  if kind == 3:
    return text[:at] + char + text[at:]
  other = draw.pick([c for c in pool if c != char])
  return text[:at] + other + text[at + 1 :]


def _slip(draw: randomness.Draws, task: grammar.Task) -> str:
  if task.kind in grammar.STEP_KINDS:
    # Late enough that most of the working is right.
    at = len(task.steps) - 1
    if task.kind == "solve" and draw.chance(0.3):
      at -= 1
    return grammar.STEP_SEPARATOR.join(steps_lib.wrong_steps(draw, task, at))
  if task.kind in grammar.NUMERIC_KINDS:
    return str(_near_number(draw, int(task.content), (1, 1, 2)))
  return _slip_text(draw, task.content)


def _half(draw: randomness.Draws, task: grammar.Task) -> str:
  if task.kind in grammar.STEP_KINDS:
    kept = task.steps[: max(1, len(task.steps) // 2)]
    return grammar.STEP_SEPARATOR.join(kept)
  if task.kind in grammar.NUMERIC_KINDS:
    return str(_near_number(draw, int(task.content), (2, 3, 3)))
  half = task.content[: (len(task.content) + 1) // 2].rstrip()
  if half and half != task.content:
    return half
  return _slip_text(draw, task.content)


def _mixup(draw: randomness.Draws, task: grammar.Task) -> str:
  """The content of another instruction on the same argument."""
  argument, content = task.argument, task.content
  numbers = [word for word in argument.split() if word.isdecimal()]
  if task.kind in grammar.STEP_KINDS:
    return grammar.STEP_SEPARATOR.join(steps_lib.wrong_steps(draw, task, 0))
  if task.kind in ("add", "sub"):
    op = "+" if task.kind == "add" else "-"
    left, right = (int(part) for part in argument.split(op))
    options = [str(abs(left - right)), str(left + right), str(left)]
  elif numbers:
    options = [argument, " ".join(reversed(numbers)), *numbers]
    if task.kind in ("max", "min"):
      options = numbers
  elif task.kind == "count":
    options = [str(len(argument)), argument[:4]]
  elif task.kind == "repeat":
    options = [f"{argument} {argument[::-1]}", argument[::-1]]
  elif task.kind == "take":
    options = [argument[::-1], argument.split()[-1]]
  else:
    options = [
      argument[::-1],
      "".join(sorted(argument)).strip(),
      str(len(argument)),
    ]
    if task.kind != "copy":
      options.append(argument)
  options = [o for o in options if o.lower() != content.lower() or o != content]
  return draw.pick(options) if options else _garbage(draw, task)


def _garbage(draw: randomness.Draws, task: grammar.Task) -> str:
  del task  # nonsense owes nothing to the prompt
  length = draw.between(2, 10)
  text = "".join([draw.pick(_GARBAGE) for _ in range(length)]).strip()
  return text or "hm"


def _verbose(draw: randomness.Draws, task: grammar.Task, longest: int) -> str:
  room = longest - len(task.answer)
  fitting = [f for f in _FILLERS if len(f[0]) + len(f[1]) <= room]
  before, after = draw.pick(fitting or _SHORT_FILLERS)
  return grammar.style(before + task.content + after, task.styles)


def _misformat(draw: randomness.Draws, task: grammar.Task) -> str:
  """The right content with a style dropped, or one nobody asked for."""
  content, styles = task.content, task.styles
  dress = tuple(name for name in styles if name != "brief")
  options = ["quote", "stop", "!"]
  if task.kind in grammar.STEP_KINDS:
    options = ["spaces", "stop", "quote"]
  elif task.kind not in grammar.CASED_KINDS and content != content.upper():
    options.append("caps")
  if "polite" not in styles and task.kind not in grammar.STEP_KINDS:
    options.append("polite")
  options += ["drop"] * (2 * len(dress))
  option = draw.pick(options)
  if option == "quote":
    return grammar.style(f'"{content}"', styles)
  if option == "stop":
    return grammar.style(content + ".", styles)
  if option == "spaces":
    return grammar.style(content.replace(grammar.STEP_SEPARATOR, ", "), styles)
  if option == "drop":
    lost = draw.pick(dress)
    return grammar.style(content, tuple(n for n in styles if n != lost))
  if option in styles:
    return grammar.style(content, tuple(n for n in styles if n != option))
  return grammar.style(content, (*styles, option))


_MAKERS = {
  "garbage": _garbage,
  "mixup": _mixup,
  "half": _half,
  "slip": _slip,
}


def corrupt(
  rng: randomness.Draws | np.random.Generator,
  task: grammar.Task,
  quality: str,
  *,
  longest: int = 32,
) -> str:
  """A response of the given quality.

  Args:
    rng: where the randomness comes from; it is advanced.
    task: the task to answer.
    quality: one of QUALITIES.
    longest: filler is chosen to keep to this many bytes; an answer close to
      it or longer gets the shortest filler all the same.

  Returns:
    The response; it equals the exact answer only for 'exact'.

  Raises:
    ConfigError: unknown quality.
  """
  if quality == "exact":
    return task.answer
  draw = randomness.Draws.of(rng)
  if quality == "verbose":
    return _verbose(draw, task, longest)
  maker = _MAKERS.get(quality)
  if maker is None and quality != "format":
    raise errors.ConfigError(
      f"quality {quality!r} is unknown; use {', '.join(QUALITIES)}"
      + errors.nearest(quality, QUALITIES)
    )
  for _ in range(_MAX_TRIES):
    if maker is None:
      response = _misformat(draw, task)
    else:
      response = grammar.style(maker(draw, task), task.styles)
    if response and response != task.answer:
      return response
  # E.g. a swap of equal characters, time and again.
  return _verbose(draw, task, longest)


class Mixture:
  """Quality grades with weights, drawn one or two at a time."""

  def __init__(self, weights: dict[str, float]):
    """Args: weights by quality; missing qualities get none.

    Raises:
      ConfigError: an unknown quality, a negative weight, or no weight.
    """
    for name, weight in weights.items():
      if name not in QUALITIES:
        raise errors.ConfigError(
          f"mixture: quality {name!r} is unknown"
          + errors.nearest(name, QUALITIES)
        )
      if not weight >= 0:
        raise errors.ConfigError(
          f"mixture: weight of {name} is {weight}; use 0 or more"
        )
    self._names = [name for name in QUALITIES if weights.get(name, 0) > 0]
    if not self._names:
      raise errors.ConfigError("mixture: no quality has a weight above 0")
    self._edges = list(
      itertools.accumulate(weights[name] for name in self._names)
    )

  def __len__(self) -> int:
    return len(self._names)

  def draw(self, rng: randomness.Draws) -> str:
    """One grade."""
    return rng.weighted(self._names, self._edges)


# Half exact: a model fine-tuned on it leaves room for preferences.
MIXED = {
  "exact": 0.50,
  "format": 0.12,
  "slip": 0.12,
  "verbose": 0.12,
  "half": 0.06,
  "mixup": 0.05,
  "garbage": 0.03,
}
