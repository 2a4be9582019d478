# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Whether a policy can cheat relevance, and what length and repetition do.

A policy over 24 words and an end writes up to 30 words. Words have vectors:
ten near the topic, one (word 0) much further along it, the rest elsewhere. The
reward is relevance alone, its product with length, length alone, or all of R3;
REINFORCE with normalised advantages pushes hard.

Beside it a probe without a policy: short responses on topic against ones off
topic of up to three times their length, and closed questions.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from prefjax import experiments, losses, rewards

PAPER = "R3, arXiv:2402.03469"
METHODS = ()
CLAIM = (
  "Relevance, length and a penalty for repetition together are a reward that a"
  " policy cannot cheat, and none of them can be left out."
)
ARM, BASELINE = "full", "relevance"
METRIC = "coverage"
HIGHER_IS_BETTER = True
EXPECTED = (
  "with all three over 90 % of words are on topic and over 4 different ones of"
  " them appear, on every seed; relevance alone, its product with length, and"
  " length alone each fail one of the two; the short response on topic is"
  " preferred to the long one off topic in over 90 % on average, where a reward"
  " model of pairs that 80 % prefer by length is wrong in most; a reference"
  " answer beats itself with filler."
)
NOTE = (
  "Policies behave as claimed on every seed. The probe does not hold: in 0.88"
  " of the pairs on average over 8 seeds (0.61 to 1.00). On three seeds the"
  " rule was once stricter, over 90 % on each, and 0.79 on one of them. Where"
  " words off topic happen to lie a little towards it, a factor of 3 in length"
  " makes up for relevance, which nothing in the product bounds. The reward"
  " model of length prefers the short response in 0.8 %."
)
SEEDS = 3
SETTINGS = {
  "quick": dict(steps=300, test=100, probes=500),
  "full": dict(steps=1500, test=400, probes=2000),
}
_WORDS, _ON_TOPIC, _LONGEST, _BATCH, _SIZE = 24, 10, 30, 32, 8
_END = _WORDS
_ARMS = {
  "full": dict(),
  "relevance": dict(use_length=False, use_repetition=False),
  "length_relevance": dict(use_repetition=False),
  "length": dict(use_relevance=False, use_repetition=False),
}


def _vectors(key):
  """(unit topic, word vectors): word 0 the shortcut, 1..9 on topic."""
  for_topic, for_noise = jax.random.split(key)
  topic = jax.random.normal(for_topic, (_SIZE,))
  topic = topic / jnp.linalg.norm(topic)
  noise = 0.4 * jax.random.normal(for_noise, (_WORDS, _SIZE))
  along = jnp.where(jnp.arange(_WORDS) < _ON_TOPIC, 1.0, 0.0)
  off = (
    noise
    - jnp.where(along == 0, 1.0, 0.0)[:, None]
    * (noise @ topic)[:, None]
    * topic
  )
  table = along[:, None] * topic + off
  return topic, table.at[0].set(1.8 * topic)


def _sample(theta, key):
  """Words [B, T] and which of them were written."""
  words = jax.random.categorical(
    key, jnp.broadcast_to(theta, (_BATCH, _LONGEST, _WORDS + 1))
  )
  ended = jnp.cumsum(words == _END, axis=1) > 0
  return jnp.where(ended, 0, words), ~ended


def _reward(topic, table, words, mask, options):
  pooled = rewards.mean_pool(table[words], mask)
  return rewards.r3(
    rewards.relevance(jnp.broadcast_to(topic, pooled.shape), pooled),
    jnp.sum(mask, axis=1),
    rewards.ngram_diversity(words, mask),
    jnp.ones(_BATCH),
    unit=float(_LONGEST),
    **options,
  )


