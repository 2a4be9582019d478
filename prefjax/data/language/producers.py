# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Records of every layout, as plain dicts ready for JSON lines.

Record i of a producer depends on (seed, split, i) and the keywords only, so
`start` continues a data set and any slice of it can be made alone. Each has
an `id`. What only the generator knows (grades, gold rewards, whether a label
is wrong) is under 'metadata'; `flip_rate` is the probability that the label
is wrong.
"""

from collections.abc import Callable, Iterator
from typing import Any

from prefjax.core import errors
from prefjax.data.language import (
  corruption,
  grammar,
  people,
  randomness,
  sampling,
  scoring,
)

Record = dict[str, Any]
Language = sampling.Language
Mixture = dict[str, float]

# Grades of the two sides of a pair, and of the members of a group. With half
# of the draws exact, about 70 % of the pairs hold the exact answer; a smaller
# share gave weaker gains in a trial with a model of 0.8 M parameters.
PAIRS: Mixture = {
  "exact": 0.50,
  "format": 0.13,
  "slip": 0.13,
  "verbose": 0.12,
  "half": 0.06,
  "mixup": 0.04,
  "garbage": 0.02,
}
GRADES: Mixture = {name: 1.0 for name in corruption.QUALITIES}
_MAX_TRIES = 64
DIGITS = 6  # decimals kept of rewards in records


def _check(n: int, start: int) -> None:
  if n < 0 or start < 0:
    raise errors.ConfigError(f"n={n} and start={start} must be 0 or more")


def stream(
  name: str, seed: int, n: int, split: str, start: int, language: Language
) -> Iterator[tuple[randomness.Draws, grammar.Task]]:
  """The draws and the task of each record of a named stream."""
  _check(n, start)
  for draw in randomness.stream(seed, start, n, name, split):
    yield draw, sampling.sample(draw, language, split)


def numbered(
  records: list[Record], name: str, seed: int, split: str, start: int
) -> list[Record]:
  """The records with an id such as 'pairs-0-train-17' each."""
  return [
    {"id": f"{name}-{seed}-{split}-{start + offset}", **record}
    for offset, record in enumerate(records)
  ]


def prompt_records(
  seed: int,
  n: int,
  split: str = "train",
  *,
  language: Language = sampling.QUICK,
  start: int = 0,
) -> list[Record]:
  """{prompt, answer}: prompts to sample responses for, with a reference.

  Args:
    seed: data seed.
    n: number of records.
    split: 'train', 'valid' or 'heldout'; prompts never overlap.
    language: which tasks are drawn.
    start: index of the first record.

  Raises:
    ConfigError: an argument is out of range (all producers).
  """
  out = [
    {"prompt": task.prompt, "answer": task.answer}
    for _, task in stream("prompts", seed, n, split, start, language)
  ]
  return numbered(out, "prompts", seed, split, start)


def sft_records(
  seed: int,
  n: int,
  split: str = "train",
  *,
  mixture: Mixture | None = None,
  language: Language = sampling.QUICK,
  start: int = 0,
) -> list[Record]:
  """{prompt, completion}: demonstrations of mixed quality.

  Args:
    seed, n, split, language, start: see `prompt_records`.
    mixture: weights of quality grades, default half exact.
  """
  grades = corruption.Mixture(corruption.MIXED if mixture is None else mixture)
  out = []
  for draw, task in stream("sft", seed, n, split, start, language):
    quality = grades.draw(draw)
    completion = corruption.corrupt(
      draw, task, quality, longest=language.longest
    )
    gold = scoring.gold_reward(task.prompt, completion)
    out.append(
      {
        "prompt": task.prompt,
        "completion": completion,
        "metadata": {
          "kind": task.kind,
          "quality": quality,
          "gold": round(gold, DIGITS),
        },
      }
    )
  return numbered(out, "sft", seed, split, start)


def _two(
  draw: randomness.Draws,
  task: grammar.Task,
  grades: corruption.Mixture,
  reward: Callable[[str, str], float],
  min_gap: float,
  longest: int,
) -> tuple[list[str], list[str], list[float]]:
  """(qualities, responses, rewards) of two different responses."""
  for _ in range(_MAX_TRIES):
    qualities = [grades.draw(draw), grades.draw(draw)]
    if qualities[0] == qualities[1] and len(grades) > 1:
      continue
    responses = [
      corruption.corrupt(draw, task, q, longest=longest) for q in qualities
    ]
    if responses[0] == responses[1]:
      continue
    rewards = [reward(task.prompt, response) for response in responses]
    if abs(rewards[0] - rewards[1]) >= min_gap:
      return qualities, responses, rewards
  raise errors.ConfigError(
    f"no two responses to {task.prompt!r} differ by min_gap={min_gap}; lower"
    " min_gap or widen the mixture"
  )


def _label(
  draw: randomness.Draws,
  responses: list[str],
  rewards: list[float],
  annotator: people.Annotator,
  raters: int,
) -> tuple[bool, float, float] | None:
  """(first is chosen, agreement, label error rate); None for a tie."""
  gap = rewards[0] - rewards[1]
  length_gap = len(responses[0]) - len(responses[1])
  if annotator.is_tie(gap, length_gap):
    return None
  probability = annotator.probability(gap, length_gap)
  votes = sum(draw.uniform() < probability for _ in range(raters))
  if 2 * votes == raters:
    return None
  first = 2 * votes > raters
  error = 0.5 if gap == 0 else 1.0 - probability if gap > 0 else probability
  agreement = max(votes, raters - votes) / raters
  return first, agreement, people.majority_error(error, raters)


def labelled_pair(
  draw: randomness.Draws,
  task: grammar.Task,
  grades: corruption.Mixture,
  annotator: people.Annotator,
  *,
  reward: Callable[[str, str], float] = scoring.gold_reward,
  raters: int = 1,
  keep_ties: bool = False,
  min_gap: float = 1e-3,
  longest: int = 32,
) -> Record:
  """One pair record of a task, labelled by any reward; see `pair_records`."""
  for _ in range(_MAX_TRIES):
    qualities, responses, rewards = _two(
      draw, task, grades, reward, min_gap, longest
    )
    label = _label(draw, responses, rewards, annotator, raters)
    if label is None and not keep_ties:
      continue
    first, agreement, error = label or (draw.chance(0.5), 0.5, 0.5)
    order = (0, 1) if first else (1, 0)
    golds = [round(rewards[i], DIGITS) for i in order]
    record: Record = {
      "prompt": task.prompt,
      "chosen": responses[order[0]],
      "rejected": responses[order[1]],
      "flip_rate": round(error, DIGITS),
    }
    if raters > 1 or label is None:
      record["agreement"] = agreement
    if label is None:
      record["tie"] = True
    record["metadata"] = {
      "kind": task.kind,
      "quality_chosen": qualities[order[0]],
      "quality_rejected": qualities[order[1]],
      "gold_chosen": golds[0],
      "gold_rejected": golds[1],
      "flipped": rewards[order[0]] < rewards[order[1]],
    }
    return record
  raise errors.ConfigError(
    f"every pair for {task.prompt!r} was a tie: lower tie_band"
    f"={annotator.tie_band} or keep ties"
  )


def pair_records(
  seed: int,
  n: int,
  split: str = "train",
  *,
  flip_rate: float = 0.1,
  temperature: float = 0.0,
  length_bias: float = 0.0,
  tie_band: float = 0.0,
  keep_ties: bool = False,
  raters: int = 1,
  min_gap: float = 1e-3,
  mixture: Mixture | None = None,
  language: Language = sampling.QUICK,
  start: int = 0,
) -> list[Record]:
  """{prompt, chosen, rejected, flip_rate}: pairs with annotator noise.

  Args:
    seed, n, split, language, start: see `prompt_records`.
    flip_rate: probability of a uniform flip.
    temperature: Bradley-Terry temperature in units of reward; 0 is exact.
    length_bias: reward an annotator sees per byte of extra length.
    tie_band: felt gaps up to this are ties.
    keep_ties: keep ties (tie true, agreement 0.5), else draw again.
    raters: how many annotators vote; the majority is the label and
      `agreement` the share that chose it.
    min_gap: smallest difference in gold reward.
    mixture: weights of quality grades; the two sides get different grades.

  Returns:
    n records. `flip_rate` in a record is the probability that its label
    contradicts the gold reward, from all sources of noise.
  """
  grades = corruption.Mixture(PAIRS if mixture is None else mixture)
  annotator = people.Annotator(flip_rate, temperature, length_bias, tie_band)
  if raters < 1:
    raise errors.ConfigError(f"raters={raters} must be 1 or more")
  out = [
    labelled_pair(
      draw,
      task,
      grades,
      annotator,
      raters=raters,
      keep_ties=keep_ties,
      min_gap=min_gap,
      longest=language.longest,
    )
    for draw, task in stream("pairs", seed, n, split, start, language)
  ]
  return numbered(out, "pairs", seed, split, start)


def unpaired_records(
  seed: int,
  n: int,
  split: str = "train",
  *,
  threshold: float = 0.7,
  flip_rate: float = 0.1,
  mixture: Mixture | None = None,
  language: Language = sampling.QUICK,
  start: int = 0,
) -> list[Record]:
  """{prompt, completion, label, flip_rate}: thumbs up or down.

  Args:
    seed, n, split, language, start: see `prompt_records`.
    threshold: gold reward from which a response is liked.
    flip_rate: probability that the label is flipped.
    mixture: weights of quality grades.
  """
  grades = corruption.Mixture(corruption.MIXED if mixture is None else mixture)
  annotator = people.Annotator(flip_rate)
  out = []
  for draw, task in stream("unpaired", seed, n, split, start, language):
    quality = grades.draw(draw)
    completion = corruption.corrupt(
      draw, task, quality, longest=language.longest
    )
    gold = scoring.gold_reward(task.prompt, completion)
    flipped = draw.chance(annotator.flip_rate)
    out.append(
      {
        "prompt": task.prompt,
        "completion": completion,
        "label": (gold >= threshold) != flipped,
        "flip_rate": flip_rate,
        "metadata": {
          "kind": task.kind,
          "quality": quality,
          "gold": round(gold, DIGITS),
          "flipped": flipped,
        },
      }
    )
  return numbered(out, "unpaired", seed, split, start)
