# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""One group of an example as text, and the pair that most views begin with."""

import dataclasses
from collections.abc import Mapping

from prefjax.data import fields, regroup, schema

Record = schema.Record


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupText:
  """One group of one example before tokenisation.

  Attributes:
    prompt: text or conversation; '' makes each response stand alone.
    responses: K texts or conversations; none for a prompt to sample from.
    scores: [K] floats, or None.
    pairs: (better, worse) indices; None means the default (0, 1).
    pieces: for each response the texts it is made of, for segment numbers.
    kinds: for each piece its segment number, in place of its position.
    prefixes: for each response how it begins with context of weight 0.
    joint: the prompts belong to the responses: everything after the start of
      the template counts (without one, after the first token), with segment 0
      for the instruction and 1 for the answer.
    eos: whether responses end with the end-of-sequence token.
  """

  prompt: schema.Text
  responses: tuple[schema.Text, ...]
  scores: tuple[float, ...] | None = None
  pairs: tuple[tuple[int, int], ...] | None = None
  pieces: tuple[tuple[str, ...], ...] | None = None
  kinds: tuple[tuple[int, ...], ...] | None = None
  prefixes: tuple[str, ...] | None = None
  joint: bool = False
  eos: bool = True


Groups = Mapping[str, GroupText]


def need(record: Record, number: int, view_name: str) -> None:
  if len(record.responses) < number:
    raise fields.Problem(
      "responses",
      f"are {len(record.responses)}, view {view_name} needs {number}",
    )


def _prefixes(record: Record, number: int) -> tuple[str, ...] | None:
  """Context that each response repeats, as records may carry it."""
  value = record.metadata.get("context_prefixes")
  if value is None:
    return None
  items = fields.sequence(
    value, "context_prefixes", most=number, what="prefixes"
  )
  if len(items) != number:
    raise fields.Problem("context_prefixes", f"are not {number}")
  return tuple(fields.string(v, "context_prefixes", empty=True) for v in items)


def preferred(record: Record) -> tuple[int, int]:
  """Places of the better and the worse response.

  Raises:
    Problem: there are not two, or none is preferred.
  """
  need(record, 2, "pair")
  if record.kind == "pair" and record.pairs:
    return record.pairs[0]
  found = regroup.pairs_from_scores(record.scores, "best_worst")
  if not found:
    raise fields.Problem("scores", "do not prefer any response")
  return found[0]


def pair(record: Record, *, pairs: str, eos: bool) -> Groups:
  """Two responses, the better one first."""
  better, worse = preferred(record)
  del pairs
  scores = None
  if record.scores is not None and None not in (
    record.scores[better],
    record.scores[worse],
  ):
    scores = (record.scores[better], record.scores[worse])
  prefixes = _prefixes(record, len(record.responses))
  return {
    "main": GroupText(
      prompt=record.prompt,
      responses=(record.responses[better], record.responses[worse]),
      scores=scores,
      prefixes=None
      if prefixes is None
      else (prefixes[better], prefixes[worse]),
      eos=eos,
    )
  }
