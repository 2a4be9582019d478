# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Step-DPO on chains of states: a table of logits, and a small transformer.

Both arms get pairs from the same wrong answers of the same start. The step
pair is the right against the written step at the first error; the whole pair
is the right chain against the wrong one.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.step_dpo import machine as machine_lib
from experiments.step_dpo import tabular
from prefjax import experiments
from prefjax.data import views
from prefjax.experiments import lab as lab_lib

PAPER = "Step-DPO, arXiv:2406.18629"
METHODS = ("step_dpo",)
CLAIM = (
  "A pair of one right and one wrong step at the first error teaches reasoning"
  " better than a pair of whole answers."
)
ARM, BASELINE = "step_dpo", "full_dpo"
METRIC = "error"
HIGHER_IS_BETTER = False
EXPECTED = (
  "table: the mean error rate of exact chains is at most 0.7 of whole-answer"
  " DPO's at 1000 pairs, and on no seed worse than the reference's; small"
  " transformer: its mean error rate is below whole-answer DPO's."
)
SEEDS = 5
SETTINGS = {
  "quick": dict(
    pairs=300,
    steps=100,
    sft_steps=60,
    sft_rows=2000,
    lm_pairs=200,
    lm_steps=10,
    questions=100,
  ),
  "full": dict(
    pairs=1000,
    steps=100,
    sft_steps=1000,
    sft_rows=20000,
    lm_pairs=1000,
    lm_steps=100,
    questions=400,
  ),
}
_SLOTS = dict(prompt=16, response=8)


@functools.lru_cache(maxsize=1)
def _lab() -> lab_lib.Lab:
  return lab_lib.Lab(hidden=48, heads=4, **_SLOTS)


def _rows(rng: np.random.Generator, machine, number: int):
  """Demonstrations of the noisy machine."""
  first, ops = machine_lib.problems(rng, number)
  chains = machine_lib.sample(rng, machine, first, ops)
  return [
    {"prompt": machine_lib.prompt(f, o), "completion": machine_lib.text(c)}
    for f, o, c in zip(first, ops, chains, strict=True)
  ]


def _pairs(machine, questions: Sequence[str], texts: Sequence[list[str]]):
  """(step pairs, whole pairs) from wrong answers that were sampled."""
  steps, whole = [], []
  for question, answers in zip(questions, texts, strict=True):
    first, ops = machine_lib.read(question)
    right = machine_lib.text(
      machine_lib.gold(machine, np.asarray([first]), ops[None])[0]
    )
    wrong = answers[0]
    if len(wrong) != len(right) or wrong == right:
      continue
    at = next(
      i for i, (a, b) in enumerate(zip(wrong, right, strict=True)) if a != b
    )
    steps.append(
      {
        "prompt": question,
        "initial_reason_steps": right[:at],
        "chosen": right[at],
        "rejected": wrong[at],
        "answer": right,
      }
    )
    whole.append({"prompt": question, "chosen": right, "rejected": wrong})
  return steps, whole


def _transformer(seed: int, settings: Mapping[str, Any]):
  """Arm -> lm_error: share of sampled chains that are not exact."""
  rng = np.random.default_rng([seed, 3])
  machine = machine_lib.make(seed)
  lab = _lab()
  start = lab.train(
    lab.init(seed),
    "sft",
    _rows(rng, machine, settings["sft_rows"]),
    steps=settings["sft_steps"],
    seed=seed,
    batch_size=64,
    learning_rate=8e-3,
    warmup=50,
    schedule="cosine",
  )

  def questions(number):
    return [
      machine_lib.prompt(f, o)
      for f, o in zip(*machine_lib.problems(rng, number), strict=True)
    ]

  def score(question, answer):
    first, ops = machine_lib.read(question)
    right = machine_lib.gold(machine, np.asarray([first]), ops[None])[0]
    return float(answer == machine_lib.text(right))

  asked = questions(2 * settings["lm_pairs"])
  sampled = lab.answers(start, asked, seed=seed, gold=score)
  steps, whole = _pairs(machine, asked, sampled.texts)
  number = settings["lm_pairs"]
  tests = questions(settings["questions"])
  view = views.view("pair", eos=False)
  out = {}
  for arm, rows, method, how in (
    ("reference", [], "", None),
    ("step_dpo", steps[:number], "step_dpo", view),
    ("full_dpo", whole[:number], "dpo", None),
  ):
    policy = start
    if rows:
      policy = lab.train(
        start,
        method,
        rows,
        kwargs=dict(beta=0.5),
        steps=settings["lm_steps"],
        seed=seed,
        view=how,
      )
    made = lab.answers(
      policy, tests, seed=seed + 1, reference=start, samples=4, gold=score
    )
    numbers = made.numbers()
    out[arm] = {"lm_error": 1 - numbers["gold"], "lm_kl": numbers["kl"]}
  return out


def measure(seed: int, settings: Mapping[str, Any]) -> experiments.Arms:
  arms = tabular.measure(seed, pairs=settings["pairs"], steps=settings["steps"])
  for arm, found in _transformer(seed, settings).items():
    arms[arm].update(found)
  return arms


def accept(seeds: Sequence[experiments.Arms]) -> dict[str, bool]:
  def mean(arm, metric):
    return experiments.mean(seeds, arm, metric)

  return {
    "table: mean error at most 0.7 of whole-answer DPO's": mean(
      "step_dpo", "error"
    )
    <= 0.7 * mean("full_dpo", "error"),
    "table: never worse than the reference": experiments.every(
      seeds, lambda a: a["step_dpo"]["error"] <= a["reference"]["error"]
    ),
    "small transformer: mean error below whole-answer DPO's": mean(
      "step_dpo", "lm_error"
    )
    < mean("full_dpo", "lm_error"),
  }
