# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Votes of an ensemble against wrong labels, and MetaRM under shift.

True rewards are a little non-linear in 20 features; 1,500 pairs, a quarter of
them labelled wrongly. Five networks are trained for a few passes and vote; the
final network learns for many passes from labels as they are, or as the votes
mend them. MetaRM's test: responses that have moved along a direction that no
training pair varies in.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from prefjax import data, experiments, losses, selection

PAPER = "Secrets of RLHF II, arXiv:2401.06080"
METHODS = ("reward_bt", "metarm")
CLAIM = (
  "Votes of several reward models find wrong labels; flipping the weakest and"
  " asking for margins makes a better reward model, and MetaRM keeps telling"
  " responses apart when they move."
)
ARM, BASELINE = "flip_margin", "plain"
METRIC = "accuracy"
HIGHER_IS_BETTER = True
EXPECTED = (
  "AUC of minus strength against wrong labels over 0.9, and flip with margin 2"
  " points above plain training, on every seed; the margin alone is better on"
  " average; MetaRM spreads shifted groups wider, at most 1 point less accurate"
  " in distribution, on average."
)
NOTE = (
  "Voting and mending hold up: 14 points. MetaRM does not spread shifted"
  " groups wider (1.25 against 1.29), nor does it with a meta step of 0.01,"
  " 0.1, 1 or 3 (three design seeds; the larger, the narrower). Its gradient"
  " is taken where responses are further apart already and the loss asks for"
  " less, which may be why. Contrastive terms were not tried."
)
SEEDS = 3
SETTINGS = {
  "quick": dict(pairs=600, epochs=8, vote_epochs=3, test=1000),
  "full": dict(pairs=1500, epochs=15, vote_epochs=4, test=4000),
}
_FEATURES, _WIDTH, _MEMBERS, _BATCH, _NOISE = 20, 32, 5, 50, 0.25
_RATE, _META_RATE, _GROUP = 1e-2, 0.3, 4


def _init(key):
  first, second = jax.random.split(key)
  return {
    "in": jax.random.normal(first, (_FEATURES, _WIDTH)) * _FEATURES**-0.5,
    "bias": jnp.zeros(_WIDTH),
    "out": jax.random.normal(second, (_WIDTH,)) * _WIDTH**-0.5,
  }


def _reward(params, x):
  return jnp.tanh(x @ params["in"] + params["bias"]) @ params["out"]


def _true(w, x):
  return x @ w + 0.5 * np.sin(2 * x[..., 0])


_TX = optax.adamw(_RATE, weight_decay=1e-4)


def _loss(params, batch):
  value = losses.bradley_terry(
    _reward(params, batch["chosen"]),
    _reward(params, batch["rejected"]),
    batch["margin"],
    batch["smoothing"],
  )
  return jnp.mean(value)


def _step(state, batch, meta_rate=0.0):
  params, opt = state
  if meta_rate:
    _, grads = losses.metarm_gradient(
      lambda p: jnp.mean(losses.metarm_difference(_reward(p, batch["group"]))),
      lambda p: _loss(p, batch),
      params,
      meta_lr=meta_rate,
    )
  else:
    grads = jax.grad(_loss)(params, batch)
  updates, opt = _TX.update(grads, opt, params)
  return optax.apply_updates(params, updates), opt


def _start(key):
  params = _init(key)
  return params, _TX.init(params)


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def _train(key, pairs, members, epochs, meta_rate):
  return selection.train_ensemble(
    key,
    _start,
    functools.partial(_step, meta_rate=meta_rate),
    pairs,
    num_models=members,
    batch_size=_BATCH,
    num_epochs=epochs,
  )[0]


def _auc(scores, positive) -> float:
  """P(a wrong label scores higher than a right one)."""
  order = np.argsort(np.argsort(scores, kind="stable"))
  n1, n0 = positive.sum(), (~positive).sum()
  return float((order[positive].sum() - n1 * (n1 - 1) / 2) / (n1 * n0))


