# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The instruction language: what a prompt says and what its exact answer is.

A prompt is `<verb>[ <detail>]: <argument>[ | <style>[, <style>]]?`, such as

  copy: fox?                    fox
  reverse: abcd | caps?         DCBA
  repeat 3: ab?                 ab ab ab
  sort: 9 2 5?                  2 5 9
  add: 12+7 | polite?           Sure, 19
  count a: banana?              3
  take 2: red fox dog | !?      red fox!
  solve: 3+4-2?                 3+4=7 / 7-2=5 / 5
  chain rev,up: abcd?           dcba / DCBA

where / stands for a line break: `solve` and `chain` write their working, one
step a line. The question mark tells where the prompt ends and the response
begins, since the two are simply put one after the other. `parse` recovers the
whole task from the prompt's text alone, so rewards need no hidden state.
"""

import dataclasses
import functools
import re

from prefjax.core import errors

STYLES = ("caps", "!", "polite", "brief")
POLITE = "Sure, "
STEP_SEPARATOR = "\n"
CHAIN_OPS = ("rev", "up", "sort", "cut", "dup")

KINDS = (
  "copy",
  "reverse",
  "upper",
  "repeat",
  "sort_letters",
  "sort_numbers",
  "add",
  "sub",
  "max",
  "min",
  "count",
  "take",
  "solve",
  "chain",
)
NUMERIC_KINDS = frozenset({"add", "sub", "max", "min", "count"})
STEP_KINDS = frozenset({"solve", "chain"})
# Kinds whose answer's letter case carries meaning.
CASED_KINDS = frozenset({"upper", "chain"})

_PROMPT = re.compile(
  r"(?P<verb>[a-z]+)(?: (?P<detail>[a-z0-9,]+))?: (?P<argument>[^|]+?)"
  r"(?: \| (?P<styles>[^|]+?))?\?",
  re.ASCII,
)
_WORDS = re.compile(r"[a-z]+(?: [a-z]+)*", re.ASCII)
_NUMBERS = re.compile(r"[0-9]{1,6}(?: [0-9]{1,6})*", re.ASCII)
_SUM = re.compile(r"([0-9]{1,6})([+-])([0-9]{1,6})", re.ASCII)
_SOLVE = re.compile(r"[0-9]{1,6}(?:[+*-][0-9]{1,6})+", re.ASCII)
_TERMS = re.compile(r"([+*-])([0-9]+)", re.ASCII)
# Caps that keep every answer of a hostile prompt small.
MAX_PROMPT = 256
_MAX_COUNT = 16


@dataclasses.dataclass(frozen=True)
class Task:
  """A prompt and everything that follows from its text.

  Attributes:
    prompt: the instruction.
    answer: the exact response, styles applied; its gold reward is 1.
    kind: one of KINDS.
    content: the answer before styles.
    styles: requested styles in STYLES order.
    argument: the text after the colon, without styles and question mark.
    detail: the word between verb and colon ('' when there is none).
    steps: the lines of a written working; one line for other kinds.
  """

  prompt: str
  answer: str
  kind: str
  content: str
  styles: tuple[str, ...] = ()
  argument: str = ""
  detail: str = ""
  steps: tuple[str, ...] = ()


def style(content: str, styles: tuple[str, ...]) -> str:
  """Applies 'polite', '!' and 'caps' to an answer ('brief' changes none)."""
  if not styles:
    return content
  if "polite" in styles:
    content = POLITE + content
  if "!" in styles:
    content += "!"
  return content.upper() if "caps" in styles else content


def apply_op(op: str, text: str) -> str:
  """One operation of a `chain` on a string."""
  if op == "rev":
    return text[::-1]
  if op == "up":
    return text.upper()
  if op == "sort":
    return "".join(sorted(text))
  if op == "cut":
    return text[:-1]
  if op == "dup":
    return text + text[-1:]
  raise errors.DataError(
    f"chain operation {op!r} is unknown; use {', '.join(CHAIN_OPS)}"
  )


def calculate(left: int, op: str, right: int) -> int:
  """left op right for op in +, -, *."""
  if op == "+":
    return left + right
  return left - right if op == "-" else left * right


def terms(argument: str) -> tuple[int, list[tuple[str, int]]]:
  """A `solve` argument as its first number and (operator, number) list."""
  tail = argument.lstrip("0123456789")
  first = int(argument[: len(argument) - len(tail)])
  return first, [(op, int(number)) for op, number in _TERMS.findall(tail)]


def _solve_steps(argument: str) -> tuple[str, ...]:
  value, rest = terms(argument)
  out = []
  for op, number in rest:
    result = calculate(value, op, number)
    out.append(f"{value}{op}{number}={result}")
    value = result
  return (*out, str(value))


def _chain_steps(detail: str, argument: str) -> tuple[str, ...]:
  out = []
  for op in detail.split(","):
    argument = apply_op(op, argument)
    out.append(argument)
  return tuple(out)


def _count(detail: str) -> int | None:
  if not detail.isdecimal() or not 1 <= int(detail[:4]) <= _MAX_COUNT:
    return None
  return int(detail)


def _single(verb: str, detail: str, argument: str) -> tuple[str, str] | None:
  """(kind, content) of a task without steps; None if it is malformed."""
  is_words = _WORDS.fullmatch(argument) is not None
  if not detail:
    if is_words:
      if verb == "copy":
        return "copy", argument
      if verb == "reverse":
        return "reverse", argument[::-1]
      if verb == "upper":
        return "upper", argument.upper()
      if verb == "sort" and " " not in argument:
        return "sort_letters", "".join(sorted(argument))
    elif _NUMBERS.fullmatch(argument):
      numbers = [int(text) for text in argument.split(" ")]
      if verb == "sort":
        return "sort_numbers", " ".join(map(str, sorted(numbers)))
      if verb in ("max", "min"):
        return verb, str(max(numbers) if verb == "max" else min(numbers))
    match = _SUM.fullmatch(argument)
    if match and (verb, match[2]) in (("add", "+"), ("sub", "-")):
      value = calculate(int(match[1]), match[2], int(match[3]))
      return verb, str(value)
    return None
  if not is_words:
    return None
  if verb == "count" and len(detail) == 1 and detail.isalpha():
    return "count", str(argument.count(detail))
  number = _count(detail)
  if number is None:
    return None
  words = argument.split(" ")
  if verb == "repeat":
    return "repeat", " ".join([argument] * number)
  if verb == "take" and number <= len(words):
    return "take", " ".join(words[:number])
  return None


@functools.lru_cache(maxsize=65536)
def parse(prompt: str) -> Task:
  """Reads a prompt.

  Args:
    prompt: text of the language.

  Returns:
    The task with its exact answer.

  Raises:
    DataError: the text is not a prompt of the language.
  """
  match = _PROMPT.fullmatch(prompt) if len(prompt) <= MAX_PROMPT else None
  if match is None:
    raise errors.DataError(
      f"prompt {prompt[:60]!r} is not '<verb>[ <detail>]: <argument>"
      "[ | <style>, ...]?'"
    )
  verb, argument = match["verb"], match["argument"]
  detail, named = match["detail"] or "", match["styles"]
  styles = tuple(named.split(", ")) if named else ()
  for name in styles:
    if name not in STYLES:
      raise errors.DataError(
        f"prompt {prompt[:60]!r}: style {name!r} is unknown; use"
        f" {', '.join(STYLES)}"
      )
  if verb == "solve" and not detail and _SOLVE.fullmatch(argument):
    # A chain of products grows by at most six digits a term.
    kind, steps = "solve", _solve_steps(argument)
  elif (
    verb == "chain"
    and _WORDS.fullmatch(argument)
    and " " not in argument
    and all(op in CHAIN_OPS for op in detail.split(","))
  ):
    kind, steps = "chain", _chain_steps(detail, argument)
  else:
    single = _single(verb, detail, argument)
    if single is None:
      raise errors.DataError(
        f"prompt {prompt[:60]!r}: {verb!r} does not take this argument"
      )
    kind, steps = single[0], (single[1],)
  content = STEP_SEPARATOR.join(steps)
  return Task(
    prompt=prompt,
    answer=style(content, styles),
    kind=kind,
    content=content,
    styles=styles,
    argument=argument,
    detail=detail,
    steps=steps,
  )


def render(
  kind: str, argument: str, detail: str = "", styles: tuple[str, ...] = ()
) -> str:
  """The prompt text of a task; `parse` reads it back."""
  verb = "sort" if kind.startswith("sort_") else kind
  head = f"{verb} {detail}" if detail else verb
  tail = f" | {', '.join(styles)}" if styles else ""
  return f"{head}: {argument}{tail}?"
