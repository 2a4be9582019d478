# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What users say next, in a world where most answers are wrong.

A prompt is two symbols, the right answer the first of them. In the corpus the
second is the commoner answer, so likelihood prefers it. Users follow with one
of eight four-word remarks, whose words are shared: pleased ones after 90 % of
right answers and 15 % of others. A two-layer transformer reads the dialogues;
prompts of the test are new. Then it answers itself: the best and the worst of
eight samples by follow-ups are a pair for one round of DPO, against the same
pairs in random order.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from prefjax import data, experiments, methods, models, rewards
from prefjax.experiments import arrays
from prefjax.models import config as model_config
from prefjax.rewards import sequences

PAPER = "FLR, arXiv:2409.13948"
METHODS = ()
CLAIM = (
  "How likely a pleased against a displeased follow-up is after an answer"
  " ranks answers without any label, where their likelihood does not."
)
ARM, BASELINE = "followups", "likelihood"
METRIC = "accuracy"
HIGHER_IS_BETTER = True
EXPECTED = (
  "over 90 % of the right answers preferred on held-out prompts and 30 points"
  " above likelihood, on every seed; with the lists swapped below 10 %; where"
  " users' remarks ignore the answer between 35 and 65 % on average; a round of"
  " DPO on mined pairs raises the chance of the right answer by 5 points over"
  " the start and over pairs in random order, on every seed."
)
NOTE = (
  "Positions are learned: with rotary ones the same model had not found the"
  " rule after 1,500 steps (0.41 and 0.49 on design seed 1), with learned"
  " ones it had after 1,000 (1.00). Tuning the scorer on feedback and real"
  " dialogues are not part of this test."
)
SEEDS = 3
SETTINGS = {
  "quick": dict(steps=250, dialogues=10000, dpo_steps=30),
  "full": dict(steps=1000, dialogues=40000, dpo_steps=150),
}
_SYMBOLS, _TRAIN = 20, 300
_WORDS = 6  # of remarks
_START = _SYMBOLS + _WORDS
_BATCH, _K = 64, 8
# Words a..f; pleased and displeased remarks are made of the same ones.
_PLEASED = ((0, 1, 2, 3), (1, 3, 5, 0), (2, 0, 4, 1), (3, 5, 0, 2))
_DISPLEASED = ((4, 1, 2, 3), (5, 3, 1, 0), (2, 4, 0, 1), (3, 0, 5, 4))


@functools.cache
def _model() -> models.Model:
  return models.Model(
    models.preset(
      "tiny",
      vocab_size=_START + 1,
      hidden_size=64,
      intermediate_size=128,
      num_layers=2,
      num_heads=4,
      num_kv_heads=4,
      head_dim=16,
      query_scale=16**-0.5,
      max_positions=64,
      # Who said what is a matter of place in so short a dialogue.
      learned_positions=True,
      pattern=(model_config.Slot(),),
    )
  )


def _dialogues(rng, prompts: np.ndarray, number: int, informed: bool):
  """int32 [N, 8]: start, two symbols, an answer, four words."""
  rows = prompts[rng.integers(0, len(prompts), number)]
  kind = rng.choice(3, number, p=(0.35, 0.45, 0.2))
  other = rng.integers(0, _SYMBOLS, number)
  answer = np.select([kind == 0, kind == 1], [rows[:, 0], rows[:, 1]], other)
  right = answer == rows[:, 0]
  pleased = rng.random(number) < (
    np.where(right, 0.9, 0.15) if informed else 0.5
  )
  which = rng.integers(0, 4, number)
  words = np.where(
    pleased[:, None],
    np.asarray(_PLEASED)[which],
    np.asarray(_DISPLEASED)[which],
  )
  start = np.full((number, 1), _START)
  parts = [start, rows, answer[:, None], words + _SYMBOLS]
  return np.concatenate(parts, axis=1).astype(np.int32)


@functools.partial(jax.jit, static_argnums=2)
def _train(key, dialogues, steps: int):
  model = _model()
  for_init, order = jax.random.split(key)
  tx = optax.adamw(
    optax.warmup_cosine_decay_schedule(0.0, 2e-3, 50, steps), weight_decay=1e-2
  )

  def loss(params, rows):
    hidden = model.rows(params, rows)
    logits = model.scores(params, hidden)[:, :-1]
    logps = jax.nn.log_softmax(logits)
    own = jnp.take_along_axis(logps, rows[:, 1:, None], axis=-1)
    return -jnp.mean(own)

  def step(carry, key):
    params, state = carry
    chosen = jax.random.randint(key, (_BATCH,), 0, dialogues.shape[0])
    grads = jax.grad(loss)(params, dialogues[chosen])
    updates, state = tx.update(grads, state, params)
    return (optax.apply_updates(params, updates), state), None

  params = model.init(for_init)
  start = (params, tx.init(params))
  keys = jax.random.split(order, steps)
  return jax.lax.scan(step, start, keys)[0][0]


@jax.jit
def _apply(params, group):
  return methods.token_logps_of(_model(), params, group)


