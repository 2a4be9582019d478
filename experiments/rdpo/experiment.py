# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""rDPO on a log-linear policy with a known optimum.

pi(a|x) ~ exp(w . phi(x, a)) with a uniform reference and beta = 1, so the
optimum under clean Bradley-Terry labels is the w* that made the labels. The
labels are flipped at a known rate. Full-batch gradient descent; all arms start
at w = 0 and see the same pairs.

Ranking accuracy would not do: symmetric flips only shrink w, which ranks the
same. What counts is the KL-regularised value that the policy loses.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefjax import data, experiments, losses

PAPER = "rDPO, arXiv:2403.00409"
METHODS = ("rdpo",)
CLAIM = (
  "With labels flipped at a known rate, the unbiased loss recovers the policy"
  " that clean labels would give; DPO and conservative DPO do not."
)
ARM, BASELINE = "rdpo", "dpo"
METRIC = "value_gap"
HIGHER_IS_BETTER = False
EXPECTED = (
  "with 30 % flips the value gap of rDPO is below half of DPO's on every seed;"
  " also with 20 % flips, and below conservative DPO's."
)
SEEDS = 5
SETTINGS = {
  "quick": dict(pairs=1000, steps=500, contexts=500, flip_rates=[0.2, 0.3]),
  "full": dict(pairs=4000, steps=3000, contexts=2000, flip_rates=[0.2, 0.3]),
}
_FEATURES, _NORM, _ACTIONS, _RATE = 8, 2.0, 6, 0.5


def _pairs(key: jax.Array, number: int):
  """(optimum [d], feature differences chosen - rejected [N, d])."""
  for_w, for_phi, for_label = jax.random.split(key, 3)
  w = jax.random.normal(for_w, (_FEATURES,))
  w = _NORM * w / jnp.linalg.norm(w)
  delta = jax.random.normal(for_phi, (number, _FEATURES))
  right = jax.random.bernoulli(for_label, jax.nn.sigmoid(delta @ w))
  return w, jnp.where(right[:, None], delta, -delta)


def _train(loss, delta: jax.Array, steps: int) -> jax.Array:
  """w [d] after full-batch gradient descent from 0."""
  zero = jnp.zeros(delta.shape[0])

  def objective(w):
    # The normaliser of a context cancels in the difference of log-probs.
    return jnp.mean(loss(delta @ w, zero, zero, zero))

  def step(w, _):
    return w - _RATE * jax.grad(objective)(w), None

  return jax.lax.scan(step, jnp.zeros(_FEATURES), None, length=steps)[0]


def _value(w: jax.Array, optimum: jax.Array, features: jax.Array) -> jax.Array:
  """E[r] - KL(pi || uniform) over contexts; features [C, A, d]."""
  logps = jax.nn.log_softmax(features @ w, axis=-1)
  reward = features @ optimum
  kl = logps + jnp.log(features.shape[1])
  return jnp.mean(jnp.sum(jnp.exp(logps) * (reward - kl), axis=-1))


def _measure(key, flips, steps: int, contexts: int, rate: float):
  """Metric -> number, by arm, for one rate of flips; flips bool [N]."""
  for_pairs, for_contexts = jax.random.split(key)
  optimum, delta = _pairs(for_pairs, flips.shape[0])
  delta = jnp.where(flips[:, None], -delta, delta)
  features = jax.random.normal(for_contexts, (contexts, _ACTIONS, _FEATURES))
  best = _value(optimum, optimum, features)
  arms = {
    "rdpo": lambda *a: losses.rdpo(*a, beta=1.0, epsilon=rate),
    "dpo": lambda *a: losses.dpo(*a, beta=1.0),
    "conservative_dpo": lambda *a: losses.conservative_dpo(
      *a, beta=1.0, label_smoothing=rate
    ),
  }
  out = {}
  for name, loss in arms.items():
    w = _train(loss, delta, steps)
    out[name] = {
      "value_gap": best - _value(w, optimum, features),
      "parameter_error": jnp.linalg.norm(w - optimum),
    }
  return out


def measure_many(
  seeds: Sequence[int], settings: Mapping[str, Any]
) -> list[experiments.Arms]:
  """All seeds in one program; numbers of the last rate have no suffix."""
  keys = jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32))
  rates = settings["flip_rates"]
  arms: list[experiments.Arms] = [{} for _ in seeds]
  for rate in rates:
    flips = np.stack(
      [data.flip_preferences(s, settings["pairs"], rate=rate) for s in seeds]
    )
    run = functools.partial(
      _measure,
      steps=settings["steps"],
      contexts=settings["contexts"],
      rate=rate,
    )
    found = jax.tree.map(np.asarray, jax.jit(jax.vmap(run))(keys, flips))
    suffix = "" if rate == rates[-1] else f"_at_{rate}"
    for arm, metrics in found.items():
      for name, values in metrics.items():
        for one, value in zip(arms, values, strict=True):
          one.setdefault(arm, {})[name + suffix] = float(value)
  return arms


def measure(seed: int, settings: Mapping[str, Any]) -> experiments.Arms:
  return measure_many([seed], settings)[0]


def accept(seeds: Sequence[experiments.Arms]) -> dict[str, bool]:
  def below(metric, share, baseline):
    return experiments.every(
      seeds, lambda a: a[ARM][metric] < share * a[baseline][metric]
    )

  return {
    "value gap below half of DPO's, every seed, 30 % flips": below(
      METRIC, 0.5, BASELINE
    ),
    "the same with 20 % flips": below("value_gap_at_0.2", 0.5, BASELINE),
    "value gap below conservative DPO's, every seed": below(
      METRIC, 1.0, "conservative_dpo"
    ),
  }
