# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Records of groups: k graded responses to one prompt, scored or rated."""

from prefjax.core import errors
from prefjax.data.language import (
  corruption,
  grammar,
  producers,
  randomness,
  sampling,
  scoring,
)

_MAX_TRIES = 64


def _group(
  draw: randomness.Draws,
  task: grammar.Task,
  grades: corruption.Mixture,
  k: int,
  longest: int,
) -> tuple[list[str], list[str]]:
  """(qualities, responses): k different responses in random order."""
  qualities: list[str] = []
  responses: list[str] = []
  for attempt in range(_MAX_TRIES * k):
    if len(responses) == k:
      return qualities, responses
    quality = grades.draw(draw)
    # Grades differ while the mixture has enough of them.
    if quality in qualities and len(grades) >= k and attempt < _MAX_TRIES:
      continue
    response = corruption.corrupt(draw, task, quality, longest=longest)
    if response not in responses:
      qualities.append(quality)
      responses.append(response)
  raise errors.ConfigError(
    f"fewer than k={k} different responses to {task.prompt!r}; lower k or"
    " widen the mixture"
  )


def _check_k(k: int) -> None:
  if not 2 <= k <= 16:
    raise errors.ConfigError(f"k={k} responses a prompt is outside 2..16")


def ranked_records(
  seed: int,
  n: int,
  split: str = "train",
  *,
  k: int = 4,
  noise: float = 0.0,
  mixture: producers.Mixture | None = None,
  language: sampling.Language = sampling.QUICK,
  start: int = 0,
) -> list[producers.Record]:
  """{prompt, responses, scores}: groups of k graded responses.

  Args:
    seed, n, split, language, start: see `producers.prompt_records`.
    k: responses a prompt, 2..16, all different.
    noise: standard deviation added to the gold rewards.
    mixture: weights of quality grades, default all alike.
  """
  _check_k(k)
  if not noise >= 0:
    raise errors.ConfigError(f"noise={noise} must be 0 or more")
  grades = corruption.Mixture(producers.GRADES if mixture is None else mixture)
  out = []
  for draw, task in producers.stream("ranked", seed, n, split, start, language):
    qualities, responses = _group(draw, task, grades, k, language.longest)
    golds = [scoring.gold_reward(task.prompt, r) for r in responses]
    scores = [g + noise * draw.normal() if noise else g for g in golds]
    out.append(
      {
        "prompt": task.prompt,
        "responses": responses,
        "scores": [round(score, producers.DIGITS) for score in scores],
        "metadata": {
          "kind": task.kind,
          "qualities": qualities,
          "golds": [round(gold, producers.DIGITS) for gold in golds],
        },
      }
    )
  return producers.numbered(out, "ranked", seed, split, start)


def rated_records(
  seed: int,
  n: int,
  split: str = "train",
  *,
  k: int = 4,
  levels: int = 5,
  noise: float = 0.0,
  missing: float = 0.0,
  mixture: producers.Mixture | None = None,
  language: sampling.Language = sampling.QUICK,
  start: int = 0,
) -> list[producers.Record]:
  """{prompt, responses, ratings, scores}: ratings 1..levels by aspect.

  Args:
    seed, n, split, language, start: see `producers.prompt_records`.
    k: responses a prompt, 2..16, all different.
    levels: highest rating; 1 is the lowest.
    noise: standard deviation of a rating before rounding, in levels.
    missing: probability that an aspect's rating is left out.
    mixture: weights of quality grades, default all alike.

  Returns:
    n records; `ratings` holds one {aspect: rating} a response and `scores`
    an overall rating a response, the gold reward seen with the same noise.
  """
  _check_k(k)
  if levels < 2 or not noise >= 0 or not 0 <= missing <= 1:
    raise errors.ConfigError(
      f"levels={levels} must be 2 or more, noise={noise} 0 or more and"
      f" missing={missing} in [0, 1]"
    )
  grades = corruption.Mixture(producers.GRADES if mixture is None else mixture)

  def rate(draw: randomness.Draws, value: float) -> int:
    level = 1 + (levels - 1) * value
    if noise:
      level += noise * draw.normal()
    return max(1, min(levels, int(level + 0.5)))

  out = []
  for draw, task in producers.stream("rated", seed, n, split, start, language):
    qualities, responses = _group(draw, task, grades, k, language.longest)
    golds = [scoring.gold_reward(task.prompt, r) for r in responses]
    ratings = [
      {
        name: rate(draw, value)
        for name, value in scoring.aspects(task.prompt, response).items()
        if not (missing and draw.chance(missing))
      }
      for response in responses
    ]
    out.append(
      {
        "prompt": task.prompt,
        "responses": responses,
        "ratings": ratings,
        "scores": [rate(draw, gold) for gold in golds],
        "metadata": {
          "kind": task.kind,
          "qualities": qualities,
          "golds": [round(gold, producers.DIGITS) for gold in golds],
        },
      }
    )
  return producers.numbered(out, "rated", seed, split, start)
