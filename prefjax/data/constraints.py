# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Instructions that a program can verify, made to fit a given response.

A constraint draws parameters such that a response satisfies it, or does not;
words them; and checks any response. Words are compared without case.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from prefjax.core import errors, prng

Params = dict[str, Any]

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_POOL = (
  "amber basket canyon dolphin ember forest garden harbor island jungle"
  " kettle lantern meadow needle orchard pepper quartz ribbon saddle timber"
  " umbrella velvet walnut yellow zebra copper marble silver thunder winter"
).split()


@dataclasses.dataclass(frozen=True)
class Constraint:
  """One family of instructions.

  Attributes:
    name: what it is called in records.
    make: (key, response, satisfied) -> parameters under which `check` of that
      response is `satisfied`; None where there are none (an empty response
      contains no word). key: integer seed, JAX key or NumPy generator.
    text: parameters -> the instruction in words.
    check: (response, parameters) -> whether the response satisfies it.
  """

  name: str
  make: Callable[[Any, str, bool], Params | None]
  text: Callable[[Params], str]
  check: Callable[[str, Params], bool]


def words(response: str) -> list[str]:
  """The words of a text, folded, in order."""
  return [word.casefold() for word in _WORD.findall(response)]


def _sentences(response: str) -> int:
  return len([s for s in re.split(r"[.!?]+", response) if _WORD.search(s)])


def _paragraphs(response: str) -> int:
  parts = re.split(r"\n[^\S\n]*\n", response)
  return len([p for p in parts if _WORD.search(p)])


def _distinct(response: str) -> int:
  return len(set(words(response)))


