# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Aspect ratings against one overall rating, for a linear reward model.

300 prompts with 4 responses each; four aspects, linear in 24 features, make up
the quality. A judge rates every aspect with little noise, and writes an
overall score with much, 4 % of whose low values come out as 10. Pairs of all
responses, a linear Bradley-Terry model, fresh responses to test on.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from prefjax import analysis, data, experiments, feedback, losses

PAPER = "UltraFeedback, arXiv:2310.01377"
METHODS = ("reward_bt",)
CLAIM = (
  "The mean of aspect ratings is a better preference than one overall rating,"
  " and its gap is a useful margin."
)
ARM, BASELINE = "aspects", "overall"
METRIC = "accuracy"
HIGHER_IS_BETTER = True
EXPECTED = (
  "aspects are 1.5 points more accurate than the overall score on every seed,"
  " and not worse with the margin on average; the best of n rises with n and"
  " beats a random pick; showing responses in random order undoes a judge's"
  " liking for the first place."
)
NOTE = (
  "Overall scores of 10 that the aspects deny are repaired before either arm"
  " sees them; no gain is claimed for that."
)
SEEDS = 5
SETTINGS = {
  "quick": dict(prompts=150, steps=200, test=500),
  "full": dict(prompts=300, steps=600, test=1000),
}
_FEATURES, _ASPECTS, _K = 24, 4, 4
_SIZES = (1, 2, 4, 8, 16)


@functools.partial(jax.jit, static_argnums=3)
def _fit(delta, margin, valid, steps: int) -> jax.Array:
  """w of a linear Bradley-Terry model of differences [N, D]."""
  zero = jnp.zeros(len(delta))
  tx = optax.adam(0.05)

  def loss(w):
    value = losses.bradley_terry(delta @ w, zero, margin)
    mean = jnp.sum(value * valid) / jnp.sum(valid)
    return mean + 1e-4 * jnp.sum(w * w)

  def step(carry, _):
    w, state = carry
    updates, state = tx.update(jax.grad(loss)(w), state)
    return (optax.apply_updates(w, updates), state), None

  start = jnp.zeros(delta.shape[1])
  carry = (start, tx.init(start))
  return jax.lax.scan(step, carry, None, length=steps)[0][0]


def _accuracy(w, x, quality) -> float:
  first, second = np.triu_indices(_K, 1)
  scores = x @ w
  gap = np.sign(quality[:, first] - quality[:, second])
  right = gap * (scores[:, first] - scores[:, second]) > 0
  return float(np.mean(right))


def _placed_judge(rng, quality: np.ndarray) -> tuple[float, float]:
  """Inflation of the first response's rating, unshuffled and shuffled.

  The judge reads the quality off a text, not without noise, and adds half a
  point to what it sees first.
  """

  def judge(question: str) -> str:
    seen = np.asarray([float(line) for line in question.split("\n")])
    seen = 3 + seen + rng.normal(0, 0.7, seen.shape)
    seen[0] += 0.5
    marks = np.clip(np.round(seen), 1, 5).astype(int)
    return "\n\n".join(f"Rating: {m}\nRationale: none." for m in marks)

  def question(_, texts) -> str:
    return "\n".join(texts)

  texts = [[f"{q:.6f}" for q in row] for row in quality]
  shuffled = feedback.annotate(
    judge,
    [""] * len(texts),
    texts,
    aspects={"honesty": question},
    parse=data.parse_annotation,
    shuffle_key=int(rng.integers(1 << 31)),
  )["ratings"][..., 0]
  plain = np.asarray(
    [
      [
        item["rating"]
        for item in data.parse_annotation(
          text=judge(question("", row)), aspect="honesty"
        )
      ]
      for row in texts
    ]
  )

  def inflation(ratings):
    extra = (ratings - quality).mean(axis=0)
    return float(extra[0] - extra[1:].mean())

  return inflation(plain), inflation(shuffled)


def measure(seed: int, settings: Mapping[str, Any]) -> experiments.Arms:
  rng = np.random.default_rng(seed)
  weights = rng.normal(size=(_FEATURES, _ASPECTS)) / _FEATURES**0.5

  def draw(prompts, k=_K):
    x = rng.normal(size=(prompts, k, _FEATURES))
    latent = x @ weights
    return x, latent, latent.mean(-1)

  x, latent, _ = draw(settings["prompts"])
  ratings = np.clip(
    np.round(3 + latent + rng.normal(0, 0.7, latent.shape)), 1, 5
  )
  fine = data.aspect_mean(ratings)["score"]
  mean = latent.mean(-1)
  overall = np.round(5.5 + 2.2 * mean + rng.normal(0, 1.8, mean.shape))
  overall = np.clip(overall, 1, 10)
  slipped = (overall <= 3) & (rng.random(overall.shape) < 0.04)
  overall = np.where(slipped, 10, overall)
  overall = data.repair_overall(overall, fine)["score"]

  fitted = {}
  for name, scores, scale in (
    ("overall", overall, 0.0),
    ("aspects", fine, 0.0),
    ("margin", fine, 1.0),
  ):
    pairs = data.all_pairs(scores)
    rows = np.arange(len(x))[:, None]
    delta = x[rows, pairs["chosen"]] - x[rows, pairs["rejected"]]
    w = _fit(
      jnp.asarray(delta.reshape(-1, _FEATURES), jnp.float32),
      jnp.asarray(scale * pairs["gap"].reshape(-1), jnp.float32),
      jnp.asarray(pairs["valid"].reshape(-1), jnp.float32),
      settings["steps"],
    )
    fitted[name] = np.asarray(w, np.float64)

  test_x, _, test_quality = draw(settings["test"])
  many_x, _, many_quality = draw(settings["test"], max(_SIZES))
  arms: experiments.Arms = {}
  for arm, w in (
    ("aspects", fitted["aspects"]),
    ("overall", fitted["overall"]),
  ):
    arms[arm] = {"accuracy": _accuracy(w, test_x, test_quality)}
    for row in analysis.best_of_n_curve(many_x @ w, many_quality, sizes=_SIZES):
      arms[arm][f"best_of_{row['n']}"] = row["gold"]
  arms[ARM]["accuracy_with_margin"] = _accuracy(
    fitted["margin"], test_x, test_quality
  )
  plain, shuffled = _placed_judge(rng, mean)
  arms[ARM]["first_place_bonus"] = shuffled
  arms[BASELINE]["first_place_bonus"] = plain
  return arms


def accept(seeds: Sequence[experiments.Arms]) -> dict[str, bool]:
  every, mean = experiments.every, experiments.mean

  def rises(arms):
    values = [arms[ARM][f"best_of_{n}"] for n in _SIZES]
    return all(a < b for a, b in zip(values, values[1:], strict=False))

  return {
    "1.5 points more accurate than the overall score, every seed": every(
      seeds, lambda a: a[ARM][METRIC] >= a[BASELINE][METRIC] + 0.015
    ),
    "not worse with the margin, on average": mean(
      seeds, ARM, "accuracy_with_margin"
    )
    >= mean(seeds, ARM, METRIC),
    "the best of n rises with n, every seed": every(seeds, rises),
    "a random order undoes the liking for the first place, on average": (
      abs(mean(seeds, ARM, "first_place_bonus")) < 0.1
      and mean(seeds, BASELINE, "first_place_bonus") > 0.4
    ),
  }