def measure(seed: int, settings: Mapping[str, Any]) -> experiments.Arms:
  rng = np.random.default_rng(seed)
  w = rng.normal(size=_FEATURES) / _FEATURES**0.5 * 2
  quiet = rng.normal(size=_FEATURES)  # no pair varies along it
  quiet /= np.linalg.norm(quiet)

  def draw(number, *shape):
    x = rng.normal(size=(number, *shape, _FEATURES))
    return x - (x @ quiet)[..., None] * quiet

  def ordered(number):
    x = draw(number, 2)
    swap = _true(w, x[:, 1]) > _true(w, x[:, 0])
    x[swap] = x[swap][:, ::-1]
    return x

  number = settings["pairs"]
  x, test = ordered(number), ordered(settings["test"])
  wrong = data.flip_preferences(seed, number, rate=_NOISE).astype(bool)
  x[wrong] = x[wrong][:, ::-1]
  shifted = draw(number, _GROUP) + 2.0 * quiet
  key = jax.random.key(seed)

  def pairs(x, margin=0.0, smoothing=0.0):
    def full(v):
      return jnp.broadcast_to(jnp.asarray(v, jnp.float32), (number,))

    return {
      "chosen": jnp.asarray(x[:, 0], jnp.float32),
      "rejected": jnp.asarray(x[:, 1], jnp.float32),
      "margin": full(margin),
      "smoothing": full(smoothing),
      "group": jnp.asarray(shifted, jnp.float32),
    }

  members = _train(key, pairs(x), _MEMBERS, settings["vote_epochs"], 0.0)
  each = jax.vmap(lambda p: _reward(p, jnp.asarray(x)))(members)  # [M, N, 2]
  votes = selection.preference_strength(each[..., 0], each[..., 1])
  strength = votes["mean"]

  def final(method, meta_rate=0.0):
    own, margin, smoothing = x, 0.0, 0.0
    if method != "plain":
      recipe = selection.strength_recipe(strength, method=method, smoothing=0.4)
      flip = recipe["flip"].astype(bool)
      own = np.where(flip[:, None, None], x[:, ::-1], x)
      margin, smoothing = recipe["margin"], recipe["smoothing"]
    found = _train(
      jax.random.fold_in(key, 1),
      pairs(own, margin, smoothing),
      1,
      settings["epochs"],
      meta_rate,
    )
    return jax.tree.map(lambda leaf: leaf[0], found)

  moved = draw(settings["test"], _GROUP) + 2.0 * quiet

  def numbers(params):
    gap = _reward(params, test[:, 0]) - _reward(params, test[:, 1])
    r = np.asarray(_reward(params, moved))
    i, j = np.triu_indices(_GROUP, 1)
    scale = float(np.std(np.asarray(_reward(params, test))))
    true = np.sign(_true(w, moved)[:, i] - _true(w, moved)[:, j])
    return {
      "accuracy": float(np.mean(np.asarray(gap) > 0)),
      "shifted_spread": float(np.abs(r[:, i] - r[:, j]).mean()),
      "shifted_accuracy": float(np.mean(true * (r[:, i] - r[:, j]) > 0)),
      "reward_std": scale,
    }

  arms = {
    name: numbers(final(name))
    for name in ("plain", "flip", "soft", "margin", "flip_margin")
  }
  arms["metarm"] = numbers(final("plain", _META_RATE))
  weakest = np.argsort(strength, kind="stable")[: int(0.2 * number)]
  arms["flip_margin"]["strength_auc"] = _auc(-strength, wrong)
  arms["flip_margin"]["flipped_precision"] = float(wrong[weakest].mean())
  return arms


def accept(seeds: Sequence[experiments.Arms]) -> dict[str, bool]:
  every, mean = experiments.every, experiments.mean
  return {
    "flip with margin 2 points above plain, every seed": every(
      seeds, lambda a: a[ARM][METRIC] >= a[BASELINE][METRIC] + 0.02
    ),
    "AUC of the votes over 0.9, every seed": every(
      seeds, lambda a: a[ARM]["strength_auc"] > 0.9
    ),
    "the margin alone is better than plain, on average": mean(
      seeds, "margin", METRIC
    )
    > mean(seeds, "plain", METRIC),
    "MetaRM spreads shifted groups wider, on average": mean(
      seeds, "metarm", "shifted_spread"
    )
    > mean(seeds, "plain", "shifted_spread"),
    "MetaRM at most 1 point less accurate, on average": mean(
      seeds, "metarm", METRIC
    )
    >= mean(seeds, "plain", METRIC) - 0.01,
  }