def _train(key, steps: int, test: int, options):
  for_words, for_run, for_test = jax.random.split(key, 3)
  topic, table = _vectors(for_words)
  tx = optax.adam(0.02)

  def step(carry, key):
    theta, state = carry
    words, mask = _sample(theta, key)
    reward = _reward(topic, table, words, mask, options)
    spread = jnp.std(reward)
    advantage = (reward - reward.mean()) / jnp.maximum(spread, 1e-6)

    def loss(theta):
      logp = jax.nn.log_softmax(theta)
      own = jnp.sum(jnp.where(mask, logp[words], 0.0), axis=1)
      short = jnp.sum(mask, axis=1) < _LONGEST
      own = own + jnp.where(short, logp[_END], 0.0)
      return -jnp.mean(advantage * own)

    updates, state = tx.update(jax.grad(loss)(theta), state)
    return (optax.apply_updates(theta, updates), state), None

  theta = jnp.zeros(_WORDS + 1)
  carry = (theta, tx.init(theta))
  theta = jax.lax.scan(step, carry, jax.random.split(for_run, steps))[0][0]

  def measured(key):
    words, mask = _sample(theta, key)
    hot = jax.nn.one_hot(words, _WORDS) * mask[..., None]
    used = jnp.max(hot, axis=1)[:, :_ON_TOPIC].sum(1)
    number = jnp.maximum(mask.sum(1), 1)
    share = jnp.where(words < _ON_TOPIC, mask, False).sum(1) / number
    diversity = rewards.ngram_diversity(words, mask)
    return jnp.stack([used, share, diversity, mask.sum(1)], 0).mean(1)

  found = jax.vmap(measured)(jax.random.split(for_test, test // _BATCH + 1))
  return found.mean(0)


# --- a probe ------------------------------------------------------------------

_MIXED = 0.7  # share of words on topic of a response that is on topic
_STRAYED = 0.1


def _texts(rng, lengths: np.ndarray, share: np.ndarray):
  """(words [N, T], mask): each word is on topic with the row's chance."""
  shape = (len(lengths), int(lengths.max()))
  on = rng.random(shape) < share[:, None]
  words = np.where(
    on,
    rng.integers(1, _ON_TOPIC, shape),
    rng.integers(_ON_TOPIC, _WORDS, shape),
  )
  return words, np.arange(shape[1]) < lengths[:, None]


def _seen(table, towards, words, mask) -> np.ndarray:
  """[N, 3]: relevance to vectors [N, D] or [D], words, diversity."""
  pooled = rewards.mean_pool(table[words], mask)
  towards = jnp.broadcast_to(towards, pooled.shape)
  columns = (
    rewards.relevance(towards, pooled),
    mask.sum(axis=1),
    rewards.ngram_diversity(words, mask),
  )
  return np.stack([np.asarray(c, np.float64) for c in columns], axis=1)


def _r3(seen: np.ndarray, is_open: float = 1.0) -> np.ndarray:
  opened = np.full(len(seen), is_open)
  return np.asarray(rewards.r3(*seen.T, opened, unit=float(_LONGEST)))


def _by_length(rng, seen: np.ndarray) -> np.ndarray:
  """Weights of a reward model of pairs whose longer side wins in 80 %."""
  half = len(seen) // 2
  scale = seen.std(axis=0) + 1e-9
  delta = (seen[:half] - seen[half : 2 * half]) / scale
  longer = np.where(rng.random(half) < 0.8, 1.0, -1.0)
  delta *= (np.sign(delta[:, 1]) * longer)[:, None]
  tx, zero = optax.adam(0.05), jnp.zeros(half)

  def loss(w):
    value = losses.bradley_terry(jnp.asarray(delta) @ w, zero)
    return jnp.mean(value) + 1e-3 * jnp.sum(w * w)

  def step(carry, _):
    w, state = carry
    updates, state = tx.update(jax.grad(loss)(w), state)
    return (optax.apply_updates(w, updates), state), None

  start = jnp.zeros(3)
  run = jax.jit(
    lambda: jax.lax.scan(step, (start, tx.init(start)), None, length=300)
  )
  return np.asarray(run()[0][0]) / scale


def _probe(seed: int, number: int) -> dict[str, dict[str, float]]:
  """How often each reward has the response on topic above."""
  rng = np.random.default_rng(seed)
  topic, table = _vectors(jax.random.key(seed))
  # Words off topic are not quite without it.
  stray = (
    0.4
    * rng.normal(size=(_WORDS, 1))
    * (np.arange(_WORDS) >= _ON_TOPIC)[:, None]
  )
  table = table + jnp.asarray(stray) * topic

  lengths = rng.integers(4, 3 * _LONGEST, number)
  share = np.where(rng.random(number) < 0.5, _MIXED, _STRAYED)
  w = _by_length(rng, _seen(table, topic, *_texts(rng, lengths, share)))

  short = rng.integers(10, _LONGEST + 1, number)
  long = np.round(short * rng.uniform(1, 3, number)).astype(int) + 1
  on, off = (
    _seen(table, topic, *_texts(rng, size, np.full(number, share)))
    for size, share in ((short, _MIXED), (long, _STRAYED))
  )

  words, mask = _texts(rng, short, np.full(number, _MIXED))
  filler, filled = _texts(rng, short, np.full(number, _STRAYED))
  reference = rewards.mean_pool(table[words], mask)
  exact = _seen(table, reference, words, mask)
  more = _seen(
    table,
    reference,
    np.concatenate([words, filler], axis=1),
    np.concatenate([mask, filled], axis=1),
  )
  return {
    "full": {
      "short_on_topic": float(np.mean(_r3(on) > _r3(off))),
      "reference_beats_filler": float(np.mean(_r3(exact, 0) > _r3(more, 0))),
    },
    "learned": {"short_on_topic": float(np.mean(on @ w > off @ w))},
  }


def measure_many(
  seeds: Sequence[int], settings: Mapping[str, Any]
) -> list[experiments.Arms]:
  """All seeds in one program an arm."""
  keys = jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32))
  arms: list[experiments.Arms] = [{} for _ in seeds]
  for arm, options in _ARMS.items():

    def run(key, options=options):
      return _train(key, settings["steps"], settings["test"], options)

    table = np.asarray(jax.jit(jax.vmap(run))(keys))
    for own, row in zip(arms, table, strict=True):
      names = ("coverage", "on_topic", "diversity", "words")
      own[arm] = {n: float(v) for n, v in zip(names, row, strict=True)}
  for own, seed in zip(arms, seeds, strict=True):
    for arm, found in _probe(seed, settings["probes"]).items():
      own[arm] = own.get(arm, {}) | found
  return arms


def measure(seed: int, settings: Mapping[str, Any]) -> experiments.Arms:
  return measure_many([seed], settings)[0]


def accept(seeds: Sequence[experiments.Arms]) -> dict[str, bool]:
  def good(metrics):
    return metrics["on_topic"] > 0.9 and metrics["coverage"] > 4

  return {
    "all three: on topic and of many words, every seed": experiments.every(
      seeds, lambda a: good(a[ARM])
    ),
    "each ablation fails one of the two, every seed": experiments.every(
      seeds, lambda a: not any(good(a[arm]) for arm in _ARMS if arm != ARM)
    ),
    "short on topic above long off topic in over 90 %, on average": (
      experiments.mean(seeds, ARM, "short_on_topic") > 0.9
    ),
    "the model of length is wrong in most of them, every seed": (
      experiments.every(seeds, lambda a: a["learned"]["short_on_topic"] < 0.5)
    ),
    "a reference beats itself with filler in over 99 %, every seed": (
      experiments.every(
        seeds, lambda a: a[ARM]["reference_beats_filler"] > 0.99
      )
    ),
  }
