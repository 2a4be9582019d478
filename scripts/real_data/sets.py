# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Public sets of real responses, and what is right about each."""

import dataclasses
import hashlib
import itertools
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from prefjax import data
from prefjax.data import readers
from prefjax.runs.scorers import base

Records = list[data.Record]


@dataclasses.dataclass(frozen=True)
class Set:
  """A file of real responses.

  Attributes:
    path: below the folder of data.
    what: what decides which response is better.
    columns: preset of its columns, or None.
    rating: attribute of single responses that are grouped by prompt, or "".
    held_out: only so many are scored and the rest trains, or 0.
  """

  path: str
  what: str
  columns: str | None = None
  rating: str = ""
  held_out: int = 0


SETS = {
  "hhh-alignment": Set("hhh-alignment/pairs.jsonl", "people"),
  "llmbar": Set("llmbar/pairs.jsonl", "people", "llmbar"),
  "tool-reward": Set("tool-reward/pairs.jsonl.gz", "a check", "tool_reward"),
  "dpo-demo": Set("dpo-kto-demo/dpo.jsonl.gz", "a model"),
  "topical-chat": Set(
    "human-ratings/topical_chat.jsonl.gz", "people", "topical_chat", "overall"
  ),
  "pandalm": Set("pandalm/pairs.jsonl", "most of 3 people", "pandalm"),
  "gsm8k-solutions": Set(
    "gsm8k/solutions_k4.jsonl.gz", "a check", "gsm8k_solutions"
  ),
  "hh-rlhf-harmless": Set("hh-rlhf-harmless/pairs.jsonl.gz", "people"),
  "hh-rlhf-harmless-held-out": Set(
    "hh-rlhf-harmless/pairs.jsonl.gz", "people", held_out=300
  ),
}
# Files that a reward model was trained on a part of.
_TRAINED = {source.path for source in SETS.values() if source.held_out}


def _grouped(records: Records, rating: str) -> Records:
  """Rated responses to one prompt as one record with scores."""
  groups: dict[Any, Records] = {}
  for record in records:
    groups.setdefault(record.prompt, []).append(record)
  out = []
  for rows in groups.values():
    scores = [(r.attributes or ({},))[0].get(rating) for r in rows]
    if len(rows) < 2 or None in scores:
      continue
    out.append(
      dataclasses.replace(
        rows[0],
        kind="ranked",
        responses=tuple(r.responses[0] for r in rows),
        scores=tuple(float(s) for s in scores),
        attributes=None,
      )
    )
  return out


def read(folder: pathlib.Path, source: Set) -> Records:
  found = readers.read(
    folder / source.path, columns=source.columns, on_bad="skip"
  )
  records = list(found.records)
  if source.rating:
    records = _grouped(records, source.rating)
  return [record for record in records if pairs_of(record)]


def split(records: Records, held_out: int) -> tuple[Records, Records]:
  """(held out, training) records that share no prompt."""
  if not held_out:
    return records, []
  kept = sample(records, held_out)
  prompts = {base.texts_of(record)[0] for record in kept}
  rest = [r for r in records if base.texts_of(r)[0] not in prompts]
  return kept, rest


def pairs_of(record: data.Record) -> list[tuple[int, int]]:
  """(better, worse) responses that are not the same text."""
  if record.pairs is not None:
    found = list(record.pairs)
  elif record.scores is not None and None not in record.scores:
    found = [
      (i, j)
      for i, j in itertools.permutations(range(len(record.scores)), 2)
      if record.scores[i] > record.scores[j]
    ]
  else:
    found = []
  return [
    (i, j) for i, j in found if record.responses[i] != record.responses[j]
  ]


def sample(records: Records, limit: int) -> Records:
  """At most so many, the same ones at every call."""
  if not limit or len(records) <= limit:
    return records

  def place(record):
    return hashlib.sha256(record.id.encode()).hexdigest()

  return sorted(records, key=place)[:limit]


def was_trained_on(name: str) -> bool:
  """Whether a reward model may have learnt from a set."""
  return SETS[name].path in _TRAINED and not SETS[name].held_out


def accuracy(record: data.Record, scores: Sequence[float]) -> float:
  """Share of a prompt's pairs in the right order; a tie counts half."""
  gaps = [scores[i] - scores[j] for i, j in pairs_of(record)]
  return float(np.mean([0.5 * (1 + np.sign(gap)) for gap in gaps]))


def by_prompt(
  records: Sequence[data.Record], scores: Sequence[Sequence[float]]
) -> list[float]:
  """Accuracy on each prompt: the mean of its records, of which some have many.

  Records that share a prompt are not independent, so that intervals must
  resample prompts and not records.
  """
  found: dict[str, list[float]] = {}
  for record, row in zip(records, scores, strict=True):
    prompt = base.texts_of(record)[0]
    found.setdefault(prompt, []).append(accuracy(record, row))
  return [float(np.mean(rows)) for rows in found.values()]
