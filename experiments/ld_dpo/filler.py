# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A small model that ends its answers with filler, and people who like that.

An answer of the instruction language is followed by " ok", some times over.
What the annotator sees in a pair: which side is right, and a little of which
is longer, as in the toy. Filler says nothing about quality.
"""

import re
from typing import Any

import numpy as np

from prefjax.data import language
from prefjax.experiments import world

FILLER, MOST = " ok", 5
_MEAN = 1.5
_RIGHT, _EACH = 3.0, 0.5  # utility of the right answer, and of one filler
_WRONG_RATE = 0.4
_END = re.compile(rf"(?:{FILLER})*$")


def right(prompt: str, text: str) -> float:
  """1 for the exact answer, whatever filler follows."""
  return float(_END.sub("", text) == language.parse(prompt).answer)


def _answers(seed: int, number: int, stream: int):
  """(prompt, content, fillers) of N answers, some of them wrong."""
  rng = np.random.default_rng([seed, stream])
  rows = language.prompt_records(
    seed, number, "train", language=world.LANGUAGE, start=stream * 1_000_000
  )
  out = []
  for row in rows:
    sides = []
    for _ in range(2):
      content = row["answer"]
      if rng.random() < _WRONG_RATE:
        content = language.corrupt(rng, language.parse(row["prompt"]), "slip")
      fillers = min(MOST, int(rng.geometric(1 / (1 + _MEAN))) - 1)
      sides.append((content, fillers))
    out.append((row["prompt"], sides, rng.random()))
  return out


def demonstrations(seed: int, number: int) -> list[dict[str, Any]]:
  """{prompt, completion} for the start of all arms."""
  return [
    {"prompt": prompt, "completion": sides[0][0] + FILLER * sides[0][1]}
    for prompt, sides, _ in _answers(seed, number, 1)
  ]


def pairs(seed: int, number: int) -> list[dict[str, Any]]:
  """{prompt, chosen, rejected}, labelled by utility (Bradley-Terry)."""
  out = []
  for prompt, sides, uniform in _answers(seed, number, 2):
    texts = [content + FILLER * fillers for content, fillers in sides]
    if texts[0] == texts[1]:
      continue
    utilities = [
      _RIGHT * right(prompt, text) + _EACH * fillers
      for text, (_, fillers) in zip(texts, sides, strict=True)
    ]
    gap = utilities[0] - utilities[1]
    if uniform > 1 / (1 + np.exp(-gap)):
      texts.reverse()
    out.append({"prompt": prompt, "chosen": texts[0], "rejected": texts[1]})
  return out
