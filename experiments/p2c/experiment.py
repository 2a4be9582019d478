# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A small classifier with and without preferences between its inputs.

150 inputs of 30 features, five votes on each; the label is the majority.
Preferences between inputs of one class come from the votes. Same network,
start, batches and steps for all arms; preferences at random and preferences
of a judge that is wrong in 30 or 50 % are the controls.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from prefjax import experiments, feedback, losses, selection
from prefjax.feedback import judging

PAPER = "P2C, arXiv:2306.04925"
METHODS = ("p2c",)
CLAIM = (
  "Preferences between inputs of one class, as an auxiliary task, improve an"
  " ordinary classifier."
)
ARM, BASELINE = "p2c", "cross_entropy"
METRIC = "accuracy"
HIGHER_IS_BETTER = True
EXPECTED = (
  "half a point more accurate on average and better on four fifths of the"
  " seeds; preferences at random do not gain half a point; with 30 % of them"
  " wrong part of the gain is left, with 50 % none; gaps of probabilities"
  " follow the true ones better."
)
NOTE = (
  "The gain is 0.87 points, on 10 of 10 seeds; random preferences gain 0.10"
  " and half wrong ones 0.14. It depends on how clear the labels are: with a"
  " linear part of norm 1 (this experiment's first run; cross-entropy 81 %"
  " accurate) it is 0.42, on 9 of 10 seeds, below the rule. The norm of 2.25"
  " was chosen by cross-entropy alone, to be as accurate as in the trial that"
  " the rule comes from. Soft labels use the same votes more directly and gain"
  " 2.1 points (arm soft_labels)."
)
SEEDS = 10
SETTINGS = {
  "quick": dict(inputs=150, epochs=20, test=1000),
  "full": dict(inputs=150, epochs=60, test=4000),
}
_FEATURES, _WIDTH, _HEADS, _VOTES, _STEPS = 30, 24, 3, 5, 6
# Of the linear part: cross-entropy is then 87 % accurate, as in the trial that
# the rule comes from.
_NORM = 2.25

_OFF: dict[str, Any] = dict(lambda_pref=0.0, lambda_cons=0.0, lambda_div=0.0)
_ON: dict[str, Any] = dict(lambda_pref=1.0, lambda_cons=1.0, lambda_div=0.1)
# Arm -> (weights of the loss, whose preferences).
_ARMS: dict[str, tuple[Any, str]] = {
  "cross_entropy": (_OFF, "votes"),
  "p2c": (_ON, "votes"),
  "p2c_heads_only": (_ON | dict(lambda_cons=0.0), "votes"),
  "p2c_30_wrong": (_ON, "30_wrong"),
  "p2c_50_wrong": (_ON, "50_wrong"),
  "p2c_at_random": (_ON, "random"),
  "soft_labels": ("soft", "votes"),
}


def _init(key):
  keys = jax.random.split(key, 5)

  def normal(k, *shape):
    return jax.random.normal(k, shape) * shape[-2] ** -0.5

  return {
    "in": normal(keys[0], _FEATURES, _WIDTH),
    "bias": jnp.zeros(_WIDTH),
    "out": normal(keys[1], _WIDTH, 2),
    "labels": jax.random.normal(keys[2], (2, _WIDTH)),
    "h1": normal(keys[3], _HEADS, 2 * _WIDTH, _WIDTH) * 2**0.5,
    "h2": normal(keys[4], _HEADS, _WIDTH, 1),
  }


def _hidden(p, x):
  return jnp.tanh(x @ p["in"] + p["bias"])


def _scores(p, h, labels):
  """[H, B], how much each input shows its label."""
  both = jnp.concatenate([h, p["labels"][labels]], axis=-1)
  inner = jax.nn.relu(jnp.einsum("bd,hdw->hbw", both, p["h1"]))
  return jnp.tanh(jnp.einsum("hbw,hwo->hb", inner, p["h2"]))


def _loss(p, data, partner, preference, weights):
  x, y, soft = data
  h, other = _hidden(p, x), _hidden(p, x[partner])
  logits, logits_b = h @ p["out"], other @ p["out"]
  if weights == "soft":
    log = jax.nn.log_softmax(logits) * soft
    log_b = jax.nn.log_softmax(logits_b) * soft[partner]
    return -jnp.mean(jnp.sum(log + log_b, -1) / 2)
  value = losses.p2c(
    logits,
    logits_b,
    y,
    _scores(p, h, y),
    _scores(p, other, y),
    preference,
    **weights,
  )
  return jnp.mean(value)


