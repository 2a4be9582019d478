# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The common ground of experiments: one small language, one small model.

A model of 30 thousand parameters first learns the tasks from exact answers,
then the manners of demonstrations half of which chat, forget the form or stop
early; preferences can teach it better. All of it is a function of the seed,
takes half a minute on one core, and is kept for the arms of that seed.
"""

import dataclasses
import functools
from typing import Any

from prefjax.data import language
from prefjax.experiments import lab as lab_lib

# Short prompts (24 bytes) and short strings: learned in hundreds of updates.
LANGUAGE = dataclasses.replace(
  language.EASY,
  alphabet="abcdefghijkl",
  letters=(2, 3),
  word_letters=(2, 2),
  style_rate=0.3,
  second_style_rate=0.0,
)
EXACT = dict(exact=1.0)
DEMONSTRATIONS = dict(exact=0.4, verbose=0.2, format=0.2, half=0.1, slip=0.1)
PAIRS = dict(exact=0.4, verbose=0.2, format=0.2, half=0.1, slip=0.1)
PROMPT, RESPONSE = 24, 26
_BATCH = 64


@functools.lru_cache(maxsize=4)
def lab(hidden: int = 32, heads: int = 2, layers: int = 2) -> lab_lib.Lab:
  """The one Lab of this process and size: its programs are shared."""
  return lab_lib.Lab(
    hidden=hidden,
    layers=layers,
    heads=heads,
    prompt=PROMPT,
    response=RESPONSE,
  )


@functools.lru_cache(maxsize=8)
def skilled(seed: int, steps: int = 600, hidden: int = 32) -> Any:
  """Weights that know the tasks, from exact answers only."""
  own = lab(hidden)
  rows = language.sft_records(
    seed, min(steps, 200) * _BATCH, mixture=EXACT, language=LANGUAGE
  )
  return own.train(
    own.init(seed),
    "sft",
    rows,
    steps=steps,
    seed=seed,
    batch_size=_BATCH,
    learning_rate=1e-2,
    warmup=50,
    schedule="cosine",
  )


@functools.lru_cache(maxsize=8)
def start(
  seed: int, steps: int = 600, sft_steps: int = 80, hidden: int = 32
) -> Any:
  """Weights after demonstrations of mixed quality: where every arm begins."""
  rows = language.sft_records(
    seed,
    sft_steps * _BATCH,
    mixture=DEMONSTRATIONS,
    language=LANGUAGE,
    # Other examples than those of the first stage.
    start=1_000_000,
  )
  return lab(hidden).train(
    skilled(seed, steps, hidden),
    "sft",
    rows,
    steps=sft_steps,
    seed=seed + 1,
    batch_size=_BATCH,
    learning_rate=2e-3,
  )


def pairs(seed: int, number: int, **noise: Any) -> list[dict[str, Any]]:
  """Training pairs; `noise` is flip_rate, length_bias, ... of the annotator."""
  settings = {"flip_rate": 0.0, "mixture": PAIRS, "language": LANGUAGE, **noise}
  return language.pair_records(seed, number, "train", **settings)


def held_out_pairs(seed: int, number: int = 256) -> list[dict[str, Any]]:
  """Clean pairs of prompts that are never trained on."""
  return language.pair_records(
    seed, number, "heldout", flip_rate=0.0, mixture=PAIRS, language=LANGUAGE
  )


def prompts(seed: int, number: int = 256) -> list[str]:
  """Prompts that are never trained on."""
  rows = language.prompt_records(seed, number, "heldout", language=LANGUAGE)
  return [row["prompt"] for row in rows]


def measure(
  policy: Any,
  seed: int,
  *,
  reference: Any,
  before: lab_lib.Answers | None = None,
  number: int = 256,
  samples: int = 2,
  hidden: int = 32,
) -> dict[str, float]:
  """What every arm is measured by, on held-out prompts and pairs.

  Args:
    policy: weights.
    seed: of the experiment.
    reference: weights that the arms began from.
    before: its answers to the same prompts (`answers`), for a win rate.
    number: prompts, and pairs.
    samples: answers to a prompt.
    hidden: width of the model.

  Returns:
    gold, length (tokens), finished, kl (nats), win_rate, and the numbers of
    `Lab.pairs`.
  """
  own = lab(hidden)
  made = own.answers(
    policy,
    prompts(seed, number),
    seed=seed,
    reference=reference,
    samples=samples,
  )
  ranked = own.pairs(policy, held_out_pairs(seed, number), reference=reference)
  return {**made.numbers(before), **ranked}


def answers(
  policy: Any,
  seed: int,
  *,
  number: int = 256,
  samples: int = 2,
  hidden: int = 32,
) -> lab_lib.Answers:
  """Answers to the prompts that `measure` uses."""
  return lab(hidden).answers(
    policy, prompts(seed, number), seed=seed, samples=samples
  )
