# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A little language model that learns from preferences that cycle.

A prompt is two symbols, an answer two words, the first of one of three kinds.
Kinds beat one another in a circle, whose direction the first symbol gives;
the second one decides which kind the start likes to answer with. One round of
GPO on the start's own answers should find what beats it, on new prompts too.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from prefjax import models, rewards
from prefjax.core import types
from prefjax.experiments import arrays

_FIRST, _SECOND, _WORDS = 8, 15, 12
_VOCABULARY = _FIRST + _SECOND + _WORDS
_HELD_OUT, _K, _COPIES = 30, 8, 16
_LIKES = (0.6, 0.25, 0.15)  # chances of the three kinds, best liked first
_BETA = 0.5


@functools.cache
def _model() -> models.Model:
  return models.Model(
    models.preset(
      "tiny",
      vocab_size=_VOCABULARY,
      hidden_size=48,
      intermediate_size=96,
      num_layers=2,
      num_heads=4,
      num_kv_heads=4,
      head_dim=12,
      query_scale=12**-0.5,
      max_positions=16,
    )
  )


def _preferences(prompts: np.ndarray, first, second) -> np.ndarray:
  """+1 where kinds [N, ...] `first` beat `second`, -1 where they lose."""
  up = (prompts[:, 0] < _FIRST // 2).reshape(-1, *[1] * (first.ndim - 1))
  ahead = (first - second) % 3  # 1: one further round the circle
  value = np.where(ahead == 1, 1.0, np.where(ahead == 2, -1.0, 0.0))
  return np.where(up, value, -value)


def _kinds(answers: np.ndarray) -> np.ndarray:
  return (np.asarray(answers)[..., 0] - _FIRST - _SECOND) % 3


def _group(prompts: np.ndarray, answers, scores=None) -> types.Group:
  tasks = arrays.Tasks(prompts, np.ones(prompts.shape, bool))
  lengths = np.full(answers.shape[:2], 2)
  group = arrays.group_of(tasks, answers, lengths)
  if scores is None:
    return group
  return dataclasses.replace(group, scores=jnp.asarray(scores, jnp.float32))


@jax.jit
def _next(params, rows, key):
  logits = _model().scores(params, _model().rows(params, rows)[:, -1])
  # A sampler of answers: symbols of prompts are no words.
  words = jnp.arange(_VOCABULARY) >= _FIRST + _SECOND
  return jax.random.categorical(key, jnp.where(words, logits, -jnp.inf))


def _sample(params, prompts: np.ndarray, number: int, key) -> np.ndarray:
  """int [N, number, 2], answers of the policy."""
  rows = jnp.asarray(np.repeat(prompts, number, axis=0), jnp.int32)
  for own in jax.random.split(key, 2):
    rows = jnp.concatenate([rows, _next(params, rows, own)[:, None]], axis=1)
  return np.asarray(rows[:, 2:]).reshape(len(prompts), number, 2)


def _demonstrations(rng, prompts: np.ndarray, number: int):
  """Prompts and answers [number, 1, 2] of the start's taste."""
  rows = prompts[rng.integers(0, len(prompts), number)]
  place = rng.choice(3, number, p=_LIKES)
  kind = (rows[:, 1] + place) % 3
  first = kind + 3 * rng.integers(0, _WORDS // 3, number)
  words = np.stack([first, rng.integers(0, _WORDS, number)], axis=1)
  return rows, words[:, None] + _FIRST + _SECOND


def one_round(seed: int, steps: int) -> dict[str, float]:
  """Mean preference of new over old answers, before and after GPO."""
  rng = np.random.default_rng(seed)
  prompts = np.asarray(
    [(a, _FIRST + b) for a in range(_FIRST) for b in range(_SECOND)]
  )
  prompts = prompts[rng.permutation(len(prompts))]
  train, held_out = prompts[_HELD_OUT:], prompts[:_HELD_OUT]
  for_init, for_train, *for_test = jax.random.split(jax.random.key(seed), 5)
  how = dict(steps=steps, seed=seed, learning_rate=2e-3)
  start = arrays.fit(
    _model(),
    {"policy": _model().init(for_init)},
    "sft",
    _group(*_demonstrations(rng, train, 4000)),
    **how,
  )["policy"]

  rows = np.repeat(train, 8, axis=0)
  answers = _sample(start, rows, _K, for_train)
  kinds = _kinds(answers)
  matrix = _preferences(rows, kinds[:, :, None], kinds[:, None, :])
  scores = rewards.preference_vs_policy(matrix)
  policy = arrays.fit(
    _model(),
    {"policy": start},
    "gpo",
    _group(rows, answers, scores),
    kwargs=dict(beta=_BETA),
    frozen={"reference": start},
    **how,
  )["policy"]

  old, again, new = (
    _kinds(_sample(params, held_out, _COPIES, key))
    for params, key in zip((start, start, policy), for_test, strict=True)
  )

  def mean(mine):
    table = _preferences(held_out, mine[:, :, None], old[:, None, :])
    return float(table.mean())

  return {"before": mean(again), "after": mean(new)}