def _train(key, data, partners, preferences, test_x, weights):
  """P(class 1) of the test inputs; full batches, new partners each epoch."""
  tx = optax.adamw(1e-2, weight_decay=1e-3)
  params = _init(key)

  def epoch(carry, item):
    def step(carry, _):
      params, state = carry
      grads = jax.grad(_loss)(params, data, *item, weights)
      updates, state = tx.update(grads, state, params)
      return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(step, carry, None, length=_STEPS)[0], None

  start = params, tx.init(params)
  params = jax.lax.scan(epoch, start, (partners, preferences))[0][0]
  return jax.nn.softmax(_hidden(params, test_x) @ params["out"])[:, 1]


def _world(seed: int, settings: Mapping[str, Any]) -> dict[str, Any]:
  """Inputs, votes, partners and everybody's preferences of one seed."""
  rng = np.random.default_rng(seed)
  w = rng.normal(size=_FEATURES) * _NORM / _FEATURES**0.5

  def draw(number):
    x = rng.normal(size=(number, _FEATURES))
    f = x @ w + 0.6 * np.sin(2 * x[:, 0])
    return x.astype(np.float32), 1 / (1 + np.exp(-3 * f))

  x, p = draw(settings["inputs"])
  ones = rng.binomial(_VOTES, p)
  votes = np.stack([_VOTES - ones, ones], axis=1)
  y = votes.argmax(1).astype(np.int32)
  partners = np.stack(
    [selection.p2c_partners(rng, y) for _ in range(settings["epochs"])]
  )
  true = np.stack(
    [feedback.preference_from_votes(votes, votes[q], y) for q in partners]
  )
  draws = rng.random(true.shape)

  def wrong(rate):
    return np.where((draws < rate) & (true != judging.TIE), 1 - true, true)

  test_x, test_p = draw(settings["test"])
  return {
    "data": (x, y, (votes / _VOTES).astype(np.float32)),
    "partners": partners,
    "preferences": {
      "votes": true,
      "30_wrong": wrong(0.3),
      "50_wrong": wrong(0.5),
      "random": rng.permuted(true, axis=1),
    },
    "test_x": test_x,
    "test_p": test_p,
  }


def measure_many(
  seeds: Sequence[int], settings: Mapping[str, Any]
) -> list[experiments.Arms]:
  """All seeds in one program a loss."""
  worlds = [_world(seed, settings) for seed in seeds]
  both = jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *worlds)
  keys = jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32))
  programs: dict[str, Any] = {}
  arms: list[experiments.Arms] = [{} for _ in seeds]
  for arm, (weights, whose) in _ARMS.items():
    if str(weights) not in programs:
      programs[str(weights)] = jax.jit(
        jax.vmap(lambda *args, weights=weights: _train(*args, weights))
      )
    found = programs[str(weights)](
      keys,
      both["data"],
      both["partners"],
      both["preferences"][whose],
      both["test_x"],
    )
    for own, world, p in zip(arms, worlds, np.asarray(found), strict=True):
      true = world["test_p"]
      gap, true_gap = p[::2] - p[1::2], true[::2] - true[1::2]
      own[arm] = {
        "accuracy": float(np.mean((p > 0.5) == (true > 0.5))),
        "gap_correlation": float(np.corrcoef(gap, true_gap)[0, 1]),
      }
  return arms


def measure(seed: int, settings: Mapping[str, Any]) -> experiments.Arms:
  return measure_many([seed], settings)[0]


def accept(seeds: Sequence[experiments.Arms]) -> dict[str, bool]:
  values = experiments.values

  def gain(arm):
    return values(seeds, arm, METRIC) - values(seeds, BASELINE, METRIC)

  def mean_gain(arm):
    return float(gain(arm).mean())

  return {
    "half a point more accurate, better on 4/5 of the seeds": bool(
      mean_gain(ARM) >= 0.005 and np.mean(gain(ARM) > 0) >= 0.8
    ),
    "preferences at random do not gain half a point": (
      mean_gain("p2c_at_random") < 0.005
    ),
    "with 30 % wrong part of the gain is left": (
      0 < mean_gain("p2c_30_wrong") < mean_gain(ARM)
    ),
    "with 50 % wrong less than half a point": (
      mean_gain("p2c_50_wrong") < 0.005
    ),
    "gaps of probabilities follow the true ones better": experiments.mean(
      seeds, ARM, "gap_correlation"
    )
    > experiments.mean(seeds, BASELINE, "gap_correlation"),
  }
