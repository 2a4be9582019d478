# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Records that are more than a pair: joint preferences, and reasons."""

from prefjax.core import errors
from prefjax.data.language import (
  corruption,
  people,
  producers,
  randomness,
  sampling,
  scoring,
)

_MAX_TRIES = 64
RATIONALE_KINDS = ("general", "detailed")

# What is wrong with a response of a grade, in an annotator's words.
_FAULTS = {
  "garbage": "says nothing",
  "mixup": "follows another instruction",
  "half": "is only half of it",
  "verbose": "says too much",
  "slip": "has a small mistake",
  "format": "is not in the form asked for",
  "exact": "is not what was wanted",
}


def _item(
  draw: randomness.Draws,
  language: sampling.Language,
  split: str,
  grades: corruption.Mixture,
) -> dict:
  """One (instruction, answer), with its gold reward."""
  task = sampling.sample(draw, language, split)
  quality = grades.draw(draw)
  answer = corruption.corrupt(draw, task, quality, longest=language.longest)
  return {
    "prompt": task.prompt,
    "answer": answer,
    "quality": quality,
    "gold": scoring.gold_reward(task.prompt, answer),
  }


def joint_records(
  seed: int,
  n: int,
  split: str = "train",
  *,
  flip_rate: float = 0.1,
  same_prompt: float = 0.0,
  min_gap: float = 1e-3,
  mixture: producers.Mixture | None = None,
  language: sampling.Language = sampling.QUICK,
  start: int = 0,
) -> list[producers.Record]:
  """{prompt_chosen, chosen, prompt_rejected, rejected}: joint preferences.

  Args:
    seed, n, split, language, start: see `producers.prompt_records`.
    flip_rate: probability that the two sides are swapped.
    same_prompt: share of records whose sides answer one instruction.
    min_gap: smallest difference in gold reward.
    mixture: weights of quality grades.
  """
  if not 0 <= same_prompt <= 1:
    raise errors.ConfigError(f"same_prompt={same_prompt} is outside [0, 1]")
  grades = corruption.Mixture(producers.PAIRS if mixture is None else mixture)
  annotator = people.Annotator(flip_rate)
  out = []
  for draw, task in producers.stream("joint", seed, n, split, start, language):
    if draw.chance(same_prompt):
      record = producers.labelled_pair(
        draw,
        task,
        grades,
        annotator,
        min_gap=min_gap,
        longest=language.longest,
      )
      prompt = record.pop("prompt")
      record["prompt_chosen"] = record["prompt_rejected"] = prompt
      out.append(record)
      continue
    for _ in range(_MAX_TRIES):
      items = [_item(draw, language, split, grades) for _ in range(2)]
      if items[0]["prompt"] != items[1]["prompt"] and (
        abs(items[0]["gold"] - items[1]["gold"]) >= min_gap
      ):
        break
    else:
      raise errors.ConfigError(
        f"no two items differ by min_gap={min_gap}; lower it or widen the"
        " mixture"
      )
    flipped = draw.chance(annotator.flip_rate)
    items.sort(key=lambda item: item["gold"], reverse=not flipped)
    chosen, rejected = items
    out.append(
      {
        "prompt_chosen": chosen["prompt"],
        "chosen": chosen["answer"],
        "prompt_rejected": rejected["prompt"],
        "rejected": rejected["answer"],
        "flip_rate": flip_rate,
        "metadata": {
          "quality_chosen": chosen["quality"],
          "quality_rejected": rejected["quality"],
          "gold_chosen": round(chosen["gold"], producers.DIGITS),
          "gold_rejected": round(rejected["gold"], producers.DIGITS),
          "flipped": flipped,
        },
      }
    )
  return producers.numbered(out, "joint", seed, split, start)


def rationale_records(
  seed: int,
  n: int,
  split: str = "train",
  *,
  flip_rate: float = 0.0,
  kind: str = "general",
  mixture: producers.Mixture | None = None,
  language: sampling.Language = sampling.QUICK,
  start: int = 0,
) -> list[producers.Record]:
  """{prompt, chosen, rejected, rationale}: pairs with a written reason.

  Args:
    seed, n, split, language, start: see `producers.prompt_records`.
    flip_rate: probability that the label is flipped; the reason then argues
      for the flipped label, as an annotator would.
    kind: 'general' names the fault of the rejected response, 'detailed' also
      quotes what is preferred.
    mixture: weights of quality grades.
  """
  if kind not in RATIONALE_KINDS:
    raise errors.ConfigError(
      f"kind={kind!r} is not one of {', '.join(RATIONALE_KINDS)}"
    )
  out = []
  for record in producers.pair_records(
    seed,
    n,
    split,
    flip_rate=flip_rate,
    mixture=mixture,
    language=language,
    start=start,
  ):
    fault = _FAULTS[record["metadata"]["quality_rejected"]]
    reason = f"Above: the one below {fault}."
    if kind == "detailed":
      reason = f"Above: {record['chosen']!r}; the one below {fault}."
    number = record.pop("id").rsplit("-", 1)[-1]
    out.append(
      {
        "id": f"rationale-{seed}-{split}-{number}",
        **record,
        "rationale": reason,
        "rationale_kind": kind,
      }
    )
  return out
