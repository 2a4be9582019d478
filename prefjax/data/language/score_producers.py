# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Records for classifiers helped by preferences, and for steered policies."""

import math

from prefjax.core import errors
from prefjax.data import annotations
from prefjax.data.language import (
  corruption,
  group_producers,
  producers,
  sampling,
  scoring,
)

_MAX_TRIES = 64


def labelled_records(
  seed: int,
  n: int,
  split: str = "train",
  *,
  threshold: float = 0.7,
  flip_rate: float = 0.0,
  tie_band: float = 0.0,
  mixture: producers.Mixture | None = None,
  language: sampling.Language = sampling.QUICK,
  start: int = 0,
) -> list[producers.Record]:
  """{prompt, chosen, rejected, label, tie}: two answers of one class.

  Args:
    seed, n, split, language, start: see `producers.prompt_records`.
    threshold: gold reward from which an answer is of class 1.
    flip_rate: probability that the preference is turned around.
    tie_band: gaps of gold reward up to this are ties.
    mixture: weights of quality grades.

  Returns:
    n records. Of class 1 the chosen answer is the better one, of class 0 the
    worse one: it shows its class more.

  Raises:
    ConfigError: an argument is out of range, or no two answers share a class.
  """
  if not 0 < threshold <= 1 or not 0 <= flip_rate <= 1 or not tie_band >= 0:
    raise errors.ConfigError(
      f"threshold={threshold} must be in (0, 1], flip_rate={flip_rate} in"
      f" [0, 1] and tie_band={tie_band} 0 or more"
    )
  grades = corruption.Mixture(producers.GRADES if mixture is None else mixture)
  out = []
  for draw, task in producers.stream(
    "labelled", seed, n, split, start, language
  ):
    for _ in range(_MAX_TRIES):
      answers = [
        corruption.corrupt(
          draw, task, grades.draw(draw), longest=language.longest
        )
        for _ in range(2)
      ]
      golds = [scoring.gold_reward(task.prompt, answer) for answer in answers]
      labels = [gold >= threshold for gold in golds]
      if labels[0] == labels[1] and answers[0] != answers[1]:
        break
    else:
      raise errors.ConfigError(
        f"no two answers to {task.prompt!r} share a class; widen the mixture"
      )
    # In order of how much they show the class.
    more = golds[0] > golds[1] if labels[0] else golds[0] < golds[1]
    order = (0, 1) if more != draw.chance(flip_rate) else (1, 0)
    out.append(
      {
        "prompt": task.prompt,
        "chosen": answers[order[0]],
        "rejected": answers[order[1]],
        "metadata": {
          "label": int(labels[0]),
          "tie": int(abs(golds[0] - golds[1]) <= tie_band),
          "kind": task.kind,
          "golds": [round(golds[i], producers.DIGITS) for i in order],
        },
      }
    )
  return producers.numbered(out, "labelled", seed, split, start)


def _log_likelihood(ratings, wanted, levels: int, scale: float) -> float:
  """log P(wanted | answer) of a rater whose noise is `scale` levels."""
  total = 0.0
  for name, level in wanted.items():
    energy = [
      -((grade - ratings[name]) ** 2) / (2 * scale**2)
      for grade in range(1, levels + 1)
    ]
    top = max(energy)
    norm = top + math.log(sum(math.exp(e - top) for e in energy))
    total += energy[level - 1] - norm
  return total


def steered_records(
  seed: int,
  n: int,
  split: str = "train",
  *,
  k: int = 4,
  levels: int = 5,
  scale: float = 0.5,
  mixture: producers.Mixture | None = None,
  language: sampling.Language = sampling.QUICK,
  start: int = 0,
) -> list[producers.Record]:
  """{prompt, responses, scores, metadata.groups.prior}: wanted attributes.

  Args:
    seed, n, split, language, start: see `producers.prompt_records`.
    k: samples of each prompt.
    levels: highest rating; 1 is the lowest.
    scale: standard deviation of a rater, in levels.
    mixture: weights of quality grades.

  Returns:
    n records. The prompt ends with the wanted attributes, those of one of the
    samples; `scores` are the log-probs of these attributes given each sample,
    and the group 'prior' is the prompt without them.
  """
  if not scale > 0:
    raise errors.ConfigError(f"scale={scale} must be above 0")
  out = []
  for record in group_producers.rated_records(
    seed,
    n,
    split,
    k=k,
    levels=levels,
    mixture=mixture,
    language=language,
    start=start,
  ):
    ratings = record["ratings"]
    wanted = ratings[int(record["id"].rpartition("-")[2] or 0) % k]
    text = annotations.attribute_string(wanted, names=scoring.ASPECTS)
    out.append(
      {
        "prompt": f"{record['prompt']}\n{text}\n",
        "responses": record["responses"],
        "scores": [
          round(_log_likelihood(row, wanted, levels, scale), producers.DIGITS)
          for row in ratings
        ],
        "metadata": {
          "groups": {
            "prior": {
              "prompt": record["prompt"],
              "responses": record["responses"],
            }
          },
          "wanted": wanted,
        },
      }
    )
  return producers.numbered(out, "steered", seed, split, start)
