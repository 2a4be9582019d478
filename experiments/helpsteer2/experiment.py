# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Regression of five ratings against pairs, and SteerLM 2.0 on a table.

Reward models: attributes are linear in 24 features and correlated; 600 rated
responses are 300 pairs, ordered by the same weighted sum of their ratings.
Both arms know the weights. SteerLM 2.0: 8 prompts, 20 responses, 5 levels of
an attribute whose posterior is known; the sampler was fitted to noisily
labelled responses by counting.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefjax import experiments, losses, rewards

PAPER = "HelpSteer2, arXiv:2406.08673"
METHODS = ("attribute_regression", "steerlm2")
CLAIM = (
  "Regressing ratings of several attributes uses the same responses better than"
  " pairs ordered by those ratings, and SteerLM 2.0 brings a policy closer to"
  " what attributes ask for."
)
ARM, BASELINE = "regression", "bradley_terry"
METRIC = "accuracy"
HIGHER_IS_BETTER = True
EXPECTED = (
  "regression is 2 points more accurate on the weighted quality and better on"
  " helpfulness, on every seed; the gap shrinks with four times the data;"
  " SteerLM 2.0 more than halves the divergence that its sampler starts from,"
  " and its baseline lowers the variance of gradients by a quarter, at the"
  " start and at the end."
)
NOTE = (
  "Both arms know the weights of the attributes; the pairs are ordered by the"
  " weighted rating. Steering a language model by requested ratings was not"
  " tried here."
)
SEEDS = 3
SETTINGS = {
  "quick": dict(responses=600, test=1000, steps=800),
  "full": dict(responses=600, test=4000, steps=4000),
}
_FEATURES, _RIDGE = 24, 1.0
_WEIGHTS = np.asarray(rewards.attributes.HELPSTEER_WEIGHTS)


# --- reward models ------------------------------------------------------------


def _bt(delta: np.ndarray, steps: int = 60) -> np.ndarray:
  """w of ridge-regularised Bradley-Terry, by Newton's method."""
  w = np.zeros(delta.shape[1])
  for _ in range(steps):
    p = 1 / (1 + np.exp(delta @ w))
    slope = -delta.T @ p + _RIDGE * w
    curve = (delta * (p * (1 - p))[:, None]).T @ delta
    step = np.linalg.solve(curve + _RIDGE * np.eye(len(w)), slope)
    w = w - step
    if np.abs(step).max() < 1e-9:
      break
  return w


def _reward_models(rng, responses: int, test: int) -> dict[str, dict]:
  shared = rng.normal(size=_FEATURES)
  own = rng.normal(size=(5, _FEATURES))
  directions = 0.6**0.5 * shared + 0.4**0.5 * own
  directions /= _FEATURES**0.5

  def draw(number):
    x = rng.normal(size=(number, _FEATURES))
    return x, x @ directions.T

  x, latent = draw(responses)
  ratings = np.clip(
    np.round(2 + latent + rng.normal(0, 0.7, latent.shape)), 0, 4
  )
  gram = x.T @ x + _RIDGE * np.eye(_FEATURES)
  heads = np.linalg.solve(gram, x.T @ (ratings - ratings.mean(0)))  # [D, 5]
  total = ratings @ _WEIGHTS
  a, b = np.arange(0, responses, 2), np.arange(1, responses, 2)
  sign = np.sign(total[a] - total[b])
  kept = sign != 0
  w = _bt((x[a] - x[b])[kept] * sign[kept, None])

  test_x, test_latent = draw(test)
  first, second = np.arange(0, test, 2), np.arange(1, test, 2)

  def right(scores, target):
    gap = (scores[first] - scores[second]) * (target[first] - target[second])
    return float(np.mean(gap > 0))

  quality, helpful = test_latent @ _WEIGHTS, test_latent[:, 0]
  predicted = test_x @ heads
  scores = np.asarray(
    rewards.attribute_reward(predicted, weights=tuple(_WEIGHTS))
  )
  return {
    "regression": {
      "accuracy": right(scores, quality),
      "helpfulness": right(predicted[:, 0], helpful),
    },
    "bradley_terry": {
      "accuracy": right(test_x @ w, quality),
      "helpfulness": right(test_x @ w, helpful),
    },
  }


# --- SteerLM 2.0 on a table ---------------------------------------------------

_PROMPTS, _RESPONSES, _LEVELS, _K = 8, 20, 5, 10


def _log_softmax(x):
  return x - np.log(np.exp(x).sum(-1, keepdims=True))