def _at_least(count, draw: np.random.Generator, response: str, yes: bool):
  n = count(response)
  if yes:
    return {"n": int(draw.integers((n + 1) // 2, n + 1))}
  return {"n": int(draw.integers(n + 1, n + 2 + n // 2))}


def _at_most(count, draw: np.random.Generator, response: str, yes: bool):
  n = count(response)
  if yes:
    return {"n": int(draw.integers(n, n + 1 + (n + 1) // 2))}
  return {"n": int(draw.integers(n // 2, n))} if n else None


def _exactly(count, draw: np.random.Generator, response: str, yes: bool):
  n = count(response)
  if yes:
    return {"n": n}
  others = [m for m in range(1, n + 4) if m != n]
  return {"n": int(draw.choice(others))}


def _parity(draw: np.random.Generator, response: str, yes: bool):
  del draw
  even = len(words(response)) % 2 == 0
  return {"even": even == yes}


def _absent(draw: np.random.Generator, taken: Sequence[str]) -> str:
  """A word that is not among those taken."""
  free = sorted(set(_POOL) - set(taken))
  if free:
    return str(draw.choice(free))
  number = 0
  while f"word{number}" in taken:
    number += 1
  return f"word{number}"


def _include(draw: np.random.Generator, response: str, yes: bool):
  found = sorted(set(words(response)))
  if not yes:
    return {"word": _absent(draw, found)}
  return {"word": str(draw.choice(found))} if found else None


def _exclude(draw: np.random.Generator, response: str, yes: bool):
  return _include(draw, response, not yes)


def _edge_word(at: int, draw: np.random.Generator, response: str, yes: bool):
  found = words(response)
  if yes:
    return {"word": found[at]} if found else None
  other = [w for w in found if w != found[at]]
  if other and draw.random() < 0.5:
    return {"word": str(draw.choice(sorted(set(other))))}
  return {"word": _absent(draw, found)}


def _edge_check(at: int, response: str, params: Params) -> bool:
  found = words(response)
  return bool(found) and found[at] == params["word"]


def _has_case(response: str, case: str) -> bool:
  upper = any(c.isupper() for c in response)
  lower = any(c.islower() for c in response)
  return {"lower": not upper, "upper": not lower, "mixed": upper and lower}[
    case
  ]


def _case(draw: np.random.Generator, response: str, yes: bool):
  fitting = [c for c in _CASES if _has_case(response, c) == yes]
  return {"case": str(draw.choice(fitting))}


_CASES = ("lower", "upper", "mixed")
_CASE_TEXTS = {
  "lower": ("Use no capital letters.", "Write everything in lower case."),
  "upper": ("Write in capital letters only.", "Use no lower-case letters."),
  "mixed": (
    "Use both capital and small letters.",
    "Mix upper-case and lower-case letters.",
  ),
}


def _has_digit(response: str) -> bool:
  return any(c.isdigit() for c in response)


def _is_quoted(response: str) -> bool:
  text = response.strip()
  return len(text) > 1 and text[0] == text[-1] == '"'


def _wanted(holds, draw: np.random.Generator, response: str, yes: bool):
  del draw
  return {"wanted": holds(response) == yes}


def _wanted_check(holds, response: str, params: Params) -> bool:
  return holds(response) == params["wanted"]


def _number_rows():
  """name -> (count, kind, two wordings) of the numeric families."""
  return {
    "min_words": (
      lambda r: len(words(r)),
      "least",
      ("Use at least {n} words.", "Write {n} or more words."),
    ),
    "max_words": (
      lambda r: len(words(r)),
      "most",
      ("Use at most {n} words.", "Do not go over {n} words."),
    ),
    "min_distinct_words": (
      _distinct,
      "least",
      ("Use at least {n} different words.", "{n} or more words must differ."),
    ),
    "min_sentences": (
      _sentences,
      "least",
      ("Write at least {n} sentences.", "Give {n} or more sentences."),
    ),
    "max_sentences": (
      _sentences,
      "most",
      ("Write at most {n} sentences.", "Stop after {n} sentences or fewer."),
    ),
    "num_paragraphs": (
      _paragraphs,
      "exact",
      (
        "Write exactly {n} paragraphs, with a blank line between them.",
        "The number of paragraphs must be {n}; leave a line between them.",
      ),
    ),
  }


_MAKERS = {"least": _at_least, "most": _at_most, "exact": _exactly}
_CHECKS = {
  "least": lambda count, response, p: count(response) >= p["n"],
  "most": lambda count, response, p: count(response) <= p["n"],
  "exact": lambda count, response, p: count(response) == p["n"],
}


def _word_rows():
  """name -> (make, check, wordings) of the families about words."""
  return {
    "include_word": (
      _include,
      lambda r, p: p["word"] in words(r),
      ('Use the word "{word}".', 'The word "{word}" must appear.'),
    ),
    "exclude_word": (
      _exclude,
      lambda r, p: p["word"] not in words(r),
      ('Do not use the word "{word}".', 'The word "{word}" must not appear.'),
    ),
    "first_word": (
      functools.partial(_edge_word, 0),
      functools.partial(_edge_check, 0),
      ('Begin with the word "{word}".', 'Let the first word be "{word}".'),
    ),
    "last_word": (
      functools.partial(_edge_word, -1),
      functools.partial(_edge_check, -1),
      ('End with the word "{word}".', 'Let the last word be "{word}".'),
    ),
  }


def _choice_rows():
  """name -> (make, check, params -> two wordings) of the other families."""
  return {
    "word_parity": (
      _parity,
      lambda r, p: (len(words(r)) % 2 == 0) == p["even"],
      lambda p: (
        f"Use an {'even' if p['even'] else 'odd'} number of words.",
        f"The count of words must be {'even' if p['even'] else 'odd'}.",
      ),
    ),
    "letter_case": (
      _case,
      lambda r, p: _has_case(r, p["case"]),
      lambda p: _CASE_TEXTS[p["case"]],
    ),
    "digits": (
      functools.partial(_wanted, _has_digit),
      functools.partial(_wanted_check, _has_digit),
      lambda p: (
        ("Use at least one digit.", "Some digit must appear.")
        if p["wanted"]
        else ("Use no digits.", "Digits must not appear.")
      ),
    ),
    "quoted": (
      functools.partial(_wanted, _is_quoted),
      functools.partial(_wanted_check, _is_quoted),
      lambda p: (
        (
          "Put the whole answer in double quotation marks.",
          "Open and close the answer with a double quotation mark.",
        )
        if p["wanted"]
        else (
          "Do not put the answer in quotation marks.",
          "Leave the answer without quotation marks around it.",
        )
      ),
    ),
  }


def _constraint(name: str, make, check, wordings, wording: int) -> Constraint:
  """wordings: two templates, or a function of the parameters to two texts."""

  def make_with_key(key, response: str, satisfied: bool) -> Params | None:
    return make(prng.host_generator(key, name), response, bool(satisfied))

  def text(params: Params) -> str:
    if callable(wordings):
      return wordings(params)[wording]
    slot, value = next(iter(params.items()))
    return wordings[wording].replace(f"{{{slot}}}", str(value))

  return Constraint(name, make_with_key, text, check)


def _build(wording: int) -> dict[str, Constraint]:
  rows = {}
  for name, (count, kind, texts) in _number_rows().items():
    make = functools.partial(_MAKERS[kind], count)
    check = functools.partial(_CHECKS[kind], count)
    rows[name] = (make, check, texts)
  rows.update(_word_rows())
  rows.update(_choice_rows())
  return {
    name: _constraint(name, make, check, texts, wording)
    for name, (make, check, texts) in rows.items()
  }


CONSTRAINTS: Mapping[str, Constraint] = _build(0)
_OTHER_WORDING = _build(1)


def constraint_set(
  names: Sequence[str] | None = None, *, wording: int = 0
) -> tuple[Constraint, ...]:
  """Built-in constraints by name.

  Args:
    names: which; None takes all.
    wording: 0 or 1. Train on one and test on the other, so that a model does
      not learn the sentence instead of its meaning.

  Raises:
    ConfigError: an unknown name or wording; lists near matches.
  """
  if wording not in (0, 1):
    raise errors.ConfigError(f"constraint_set: wording={wording} is not 0 or 1")
  table = _OTHER_WORDING if wording else CONSTRAINTS
  out = []
  for name in table if names is None else names:
    if name not in table:
      raise errors.ConfigError(
        f"constraint_set: unknown constraint {name!r}"
        f"{errors.nearest(name, table)}; there are {', '.join(table)}"
      )
    out.append(table[name])
  return tuple(out)


def contradict(drawn: Sequence[tuple[str, Params]]) -> bool:
  """Whether no response can satisfy these built-in constraints together.

  Args:
    drawn: (name, parameters); names that are not built in are ignored.

  Returns:
    True for bounds that exclude each other and for words that are both
    wanted and forbidden. False does not promise that a response exists.
  """
  low, high, parity = {"words": 0, "sentences": 0}, {}, None
  needed, forbidden, digits = set(), set(), None
  for name, params in drawn:
    if name in ("min_words", "min_distinct_words", "num_paragraphs"):
      low["words"] = max(low["words"], params["n"])
    elif name == "min_sentences":
      low["sentences"] = max(low["sentences"], params["n"])
      low["words"] = max(low["words"], params["n"])
    elif name in ("max_words", "max_sentences"):
      unit = name.removeprefix("max_")
      high[unit] = min(high.get(unit, params["n"]), params["n"])
    elif name in ("include_word", "first_word", "last_word"):
      needed.add(params["word"])
    elif name == "exclude_word":
      forbidden.add(params["word"])
    elif name == "word_parity":
      parity = params["even"]
    elif name == "digits":
      digits = params["wanted"]
  low["words"] = max(low["words"], len(needed))
  if any(low[unit] > bound for unit, bound in high.items()):
    return True
  if low["words"] == high.get("words") and parity is not None:
    if (low["words"] % 2 == 0) != parity:
      return True
  if digits is False and any(_has_digit(word) for word in needed):
    return True
  return bool(needed & forbidden)
