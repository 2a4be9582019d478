# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Draws tasks: which kinds, how hard, in which split.

The split of a prompt is a property of its text without the styles (a hash of
kind, detail and argument), so train and held-out prompts never overlap, for
any seed, and a held-out argument is not in train under another style.
"""

import dataclasses
import itertools
import zlib
from collections.abc import Iterator

import numpy as np

from prefjax.core import errors
from prefjax.data.language import grammar, randomness

SPLITS = ("train", "valid", "heldout")
# Of 16 hash buckets: one is valid, two are held out, the rest train.
_BUCKETS = 16
_VALID_BUCKETS = (0,)
_HELDOUT_BUCKETS = (1, 2)
_MAX_TRIES = 4096


@dataclasses.dataclass(frozen=True)
class Language:
  """What is drawn; parsing and scoring do not depend on it.

  Attributes:
    kinds: (kind, weight) pairs; weights need not sum to one.
    letters: smallest and largest length of a string argument, characters.
    word_letters: the same for words in a list of words, and for repeat.
    alphabet: characters of string arguments.
    numbers: smallest and largest how many numbers in a list.
    largest: largest number in a list or sum.
    operations: smallest and largest number of operations of solve, chain.
    max_words: largest word count of copy and take.
    style_rate: probability that a prompt asks for a style.
    second_style_rate: probability that it then asks for a second one.
    longest: filler keeps responses to this many bytes (at least 24).
  """

  kinds: tuple[tuple[str, float], ...] = tuple(
    (kind, 1.0) for kind in grammar.KINDS
  )
  letters: tuple[int, int] = (3, 6)
  word_letters: tuple[int, int] = (3, 4)
  alphabet: str = "abcdefghijklmnopqrstuvwxyz"
  numbers: tuple[int, int] = (3, 4)
  largest: int = 20
  operations: tuple[int, int] = (2, 3)
  max_words: int = 3
  style_rate: float = 0.4
  second_style_rate: float = 0.25
  longest: int = 32

  def __post_init__(self):
    for kind, weight in self.kinds:
      if kind not in grammar.KINDS:
        raise errors.ConfigError(
          f"Language.kinds: unknown kind {kind!r}"
          + errors.nearest(kind, grammar.KINDS)
        )
      if weight < 0:
        raise errors.ConfigError(
          f"Language.kinds: weight of {kind} is {weight}; use 0 or more"
        )
    if not any(weight > 0 for _, weight in self.kinds):
      raise errors.ConfigError("Language.kinds: no kind has a weight above 0")
    for name, low in (
      ("letters", 2),
      ("word_letters", 2),
      ("numbers", 2),
      ("operations", 1),
    ):
      first, last = getattr(self, name)
      if not low <= first <= last:
        raise errors.ConfigError(
          f"Language.{name}={(first, last)} is not a range of {low} or more"
        )
    if not (self.alphabet.isascii() and self.alphabet.islower()):
      raise errors.ConfigError(
        f"Language.alphabet={self.alphabet!r} is not lower-case a-z"
      )
    if self.longest < 24:
      raise errors.ConfigError(
        f"Language.longest={self.longest} leaves no room for filler; use 24"
        " or more"
      )
    if self.largest < 4 or not 1 <= self.max_words <= 8:
      raise errors.ConfigError(
        f"Language.largest={self.largest} must be 4 or more and"
        f" max_words={self.max_words} in 1..8"
      )


# Everything, for experiments.
FULL = Language()

# Short strings and single steps: what a model of a million parameters learns
# from scratch in a minute or two. Prompts stay within 32 bytes, responses
# within 24.
QUICK = Language(
  kinds=(
    ("copy", 2.0),
    ("upper", 2.0),
    ("repeat", 1.0),
    ("take", 1.0),
    ("max", 1.0),
    ("min", 1.0),
    ("sort_numbers", 1.0),
    ("add", 1.0),
    ("count", 0.5),
    ("reverse", 1.0),
  ),
  letters=(2, 4),
  word_letters=(2, 3),
  alphabet="abcdefghijkl",
  numbers=(3, 3),
  largest=9,
  max_words=2,
  longest=24,
)


# What a model of half a million parameters learns from scratch in a minute:
# no arithmetic and nothing backwards, but too many prompts to learn by heart.
# For the quickstart.
EASY = dataclasses.replace(
  QUICK,
  kinds=(
    ("copy", 2.0),
    ("upper", 2.0),
    ("repeat", 1.0),
    ("take", 1.0),
    ("max", 1.0),
    ("min", 1.0),
  ),
  alphabet="abcdefghijklmnopqrstuvwxyz",
)


def split_of(prompt: str) -> str:
  """The split a prompt belongs to: 'train', 'valid' or 'heldout'.

  Raises:
    DataError: the text is not a prompt of the language.
  """
  task = grammar.parse(prompt)
  return _split(task.kind, task.argument, task.detail)


def _split(kind: str, argument: str, detail: str) -> str:
  bucket = zlib.crc32(f"{kind}|{detail}|{argument}".encode()) % _BUCKETS
  if bucket in _VALID_BUCKETS:
    return "valid"
  return "heldout" if bucket in _HELDOUT_BUCKETS else "train"


def _letters(
  draw: randomness.Draws, alphabet: str, lengths: tuple[int, int]
) -> str:
  length = draw.between(*lengths)
  return "".join([draw.pick(alphabet) for _ in range(length)])


def _string(draw: randomness.Draws, language: Language) -> str:
  return _letters(draw, language.alphabet, language.letters)


def _words(draw: randomness.Draws, language: Language, count: int) -> str:
  return " ".join(
    [
      _letters(draw, language.alphabet, language.word_letters)
      for _ in range(count)
    ]
  )


def _numbers(draw, language: Language, distinct: bool) -> str:
  count = draw.between(*language.numbers)
  chosen: list[int] = []
  while len(chosen) < count:
    number = draw.below(language.largest + 1)
    if not distinct or number not in chosen or language.largest < count:
      chosen.append(number)
  return " ".join(map(str, chosen))


def _solve(draw, language: Language) -> str:
  """A sum whose running value stays in 0 .. 2 * largest."""
  value = draw.between(1, language.largest)
  text = str(value)
  for _ in range(draw.between(*language.operations)):
    number = draw.between(1, 9)
    op = draw.pick("+-")
    if op == "-" and number > value:
      op = "+"
    elif op == "+" and value + number > 2 * language.largest:
      op = "-"
    if draw.chance(0.2) and value * number <= 2 * language.largest:
      op = "*"
    value = grammar.calculate(value, op, number)
    text += f"{op}{number}"
  return text


def _chain(draw, language: Language) -> tuple[str, str]:
  argument = _string(draw, language)
  ops: list[str] = []
  length = len(argument)
  for _ in range(draw.between(*language.operations)):
    op = draw.pick(grammar.CHAIN_OPS)
    # No operation twice in a row, none that would empty the string.
    while (ops and op == ops[-1]) or (op == "cut" and length < 3):
      op = draw.pick(grammar.CHAIN_OPS)
    length += {"cut": -1, "dup": 1}.get(op, 0)
    ops.append(op)
  return ",".join(ops), argument


def _body(draw, language: Language, kind: str) -> tuple[str, str]:
  """(detail, argument) of a kind."""
  if kind in ("reverse", "upper", "sort_letters"):
    return "", _string(draw, language)
  if kind == "copy":
    count = draw.between(1, language.max_words) if draw.chance(0.3) else 1
    if count == 1:
      return "", _string(draw, language)
    return "", _words(draw, language, count)
  if kind == "repeat":
    return str(draw.between(2, 3)), _words(draw, language, 1)
  if kind in ("sort_numbers", "max", "min"):
    return "", _numbers(draw, language, distinct=True)
  if kind in ("add", "sub"):
    left = draw.below(language.largest + 1)
    right = draw.below(language.largest + 1)
    if kind == "sub" and right > left:
      left, right = right, left
    return "", f"{left}{'+' if kind == 'add' else '-'}{right}"
  if kind == "count":
    letter = draw.pick(language.alphabet)
    text = list(_string(draw, language))
    for _ in range(draw.below(3)):
      text.insert(draw.below(len(text) + 1), letter)
    return letter, "".join(text)
  if kind == "take":
    count = draw.between(2, max(2, language.max_words))
    return str(draw.between(1, count - 1)), _words(draw, language, count)
  if kind == "solve":
    return "", _solve(draw, language)
  return _chain(draw, language)


def _styles(draw, language: Language, kind: str) -> tuple[str, ...]:
  if not draw.chance(language.style_rate):
    return ()
  allowed = ["!", "polite", "brief"]
  if kind in grammar.STEP_KINDS:
    allowed = ["brief"]
  elif kind not in grammar.NUMERIC_KINDS and kind not in (
    "upper",
    "sort_numbers",
  ):
    allowed.append("caps")
  chosen = {draw.pick(allowed)}
  if draw.chance(language.second_style_rate):
    chosen.add(draw.pick(allowed))
  return tuple(name for name in grammar.STYLES if name in chosen)


def sample(
  rng: randomness.Draws | np.random.Generator,
  language: Language = QUICK,
  split: str = "train",
) -> grammar.Task:
  """Draws one task of a split.

  Args:
    rng: where the randomness comes from; it is advanced.
    language: what to draw.
    split: 'train', 'valid' or 'heldout'.

  Returns:
    The task.

  Raises:
    ConfigError: the split is unknown, or the language is so small that it
      has no prompt of this split.
  """
  if split not in SPLITS:
    raise errors.ConfigError(
      f"split={split!r} is not one of {', '.join(SPLITS)}"
    )
  draw = randomness.Draws.of(rng)
  kinds = [kind for kind, _ in language.kinds]
  edges = list(itertools.accumulate(weight for _, weight in language.kinds))
  kind = draw.weighted(kinds, edges)
  styles = _styles(draw, language, kind)
  for _ in range(_MAX_TRIES):
    detail, argument = _body(draw, language, kind)
    if _split(kind, argument, detail) == split:
      return grammar.parse(grammar.render(kind, argument, detail, styles))
  raise errors.ConfigError(
    f"no {kind} prompt of split {split!r} in {_MAX_TRIES} draws; enlarge"
    " letters, alphabet, numbers or largest"
  )


def task(
  seed: int, index: int, split: str = "train", language: Language = QUICK
) -> grammar.Task:
  """Task number `index` of a seed and split."""
  rng = randomness.draws(seed, index, "tasks", split)
  return sample(rng, language, split)


def tasks(
  seed: int,
  count: int,
  split: str = "train",
  language: Language = QUICK,
  start: int = 0,
) -> Iterator[grammar.Task]:
  """Tasks start .. start + count - 1; the same ones as `task` gives."""
  for rng in randomness.stream(seed, start, count, "tasks", split):
    yield sample(rng, language, split)
