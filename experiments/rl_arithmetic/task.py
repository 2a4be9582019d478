# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Sums of two numbers, a token a digit, and a start that is weak at them."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from prefjax import models
from prefjax.core import prng, types
from prefjax.experiments import arrays, online_lab
from prefjax.models import base

_PLUS, _EQUALS, _EOS, _BOS, _PAD = range(10, 15)
_VOCAB = 16
_DIGITS = 2  # of a number
RESPONSE = 4  # three digits and the end: a slip may be longer than an answer


class Split(NamedTuple):
  """Sums to learn from and sums to be judged by; no sum is in both."""

  train: arrays.Tasks
  held_out: arrays.Tasks


@functools.lru_cache(maxsize=1)
def lab(hidden: int, layers: int) -> online_lab.OnlineLab:
  """The one lab of a process: its programs are shared by all seeds."""
  heads = 4
  config = models.preset(
    "tiny",
    hidden_size=hidden,
    intermediate_size=3 * hidden,
    num_layers=layers,
    num_heads=heads,
    num_kv_heads=heads,
    head_dim=hidden // heads,
    query_scale=(hidden // heads) ** -0.5,
    vocab_size=_VOCAB,
    bos_id=_BOS,
    eos_id=_EOS,
    pad_id=_PAD,
    max_positions=32,
  )
  return online_lab.OnlineLab(
    base.Model(config), eos_id=_EOS, response=RESPONSE
  )


def _encode(pairs: np.ndarray) -> arrays.Tasks:
  """'07+45=' and, as facts, the answer's tokens and their number."""
  prompt, answer = [], np.full((len(pairs), RESPONSE), _PAD, np.int32)
  lengths = []
  for row, (a, b) in enumerate(pairs):
    first, second = (
      [int(digit) for digit in f"{value:0{_DIGITS}d}"] for value in (a, b)
    )
    prompt.append([*first, _PLUS, *second, _EQUALS])
    own = [*(int(digit) for digit in str(a + b)), _EOS]
    answer[row, : len(own)] = own
    lengths.append(len(own))
  tokens = np.asarray(prompt, np.int32)
  facts = (answer, np.asarray(lengths, np.int32))
  return arrays.Tasks(tokens, np.ones(tokens.shape, bool), facts)


def sums(seed: int, below: int, held_out: int) -> Split:
  """All ordered pairs of numbers below a bound, split at random.

  a + b and b + a stay on one side.
  """
  pairs = [(a, b) for a in range(below) for b in range(a, below)]
  draw = prng.host_generator(seed, "sums")
  order = [pairs[i] for i in draw.permutation(len(pairs))]

  def both(chosen):
    turned = [(b, a) for a, b in chosen if a != b]
    return _encode(np.asarray([*chosen, *turned]))

  half = held_out // 2
  return Split(both(order[half:]), both(order[:half]))


def exact(frozen: Any, group: types.Group, tasks: arrays.Tasks) -> jax.Array:
  """1 where a response is the sum and then ends, float32 [B, K]."""
  del frozen
  answer, lengths = tasks.facts
  counted = jnp.arange(RESPONSE) < lengths[:, None]  # [B, R]
  same = (group.response == answer[:, None]) | ~counted[:, None]
  number = jnp.sum(group.token_mask, axis=-1)  # [B, K]
  right = jnp.all(same, axis=-1) & (number == lengths[:, None])
  return right.astype(jnp.float32)


def start(seed: int, split: Split, own: online_lab.OnlineLab, steps: int):
  """Weights after a few updates on worked sums of the training side."""
  weights = jax.jit(own.model.init)(prng.step_key(seed, 0, "weights"))
  answers, lengths = split.train.facts
  return own.demonstrate(
    weights,
    split.train,
    answers,
    lengths,
    steps=steps,
    seed=seed,
    learning_rate=2e-3,
  )


def accuracy(own: online_lab.OnlineLab, weights: Any, tasks) -> float:
  """Share of the likeliest responses that are right."""
  return float(own.score(weights, tasks, exact).mean())
