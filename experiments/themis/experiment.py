# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Sums and products: a reward model with and without a calculator's word.

A question is a sum or a product of two three-digit numbers; of two answers one
has a wrong digit. Digits are tokens, fields are padded with zeros. The plain
reward model reads question and answer, the other one also what the calculator
says, and learns to predict it (the loss of Themis). Same transformer, data and
steps; another plain one gets four times the pairs.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from prefjax import experiments, losses, models, rewards
from prefjax.losses import tool_traces
from prefjax.models import config as model_config
from prefjax.models import heads

PAPER = "Themis, arXiv:2310.01045"
METHODS = ("themis",)
CLAIM = (
  "A reward model that calls tools ranks answers that it cannot check by"
  " itself."
)
ARM, BASELINE = "tools", "plain"
METRIC = "accuracy"
HIGHER_IS_BETTER = True
EXPECTED = (
  "with the tool at least 93 % and without at most 75 % on every seed; without"
  " but with four times the pairs still 10 points behind; with 30 % of the"
  " tool's answers wrong accuracy falls by at least 10 points."
)
NOTE = (
  "With the tool the mean is 0.936, but only three of six seeds reach 0.93"
  " (0.916 to 0.958), after 1,200 steps; without it 0.664, and 0.686 with four"
  " times the pairs: the tool's gain of 27 points is clear, the bound is"
  " missed. Positions are learned; with rotary ones a design seed had 0.921 and"
  " 0.673. On five design seeds it was 0.934 (0.894 to 0.982), without warm-up"
  " 0.937 (0.892 to 0.969), on two of them 0.953, and 0.934 with clipped"
  " gradients. At the test the calculator is really called, on the question's"
  " text and not by a call that the model wrote. Dates and the choice between"
  " tools were not tried."
)
SEEDS = 3
SETTINGS = {
  "quick": dict(pairs=2000, steps=150, test=300),
  "full": dict(pairs=5000, steps=1200, test=1000),
}
_PLUS, _TIMES, _END, _SAYS = 10, 11, 12, 13
_BATCH, _FIELD = 32, 6


@functools.cache
def _model() -> models.Model:
  return models.Model(
    models.preset(
      "tiny",
      vocab_size=14,
      hidden_size=64,
      intermediate_size=128,
      num_layers=2,
      num_heads=4,
      num_kv_heads=4,
      head_dim=16,
      query_scale=16**-0.5,
      max_positions=64,
      # Fields have fixed places.
      learned_positions=True,
      pattern=(model_config.Slot(),),
    )
  )


