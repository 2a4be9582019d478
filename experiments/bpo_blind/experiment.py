# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""BPO where the words of a prompt mislead and only the picture is right.

Demonstrations and preferences carry a verbal cue that agrees with the picture
most of the time; in the test it says nothing. Blind answers are sampled from
the reference without the picture. The control has a random wrong answer as its
third response instead, so that the extra pair alone is told apart from what
makes it blind. Pictures go through the vision encoder of the ordinary model.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.bpo_blind import objects
from prefjax import analysis, data, experiments, models
from prefjax.experiments import lab as lab_lib

PAPER = "BPO (blind), arXiv:2503.14189"
METHODS = ("bpo_blind",)
CLAIM = (
  "Preferring the right answer over one that was given without the image makes"
  " a model look at the image where the text misleads."
)
ARM, BASELINE = "bpo", "dpo"
METRIC = "conflict"
HIGHER_IS_BETTER = True
EXPECTED = (
  "where cue and picture conflict, BPO's acts are right more often than DPO's"
  " and than those of the control with a random third answer, by more than two"
  " standard errors of the paired difference; DPO and BPO are above the"
  " reference there, and BPO names objects at least as well as DPO."
)
NOTE = (
  "BPO - DPO +0.071 (SE 0.062), BPO - random third answer +0.063 (SE 0.065):"
  " two seeds of five gain 0.18 and 0.24, the others nothing. Names are right"
  " in 0.50 (DPO 0.44, random third answer 0.48). Tried on other seeds: with"
  " little noise (0.4) DPO and BPO both reach 0.99, with much (1.5) all follow"
  " the cue; 0.8 lies between."
)
SEEDS = 5
SETTINGS = {
  "quick": dict(sft=20, pairs=128, steps=10, tests=96, agrees=0.95, noise=0.8),
  "full": dict(
    sft=120, pairs=2000, steps=150, tests=768, agrees=0.95, noise=0.8
  ),
}
_BETA, _SFT_RATE, _RATE, _BATCH = 0.1, 3e-3, 5e-4, 32


@functools.lru_cache(maxsize=1)
def _lab() -> lab_lib.Lab:
  return lab_lib.Lab(
    hidden=48,
    heads=4,
    prompt=8,
    response=3,
    vision=models.Vision(
      image_size=objects.SIZE, patch=8, width=32, layers=1, heads=2
    ),
  )


def _blind_answers(start: Any, seed: int):
  """What `data.attach_blind_responses` samples with."""

  def sample(key, rows):
    del key
    made = _lab().answers(
      start,
      [row["prompt"] for row in rows],
      seed=seed,
      gold=lambda prompt, text: 0.0,
      max_new_tokens=3,
    )
    return [texts[0] for texts in made.texts]

  return sample


def _third(rng: np.random.Generator, row: Mapping[str, Any]) -> str:
  """Any wrong answer."""
  return str(rng.choice([a for a in objects.ANSWERS if a != row["chosen"]]))


def _judge(policy: Any, rows: Sequence[dict[str, Any]]) -> dict[str, float]:
  """Shares of right acts and names, and nats that a picture is worth."""
  own = _lab()
  seen = own.log_probs(policy, objects.candidates(rows))
  blinded = [data.blind(row, drop=("images",)) for row in rows]
  unseen = own.log_probs(policy, objects.candidates(blinded))
  right = np.asarray([objects.ANSWERS.index(row["chosen"]) for row in rows])
  by = seen.reshape(len(rows), len(objects.ACTS), len(objects.NAMES))
  p = np.exp(by - by.max(axis=(1, 2), keepdims=True))
  acts = p.sum(axis=2).argmax(axis=1) == right // len(objects.NAMES)
  names = p.sum(axis=1).argmax(axis=1) == right % len(objects.NAMES)
  conflict = np.asarray([row["metadata"]["conflict"] for row in rows])
  at = np.arange(len(rows))
  # Summed log-probs of three tokens each, the end included.
  reliance = analysis.modality_reliance(
    seen[at, right][:, None] / 3,
    unseen[at, right][:, None] / 3,
    np.ones((len(rows), 1)),
  )
  return {
    "act": float(acts.mean()),
    "conflict": float(acts[conflict].mean()),
    "name": float(names.mean()),
    "reliance": float(reliance.mean()),
  }


def measure(seed: int, settings: Mapping[str, Any]) -> experiments.Arms:
  rng = np.random.default_rng([seed, 13])
  own = _lab()

  def rows(number, agrees):
    return objects.draw(rng, number, agrees=agrees, noise=settings["noise"])

  # Fresh pictures for every update: an image that is seen once teaches little.
  shown = rows(_BATCH * settings["sft"], settings["agrees"])
  start = own.train(
    own.init(seed),
    "sft",
    [
      {
        "prompt": row["prompt"],
        "images": row["images"],
        "completion": row["chosen"],
      }
      for row in shown
    ],
    steps=settings["sft"],
    seed=seed,
    batch_size=_BATCH,
    learning_rate=_SFT_RATE,
  )
  pairs = rows(settings["pairs"], settings["agrees"])
  blind = data.attach_blind_responses(
    seed,
    pairs,
    _blind_answers(start, seed),
    drop_identical=False,
    drop=("images",),
  )
  tests = rows(settings["tests"], 0.5)
  arms = {"reference": _judge(start, tests)}
  arms["reference"]["blind_is_chosen"] = float(
    np.mean([row["blind"] == row["chosen"] for row in blind])
  )
  # A blind answer that is the chosen one teaches nothing: a plain pair.
  third = {
    "bpo": [
      {k: v for k, v in row.items() if k != "blind" or v != row["chosen"]}
      for row in blind
    ],
    "random_third": [dict(row, blind=_third(rng, row)) for row in pairs],
  }
  for arm in ("dpo", "bpo", "random_third"):
    # Without a third answer this loss is DPO's; one program serves all arms.
    source = own.source(
      third.get(arm, pairs),
      "blind",
      batch_size=_BATCH,
      seed=seed,
      num_responses=3,
    )
    policy = own.train(
      start,
      "bpo_blind",
      source,
      kwargs=dict(beta=_BETA),
      steps=settings["steps"],
      seed=seed,
      batch_size=_BATCH,
      learning_rate=_RATE,
    )
    arms[arm] = _judge(policy, tests)
  return arms


def accept(seeds: Sequence[experiments.Arms]) -> dict[str, bool]:
  def mean(arm, metric):
    return experiments.mean(seeds, arm, metric)

  def clear(baseline):
    gaps = experiments.values(seeds, ARM, METRIC) - experiments.values(
      seeds, baseline, METRIC
    )
    error = gaps.std(ddof=1) / np.sqrt(len(gaps)) if len(gaps) > 1 else np.inf
    return bool(gaps.mean() > 2 * error)

  return {
    "conflict: BPO above DPO by 2 SE": clear("dpo"),
    "conflict: BPO above a random third answer by 2 SE": clear("random_third"),
    "conflict: DPO and BPO above the reference": min(
      mean("dpo", METRIC), mean("bpo", METRIC)
    )
    > mean("reference", METRIC),
    "names: BPO at least as good as DPO": mean("bpo", "name")
    >= mean("dpo", "name"),
  }