def _rewards(params, prompts, answers) -> np.ndarray:
  """Follow-up rewards [N, K] of answers to prompts [N, 2]."""
  remarks = [[w + _SYMBOLS for w in words] for words in _PLEASED + _DISPLEASED]
  items = [
    sequences.Item([_START, *row, answer], remarks)
    for row, own in zip(prompts.tolist(), answers.tolist(), strict=True)
    for answer in own
  ]
  found = sequences.token_logps(_apply, params, items, batch_size=64)
  table = np.asarray([[x.mean() for x in row] for row in found])
  reward = np.asarray(rewards.flr(table[:, :4], table[:, 4:]))
  return reward.reshape(answers.shape)


@jax.jit
def _answers(params, prompts):
  """Log-probs [N, V] of the word after the prompt."""
  start = jnp.full((len(prompts), 1), _START)
  hidden = _model().rows(params, jnp.concatenate([start, prompts], axis=1))
  return jax.nn.log_softmax(_model().scores(params, hidden[:, -1]))


def _scores(params, prompts) -> dict[str, np.ndarray]:
  """Of both symbols as answers, [N, 2]: follow-up reward and likelihood."""
  likely = np.asarray(_answers(params, prompts))
  return {
    "followups": _rewards(params, prompts, prompts),
    "likelihood": np.take_along_axis(likely, prompts, axis=1),
  }


def _accuracy(scores: np.ndarray) -> float:
  return float(np.mean(scores[:, 0] > scores[:, 1]))


def _right(params, prompts) -> float:
  """Chance of the right answer."""
  logps = np.asarray(_answers(params, prompts))
  return float(np.exp(logps[np.arange(len(prompts)), prompts[:, 0]]).mean())


def _aligned(params, train, held_out, seed: int, steps: int):
  """Chance of right answers: at the start, after mined and random pairs."""
  rng = np.random.default_rng([seed, 1])
  logps = np.asarray(_answers(params, train))[:, :_SYMBOLS]
  noise = rng.gumbel(size=(len(train), _K, _SYMBOLS))
  answers = np.argmax(logps[:, None] + noise, axis=-1)
  mined = data.best_worst(_rewards(params, train, answers))
  kept = np.flatnonzero(mined["valid"])
  pairs = np.stack(
    [answers[kept, mined[side][kept]] for side in ("chosen", "rejected")], 1
  )
  swapped = np.where(rng.random((len(kept), 1)) < 0.5, pairs[:, ::-1], pairs)
  prompts = np.concatenate(
    [np.full((len(kept), 1), _START), train[kept]], axis=1
  )
  tasks = arrays.Tasks(prompts, np.ones(prompts.shape, bool))
  out = {"start": _right(params, held_out)}
  for name, sides in (("mined", pairs), ("random", swapped)):
    policy = arrays.fit(
      _model(),
      {"policy": params},
      "dpo",
      arrays.group_of(tasks, sides[..., None], np.ones(sides.shape)),
      steps=steps,
      seed=seed,
      kwargs=dict(beta=0.3),
      frozen={"reference": params},
      learning_rate=5e-4,
    )["policy"]
    out[name] = _right(policy, held_out)
  return out


def measure(seed: int, settings: Mapping[str, Any]) -> experiments.Arms:
  rng = np.random.default_rng(seed)
  pairs = np.asarray(
    [(a, b) for a in range(_SYMBOLS) for b in range(_SYMBOLS) if a != b]
  )
  pairs = pairs[rng.permutation(len(pairs))]
  train, held_out = pairs[:_TRAIN], pairs[_TRAIN:]
  arms: experiments.Arms = {}
  for informed in (True, False):
    rows = _dialogues(rng, train, settings["dialogues"], informed)
    key = jax.random.key(seed * 2 + informed)
    params = _train(key, jnp.asarray(rows), settings["steps"])
    found = _scores(params, held_out)
    if informed:
      arms = {
        ARM: {
          "accuracy": _accuracy(found["followups"]),
          "accuracy_swapped": _accuracy(-found["followups"]),
        },
        BASELINE: {"accuracy": _accuracy(found["likelihood"])},
      }
      steps = settings["dpo_steps"]
      for name, value in _aligned(params, train, held_out, seed, steps).items():
        arms[ARM][f"right_{name}"] = value
    else:
      arms[ARM]["accuracy_uninformed"] = _accuracy(found["followups"])
  return arms


def accept(seeds: Sequence[experiments.Arms]) -> dict[str, bool]:
  every = experiments.every
  control = experiments.mean(seeds, ARM, "accuracy_uninformed")
  return {
    "over 90 %, and 30 points above likelihood, every seed": every(
      seeds,
      lambda a: (
        a[ARM][METRIC] > 0.9 and a[ARM][METRIC] >= a[BASELINE][METRIC] + 0.3
      ),
    ),
    "below 10 % with the lists swapped, every seed": every(
      seeds, lambda a: a[ARM]["accuracy_swapped"] < 0.1
    ),
    "near chance where remarks ignore the answer, on average": (
      0.35 <= control <= 0.65
    ),
    "DPO on mined pairs: 5 points above start and random, every seed": every(
      seeds,
      lambda a: (
        a[ARM]["right_mined"]
        >= max(a[ARM]["right_start"], a[ARM]["right_random"]) + 0.05
      ),
    ),
  }
