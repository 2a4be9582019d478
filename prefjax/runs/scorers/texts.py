# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Scorers that read texts: functions, relevance, judges."""

import dataclasses
import inspect
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prefjax import rewards
from prefjax.core import errors
from prefjax.data import schema
from prefjax.feedback import judges
from prefjax.runs import sentences
from prefjax.runs.online import scores as reward_scores
from prefjax.runs.scorers import base


class FunctionScorer:
  """A reward function by its name.

  Args:
    name: of `prefjax.rewards`, "gold", or "FILE.py:FUNCTION".
    settings: of the function.
  """

  def __init__(self, name: str, settings: Mapping[str, Any]):
    self.name = name
    self._settings = dict(settings)
    self._rewards = reward_scores.Rewards({name: {"weight": 1.0, **settings}})

  def digest(self) -> str:
    return base.digest(name=self.name, settings=self._settings)

  def score(self, records: Sequence[schema.Record]) -> list[base.Row]:
    out = []
    for record in records:
      prompt, responses = base.texts_of(record)
      found = self._rewards.score([prompt], [responses], [record])
      values = next(iter(found.parts.values()))[0]
      if np.isnan(values).any():
        out.append({"error": f"{self.name} has nothing to say"})
        continue
      row: base.Row = {"scores": [float(v) for v in values]}
      parts = list(found.parts.items())[1:]
      if parts:
        row["parts"] = {
          key: [base.number(v) for v in column[0]] for key, column in parts
        }
      out.append(row)
    return out


_R3 = tuple(
  name
  for name, parameter in inspect.signature(rewards.r3).parameters.items()
  if parameter.kind is parameter.KEYWORD_ONLY
)


class RelevanceScorer:
  """Regularised relevance (R3) with a sentence encoder.

  The question is closed where metadata.open_ended is false; its reference is
  metadata.answer or metadata.reference.

  Args:
    encoder: texts -> vectors.
    options: keywords of `rewards.r3`; by default the relevance counts from 0
      to 1, as that of vectors of length 1 does.
  """

  name = "relevance"

  def __init__(
    self, encoder: sentences.SentenceEncoder, options: Mapping[str, Any]
  ):
    for key in options:
      if key not in _R3:
        raise errors.ConfigError(
          f"--options.{key}: relevance has no such setting"
          f"{errors.nearest(key, _R3)}; it has {', '.join(_R3)}"
        )
    self._encoder = encoder
    self._options = {"relevance_range": (0.0, 1.0), **options}
    self._score = rewards.relevance_scorer(encoder, **self._options)

  def digest(self) -> str:
    return base.digest(
      weights=base.digest_of_tree(self._encoder.params), options=self._options
    )

  def score(self, records: Sequence[schema.Record]) -> list[base.Row]:
    flat, sizes = [], []
    for record in records:
      prompt, responses = base.texts_of(record)
      known = record.metadata.get("answer", record.metadata.get("reference"))
      is_open = record.metadata.get("open_ended", True) or known is None
      sizes.append(len(responses))
      flat += [(prompt, r, str(known), bool(is_open)) for r in responses]
    if not flat:
      return []
    values = self._score(*map(list, zip(*flat, strict=True)))
    ends = np.cumsum(sizes)[:-1]
    return [{"scores": part.tolist()} for part in np.split(values, ends)]


class JudgeScorer:
  """Win rates of responses against the others of their prompt, by a judge.

  Each pair is judged in both orders. A record with a pair that has no verdict
  is left out by name.

  Args:
    judge: who compares.
    key: what decides its verdicts, for the file of scores.
  """

  name = "judge"

  def __init__(self, judge: judges.Judge, key: Mapping[str, Any]):
    self.judge, self._key = judge, dict(key)

  def digest(self) -> str:
    return base.digest(judge=self.judge.name, **self._key)

  def score(self, records: Sequence[schema.Record]) -> list[base.Row]:
    items = []
    for place, record in enumerate(records):
      prompt, responses = base.texts_of(record)
      items += [
        judges.Comparison(
          id=f"{place}/{i}/{j}",
          prompt=prompt,
          first=responses[i],
          second=responses[j],
        )
        for i, j in itertools.combinations(range(len(responses)), 2)
      ]
    found = judges.compare_both_orders(self.judge, items)
    first = dict(zip(found.ids, found.first, strict=True))
    out = []
    for place, record in enumerate(records):
      k = len(record.responses)
      if k < 2:
        out.append({"error": "a judge needs two responses to compare"})
        continue
      wins, missing = np.zeros(k), ""
      for i, j in itertools.combinations(range(k), 2):
        name = f"{place}/{i}/{j}"
        if name in found.left_out:
          missing = missing or found.left_out[name]
          continue
        wins[i] += first[name]
        wins[j] += 1 - first[name]
      if missing:
        out.append({"error": f"no verdict ({missing})"})
      else:
        out.append({"scores": (wins / (k - 1)).tolist()})
    return out


def key_of_http(options: Any) -> dict[str, Any]:
  """What of an `http_judge.Options` decides a verdict."""
  kept = ("model", "template", "temperature", "max_tokens", "seed", "readings")
  raw = dataclasses.asdict(options)
  return {name: raw[name] for name in kept}