def _digits(values: np.ndarray, width: int) -> np.ndarray:
  powers = 10 ** np.arange(width - 1, -1, -1)
  return (values[:, None] // powers) % 10


def _questions(rng, number: int):
  """(question tokens [N, 7], result, wrong result, texts)."""
  a, b = rng.integers(0, 1000, (2, number))
  times = rng.random(number) < 0.5
  right = np.where(times, a * b, a + b)
  place = rng.integers(0, _FIELD, number)
  shift = rng.integers(1, 10, number)
  digits = _digits(right, _FIELD)
  wrong = digits.copy()
  rows = np.arange(number)
  wrong[rows, place] = (wrong[rows, place] + shift) % 10
  sign = np.where(times, _TIMES, _PLUS)
  question = np.concatenate(
    [_digits(a, 3), sign[:, None], _digits(b, 3)], axis=1
  )
  texts = [
    f"{x} {'*' if t else '+'} {y}" for x, y, t in zip(a, b, times, strict=True)
  ]
  return question, digits, wrong, texts


def _row(question, answer, said) -> tuple[np.ndarray, np.ndarray]:
  """(tokens, segments) of a judged answer; `said` None for no tool."""
  n = len(question)
  end = np.full((n, 1), _END)
  parts, kinds = [question, answer], [0] * 7 + [tool_traces.ANSWER] * _FIELD
  if said is not None:
    parts += [np.full((n, 1), _SAYS), said]
    kinds += [tool_traces.TOOL] + [tool_traces.OBSERVATION] * _FIELD
  tokens = np.concatenate([*parts, end], axis=1).astype(np.int32)
  segments = np.tile(np.asarray([*kinds, 0], np.int32), (n, 1))
  return tokens, segments


def _run(params, tokens):
  """(score at the end [B], log-probs of tokens 1.. [B, T - 1])."""
  model = _model()
  hidden = model.rows(params["decoder"], tokens)
  logps = jax.nn.log_softmax(model.scores(params["decoder"], hidden)[:, :-1])
  own = jnp.take_along_axis(logps, tokens[:, 1:, None], axis=-1)[..., 0]
  return heads.apply(params["head"], hidden[:, -1])[:, 0], own


@functools.partial(jax.jit, static_argnums=(3, 4))
def _train(key, chosen, rejected, steps: int, with_traces: bool):
  for_init, for_head, order = jax.random.split(key, 3)
  params = {
    "decoder": _model().init(for_init),
    "head": heads.init(for_head, 64),
  }
  tx = optax.adamw(
    optax.warmup_cosine_decay_schedule(0.0, 2e-3, 50, steps), weight_decay=1e-2
  )

  def loss(params, key):
    rows = jax.random.randint(key, (_BATCH,), 0, chosen[0].shape[0])
    both = jnp.concatenate([chosen[0][rows], rejected[0][rows]])
    scores, logps = _run(params, both)
    if not with_traces:
      value = losses.bradley_terry(scores[:_BATCH], scores[_BATCH:])
      return jnp.mean(value)
    value = losses.themis(
      scores[:_BATCH],
      scores[_BATCH:],
      logps[:_BATCH],
      chosen[1][rows][:, 1:],
      logps[_BATCH:],
      rejected[1][rows][:, 1:],
    )
    return jnp.mean(value)

  def step(carry, key):
    params, state = carry
    updates, state = tx.update(jax.grad(loss)(params, key), state, params)
    return (optax.apply_updates(params, updates), state), None

  keys = jax.random.split(order, steps)
  return jax.lax.scan(step, (params, tx.init(params)), keys)[0][0]


@jax.jit
def _score(params, tokens):
  return _run(params, tokens)[0]


def _accuracy(params, question, right, wrong, said) -> float:
  a, b = (_row(question, answer, said)[0] for answer in (right, wrong))
  return float(jnp.mean(_score(params, a) > _score(params, b)))


def measure(seed: int, settings: Mapping[str, Any]) -> experiments.Arms:
  rng = np.random.default_rng(seed)
  key = jax.random.key(seed)

  def trained(pairs, with_tool):
    question, right, wrong, _ = _questions(rng, pairs)
    said = right if with_tool else None
    sides = [
      jax.tree.map(jnp.asarray, _row(question, answer, said))
      for answer in (right, wrong)
    ]
    return _train(key, *sides, settings["steps"], with_tool)

  number = settings["pairs"]
  found = {
    "tools": trained(number, True),
    "plain": trained(number, False),
    "plain_more": trained(4 * number, False),
  }
  question, right, wrong, texts = _questions(rng, settings["test"])
  tool = rewards.TOOLS["Calculator"]
  said = _digits(np.asarray([int(tool(text)) for text in texts]), _FIELD)
  lies = rng.random(len(texts)) < 0.3
  noisy = np.where(lies[:, None], wrong, said)
  test = (question, right, wrong)
  return {
    "tools": {
      "accuracy": _accuracy(found["tools"], *test, said),
      "accuracy_with_wrong_tools": _accuracy(found["tools"], *test, noisy),
    },
    "plain": {
      "accuracy": _accuracy(found["plain"], *test, None),
      "accuracy_with_more_pairs": _accuracy(found["plain_more"], *test, None),
    },
  }


def accept(seeds: Sequence[experiments.Arms]) -> dict[str, bool]:
  every = experiments.every
  return {
    "93 % with the tool and at most 75 % without, every seed": every(
      seeds, lambda a: a[ARM][METRIC] >= 0.93 and a[BASELINE][METRIC] <= 0.75
    ),
    "10 points behind with four times the pairs, every seed": every(
      seeds,
      lambda a: a[BASELINE]["accuracy_with_more_pairs"] <= a[ARM][METRIC] - 0.1,
    ),
    "falls by 10 points where 30 % of the tool's words are wrong": every(
      seeds,
      lambda a: a[ARM]["accuracy_with_wrong_tools"] <= a[ARM][METRIC] - 0.1,
    ),
  }
