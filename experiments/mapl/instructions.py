# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Topics, responses and instructions of a few bytes each.

A prompt is a topic ('P', 'Q' or 'R', each with two letters of its own) and
instructions such as '+c' (has a c), '^a' (begins with it) or '<6' (fewer than
six letters). A response is a string of letters; its base quality is the share
of letters that belong to the topic.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from prefjax import data
from prefjax.core import prng

TOPICS = {"P": "ab", "Q": "cd", "R": "ef"}
LETTERS = "".join(TOPICS.values())
SHORTEST, LONGEST = 3, 6


def response(rng: np.random.Generator, topic: str | None = None) -> str:
  """Random letters; with a topic, some share of them is the topic's."""
  number = int(rng.integers(SHORTEST, LONGEST + 1))
  share = rng.uniform() if topic else 0.0
  out = []
  for own, place in rng.uniform(size=(number, 2)):
    letters = TOPICS[topic] if topic and own < share else LETTERS
    out.append(letters[int(place * len(letters))])
  return "".join(out)


def quality(topic: str, text: str) -> float:
  """Share of letters that belong to the topic."""
  return sum(c in TOPICS[topic] for c in text) / len(text)


# sign -> (what it may be about, whether a response meets it). Every one can be
# met and missed by some response.
FAMILIES = {
  "+": (LETTERS, lambda r, x: x in r),
  "-": (LETTERS, lambda r, x: x not in r),
  "^": (LETTERS, lambda r, x: r[0] == x),
  "$": (LETTERS, lambda r, x: r[-1] == x),
  ">": ("345", lambda r, x: len(r) > int(x)),
  "<": ("456", lambda r, x: len(r) < int(x)),
  "#": ("345", lambda r, x: len(set(r)) >= int(x)),
}


def _constraint(sign: str) -> data.Constraint:
  about, holds = FAMILIES[sign]

  def make(key, text, satisfied):
    found = [x for x in about if holds(text, x) == bool(satisfied)]
    if not found:
      return None
    return {"x": found[prng.host_generator(key, sign).integers(len(found))]}

  return data.Constraint(
    sign,
    make,
    lambda params: f"{sign}{params['x']}",
    lambda text, params: holds(text, params["x"]),
  )


CONSTRAINTS: Sequence[data.Constraint] = [_constraint(s) for s in FAMILIES]
BY_NAME = {constraint.name: constraint for constraint in CONSTRAINTS}


def contradict(drawn: Sequence[tuple[str, Any]]) -> bool:
  """Whether no response can meet all of these instructions."""
  by = {name: params["x"] for name, params in drawn}
  shortest = max(int(by.get(">", 2)) + 1, int(by.get("#", SHORTEST)))
  wanted = {by.get("+"), by.get("^"), by.get("$")} - {None}
  return by.get("-") in wanted or shortest >= int(by.get("<", LONGEST + 1))


def draw(rng: np.random.Generator, number: int) -> list[tuple[str, Any]]:
  """(name, parameters) of instructions that a random response mostly meets."""
  while True:
    text = response(rng)
    picked = rng.permutation(len(CONSTRAINTS))[:number]
    out = []
    for one in (CONSTRAINTS[at] for at in picked):
      params = one.make(rng, text, rng.uniform() < 0.7)
      if params is not None:
        out.append((one.name, params))
    if len(out) == number and not contradict(out):
      return out


def met(text: str, drawn: Sequence[tuple[str, Any]]) -> int:
  """How many instructions a response meets."""
  return sum(BY_NAME[name].check(text, params) for name, params in drawn)


def prompt(topic: str, drawn: Sequence[tuple[str, Any]]) -> str:
  """The topic with instructions after it, as `data.add_instructions` does."""
  texts = [BY_NAME[name].text(params) for name, params in drawn]
  return f"{topic}\n{' '.join(texts)}" if texts else topic