def _steer(rng, steps: int) -> dict[str, float]:
  prior = _log_softmax(rng.normal(size=(_PROMPTS, _RESPONSES)))
  centre = rng.uniform(0, _LEVELS - 1, (_PROMPTS, _RESPONSES))
  grid = np.arange(_LEVELS)
  attribute = _log_softmax(-((grid - centre[..., None]) ** 2) / (2 * 0.7**2))
  target = attribute + prior[..., None]  # log P(a|x,y) P(y|x)
  target = np.moveaxis(target, 2, 1)  # [prompts, levels, responses]
  target = target - np.log(np.exp(target).sum(-1, keepdims=True))

  # The sampler: counts of responses by the level that a noisy rater gave.
  counts = np.full((_PROMPTS, _LEVELS, _RESPONSES), 0.1)
  for prompt in range(_PROMPTS):
    drawn = rng.choice(_RESPONSES, 3000 // _PROMPTS, p=np.exp(prior[prompt]))
    noise = rng.normal(0, 1.0, drawn.size)
    level = np.clip(np.round(centre[prompt, drawn] + noise), 0, _LEVELS - 1)
    np.add.at(counts, (prompt, level.astype(int), drawn), 1)
  proposal = np.log(counts / counts.sum(-1, keepdims=True))

  q, attr, p0 = (
    jnp.asarray(v, jnp.float32)
    for v in (
      proposal.reshape(-1, _RESPONSES),
      np.moveaxis(attribute, 2, 1).reshape(-1, _RESPONSES),
      np.repeat(prior[:, None], _LEVELS, 1).reshape(-1, _RESPONSES),
    )
  )
  goal = jnp.asarray(target.reshape(-1, _RESPONSES), jnp.float32)

  def gradient(theta, key, baseline=True):
    y = jax.random.categorical(key, q, axis=-1, shape=(_K, len(q))).T

    def at(table):
      return jnp.take_along_axis(table, y, axis=1)

    def loss(theta):
      logps = at(jax.nn.log_softmax(theta))
      if baseline:
        value = losses.steerlm2(
          logps, at(attr), at(p0), at(q), normalize_by_length=False
        )
      else:
        weight = losses.steerlm2_weights(logps, at(attr), at(p0), at(q))
        value = -jnp.sum(weight["target"] * logps, axis=-1)
      return jnp.sum(value)

    return jax.grad(loss)(theta)

  def step(theta, item):
    key, rate = item
    return theta - rate * gradient(theta, key), None

  key = jax.random.key(int(rng.integers(1 << 31)))
  rates = 0.3 * (1 - jnp.arange(steps) / steps)
  keys = jax.random.split(key, steps)
  theta = jax.jit(lambda: jax.lax.scan(step, q, (keys, rates))[0])()

  def divergence(logits):
    logits = jax.nn.log_softmax(logits)
    return float(jnp.mean(jnp.sum(jnp.exp(goal) * (goal - logits), axis=-1)))

  def variance(at_theta, baseline):
    found = jax.jit(jax.vmap(lambda k: gradient(at_theta, k, baseline)))(
      jax.random.split(key, 400)
    )
    return float(jnp.sum(jnp.var(found, axis=0)))

  out = {
    "divergence_before": divergence(q),
    "divergence_after": divergence(theta),
  }
  # Where the policy has arrived, all that is left without it is noise.
  for when, point in (("start", q), ("end", theta)):
    out[f"gradient_variance_{when}"] = variance(point, True)
    out[f"gradient_variance_without_{when}"] = variance(point, False)
  return out


def measure(seed: int, settings: Mapping[str, Any]) -> experiments.Arms:
  rng = np.random.default_rng(seed)
  number, test = settings["responses"], settings["test"]
  arms = _reward_models(rng, number, test)
  more = _reward_models(rng, 4 * number, test)
  for arm, found in more.items():
    arms[arm]["accuracy_with_more_data"] = found["accuracy"]
  return arms | {"steerlm2": _steer(rng, settings["steps"])}


def accept(seeds: Sequence[experiments.Arms]) -> dict[str, bool]:
  every, mean = experiments.every, experiments.mean

  def gap(metric):
    return mean(seeds, ARM, metric) - mean(seeds, BASELINE, metric)

  return {
    "regression 2 points above pairs, every seed": every(
      seeds, lambda a: a[ARM][METRIC] >= a[BASELINE][METRIC] + 0.02
    ),
    "better on helpfulness, every seed": every(
      seeds, lambda a: a[ARM]["helpfulness"] > a[BASELINE]["helpfulness"]
    ),
    "the gap shrinks with more data, on average": gap("accuracy_with_more_data")
    < gap(METRIC),
    "SteerLM 2.0 halves the divergence, every seed": every(
      seeds,
      lambda a: (
        a["steerlm2"]["divergence_after"]
        < 0.5 * a["steerlm2"]["divergence_before"]
      ),
    ),
    "its baseline lowers the variance by a quarter, every seed": every(
      seeds,
      lambda a: all(
        a["steerlm2"][f"gradient_variance_{when}"]
        < 0.75 * a["steerlm2"][f"gradient_variance_without_{when}"]
        for when in ("start", "end")
      ),
    ),
  }
