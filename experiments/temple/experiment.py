# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""TEMPLE on clips of eight events whose order has to be told.

The start was trained on clips most of which show their frames in any order, so
it names what happens without knowing when. All arms then have the same number
of updates: some of supervised learning on few clean clips, the others of DPO
on pairs of a clean and a perturbed clip, before or after it. `chosen_first`
learns the right descriptions of the pairs' clips by supervised learning first:
what these clips are worth without a preference. Frames go through the vision
encoder of the ordinary model.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.temple import clips
from prefjax import data, experiments, models
from prefjax.experiments import lab as lab_lib

PAPER = "TEMPLE, arXiv:2503.16929"
METHODS = ("temple",)
CLAIM = (
  "DPO on clean against perturbed clips, from strong to mild perturbations and"
  " before supervised tuning, teaches the order of time better than supervised"
  " tuning alone."
)
ARM, BASELINE = "curriculum_first", "sft_only"
METRIC = "order"
HIGHER_IS_BETTER = True
EXPECTED = (
  "order accuracy of the curriculum before SFT above SFT only by more than two"
  " standard errors of the paired difference, and not below mixed magnitudes or"
  " the curriculum after SFT (means over seeds)."
)
NOTE = (
  "Order accuracy after SFT is 0.951 without DPO and 0.945 with the curriculum"
  " before it (mixed 0.941, reversed 0.942, after SFT 0.923); with the right"
  " descriptions of the pairs' clips instead of preferences it is 0.968. The"
  " start scores 0.33. Tried on another seed: a better start (0.92, half of its"
  " clips in order) and more clips; SFT only 0.973, curriculum before it 0.978,"
  " right descriptions 0.992."
)
SEEDS = 3
SETTINGS = {
  "quick": dict(
    base_rounds=1,
    stage_steps=4,
    clips=64,
    tests=48,
    arms=["sft_only", "curriculum_first"],
  ),
  "full": dict(
    base_rounds=2,
    stage_steps=40,
    clips=192,
    tests=256,
    arms=[
      "sft_only",
      "mixed_first",
      "curriculum_first",
      "curriculum_last",
      "reverse_first",
      "chosen_first",
    ],
  ),
}
_SCRAMBLED = 0.75
_BETA, _SFT_RATE, _DPO_RATE, _BATCH = 0.1, 2e-3, 5e-4, 32
_MAGNITUDES = (8, 4, 2)


@functools.lru_cache(maxsize=1)
def _lab() -> lab_lib.Lab:
  return lab_lib.Lab(
    hidden=48,
    heads=4,
    prompt=6,
    response=clips.FRAMES + 2,
    vision=models.Vision(
      image_size=clips.SIZE, patch=clips.SIZE, width=32, layers=0, heads=2
    ),
    images=clips.FRAMES,
  )


def _judge(policy: Any, seed: int, tests, asked) -> dict[str, float]:
  own = _lab()
  made = own.answers(
    policy,
    [row["prompt"] for row in tests],
    seed=seed,
    temperature=0,
    gold=lambda prompt, text: 0.0,
    shown=tests,
  )
  told = [
    (row["completion"], found[0])
    for row, found in zip(tests, made.texts, strict=True)
  ]
  return {
    "order": float(np.mean([clips.order_accuracy(r, t) for r, t in told])),
    "exact": float(np.mean([r == t for r, t in told])),
    "which_first": own.pairs(policy, asked)["accuracy"],
  }


def measure(seed: int, settings: Mapping[str, Any]) -> experiments.Arms:
  rng = np.random.default_rng([seed, 17])
  own = _lab()
  stage = settings["stage_steps"]
  # As many updates as the stages of DPO have: a round, and one program.
  steps = stage * len(_MAGNITUDES)

  def sft(start, rows):
    return own.train(
      start,
      "sft",
      rows,
      steps=steps,
      seed=seed,
      batch_size=_BATCH,
      learning_rate=_SFT_RATE,
    )

  start = own.init(seed)
  for _ in range(settings["base_rounds"]):
    shown = clips.demonstrations(rng, steps * _BATCH, _SCRAMBLED)
    start = sft(start, shown)
  clean = clips.demonstrations(rng, settings["clips"], 0.0)
  pairs = {m: clips.pairs(rng, stage * _BATCH, m) for m in _MAGNITUDES}
  tests = clips.demonstrations(rng, settings["tests"], 0.0)
  asked = clips.questions(rng, settings["tests"])

  def stages(policy, magnitudes):
    """Each begins, and has its reference, where the one before ended."""
    for rows in magnitudes:
      policy = own.train(
        policy,
        "temple",
        rows,
        kwargs=dict(beta=_BETA),
        steps=stage,
        seed=seed,
        batch_size=_BATCH,
        learning_rate=_DPO_RATE,
      )
    return policy

  def tuned(policy):
    return sft(policy, clean)

  curriculum = [
    pairs[s["magnitude"]] for s in data.difficulty_schedule(_MAGNITUDES)
  ]
  # Three stages of all magnitudes mixed: as many updates, as many references.
  shuffled = [row for rows in curriculum for row in rows]
  shuffled = [shuffled[i] for i in rng.permutation(len(shuffled))]
  size = len(curriculum[0])
  mixed = [shuffled[size * i : size * (i + 1)] for i in range(len(curriculum))]
  told = [
    {
      "prompt": row["prompt"],
      "frames": row["frames"],
      "completion": row["chosen"],
    }
    for row in shuffled
  ]
  recipes = {
    "sft_only": lambda: tuned(tuned(start)),
    "mixed_first": lambda: tuned(stages(start, mixed)),
    "curriculum_first": lambda: tuned(stages(start, curriculum)),
    "curriculum_last": lambda: stages(tuned(start), curriculum),
    "reverse_first": lambda: tuned(stages(start, curriculum[::-1])),
    "chosen_first": lambda: tuned(sft(start, told)),
  }
  arms = {"start": _judge(start, seed, tests, asked)}
  for arm in settings["arms"]:
    arms[arm] = _judge(recipes[arm](), seed, tests, asked)
  return arms


def accept(seeds: Sequence[experiments.Arms]) -> dict[str, bool]:
  def values(arm):
    return experiments.values(seeds, arm, METRIC)

  gaps = values(ARM) - values(BASELINE)
  error = gaps.std(ddof=1) / np.sqrt(len(gaps)) if len(gaps) > 1 else np.inf
  checks = {
    "curriculum before SFT above SFT only by 2 SE": bool(
      gaps.mean() > 2 * error
    )
  }
  for arm, name in (
    ("mixed_first", "mixed magnitudes"),
    ("curriculum_last", "the curriculum after SFT"),
  ):
    if arm in seeds[0]:
      checks[f"curriculum before SFT not below {name}"] = bool(
        values(ARM).mean() >= values(arm).mean()
      )
  return checks
