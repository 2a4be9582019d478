# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Records of written workings: step labels and pairs of single steps."""

import dataclasses

from prefjax.core import errors
from prefjax.data.language import (
  grammar,
  people,
  producers,
  sampling,
)
from prefjax.data.language import steps as steps_lib


def _with_steps(language: sampling.Language) -> sampling.Language:
  """`language` limited to kinds with steps (both kinds if it has none)."""
  kinds = tuple(
    (kind, weight)
    for kind, weight in language.kinds
    if kind in grammar.STEP_KINDS and weight > 0
  )
  return dataclasses.replace(
    language,
    kinds=kinds or tuple((kind, 1.0) for kind in sorted(grammar.STEP_KINDS)),
  )


def _lines(steps) -> list[str]:
  """Steps with their line breaks, so that joining gives the response."""
  return [step + grammar.STEP_SEPARATOR for step in steps[:-1]] + [steps[-1]]


def step_records(
  seed: int,
  n: int,
  split: str = "train",
  *,
  wrong_rate: float = 0.5,
  flip_rate: float = 0.0,
  language: sampling.Language = sampling.FULL,
  start: int = 0,
) -> list[producers.Record]:
  """{prompt, completions, labels}: workings with a label a step.

  Args:
    seed, n, split, language, start: see `producers.prompt_records`; only
      kinds with written steps are drawn.
    wrong_rate: share of workings with a wrong step, at a uniform position.
    flip_rate: probability that a step's label is flipped.

  Returns:
    n records. `completions` are the steps (joined by line breaks they are
    the response); `labels` are true before the first wrong step and false
    from it on, apart from flips. metadata.first_wrong is -1 when all are right.
  """
  if not 0 <= wrong_rate <= 1:
    raise errors.ConfigError(f"wrong_rate={wrong_rate} is outside [0, 1]")
  annotator = people.Annotator(flip_rate)
  out = []
  for draw, task in producers.stream(
    "steps", seed, n, split, start, _with_steps(language)
  ):
    steps, first_wrong = task.steps, -1
    if draw.chance(wrong_rate):
      steps = steps_lib.wrong_steps(draw, task, draw.below(len(task.steps)))
      first_wrong = steps_lib.first_wrong_step(task.prompt, steps)
    right = [
      first_wrong < 0 or index < first_wrong for index in range(len(steps))
    ]
    record = {
      "prompt": task.prompt,
      "completions": list(steps),
      "labels": [ok != draw.chance(annotator.flip_rate) for ok in right],
      "flip_rate": flip_rate,
      "metadata": {
        "kind": task.kind,
        "first_wrong": first_wrong,
        "right": right,
        "answer": task.answer,
      },
    }
    out.append(record)
  return producers.numbered(out, "steps", seed, split, start)


def step_pair_records(
  seed: int,
  n: int,
  split: str = "train",
  *,
  flip_rate: float = 0.0,
  language: sampling.Language = sampling.FULL,
  start: int = 0,
) -> list[producers.Record]:
  """{prompt, initial_reason_steps, chosen, rejected, answer}: step pairs.

  Args:
    seed, n, split, language, start: see `producers.prompt_records`; only
      kinds with written steps are drawn.
    flip_rate: probability that chosen and rejected are swapped.

  Returns:
    n records: the right steps before the contested one as a string, the right
    step, the wrong step (each with its line break), and the exact response.
  """
  annotator = people.Annotator(flip_rate)
  out = []
  for draw, task in producers.stream(
    "step_pairs", seed, n, split, start, _with_steps(language)
  ):
    at = draw.below(len(task.steps))
    right = _lines(task.steps)
    wrong = _lines(steps_lib.wrong_steps(draw, task, at))
    sides = [right[at], wrong[at]]
    flipped = draw.chance(annotator.flip_rate)
    if flipped:
      sides.reverse()
    out.append(
      {
        "prompt": task.prompt,
        "initial_reason_steps": "".join(right[:at]),
        "chosen": sides[0],
        "rejected": sides[1],
        "answer": task.answer,
        "flip_rate": flip_rate,
        "metadata": {"kind": task.kind, "step": at, "flipped": flipped},
      }
    )
  return producers.numbered(out, "step_pairs", seed, split, start)
