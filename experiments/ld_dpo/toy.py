# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A policy whose length is one number, exactly known.

A response is 4 content tokens, each good or bad, then filler until it ends.
The policy has two logits: P(good) and P(one more filler). The annotator likes
good tokens and, a little, length. Expected length and P(good) have closed
forms, so nothing is sampled once the pairs are drawn.
"""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from prefjax import losses

CONTENT, MEAN, CAP = 4, 25.0, 400
_GOOD = 1.5  # utility of a good token
_START = jnp.asarray([0.0, jnp.log(MEAN)])  # P(good) = 1/2, MEAN fillers


def _draw(key: jax.Array, number: int):
  """(good tokens [N, 2, 4], fillers [N, 2]) of pairs from the reference."""
  for_content, for_length = jax.random.split(key)
  good = jax.random.bernoulli(for_content, 0.5, (number, 2, CONTENT))
  uniform = jax.random.uniform(for_length, (number, 2), minval=1e-7)
  more = jnp.log(jax.nn.sigmoid(_START[1]))
  length = jnp.floor(jnp.log(uniform) / more).astype(jnp.int32)
  return good, jnp.minimum(length, CAP)


def _token_logps(w: jax.Array, good: jax.Array, length: jax.Array):
  """Log-probs [N, T] of content, filler and end, and their mask."""
  place = jnp.arange(CONTENT + CAP + 1)
  content = jnp.where(good, jax.nn.log_sigmoid(w[0]), jax.nn.log_sigmoid(-w[0]))
  rest = place[CONTENT:] - CONTENT
  more, end = jax.nn.log_sigmoid(w[1]), jax.nn.log_sigmoid(-w[1])
  # At the cap the end is no choice of the policy's.
  end = jnp.where(length[:, None] == CAP, 0.0, end)
  filler = jnp.where(rest < length[:, None], more, end)
  mask = place <= CONTENT + length[:, None]
  return jnp.concatenate([content, filler], axis=1), mask


def _length(w: jax.Array) -> jax.Array:
  """Expected number of fillers."""
  return jnp.sum(jax.nn.sigmoid(w[1]) ** jnp.arange(1, CAP + 1))


@functools.lru_cache(maxsize=8)
def _program(pairs: int, steps: int, alpha: float, keep_last: bool):
  """(key, length bias) -> (expected length, P(good)) after training."""

  def run(key, bias):
    for_pairs, for_label = jax.random.split(key)
    good, length = _draw(for_pairs, pairs)
    gap = _GOOD * jnp.diff(good.sum(-1), axis=1)[:, 0]
    gap = gap + bias * jnp.diff(length, axis=1)[:, 0]
    second = jax.random.bernoulli(for_label, jax.nn.sigmoid(gap))
    rows, best = jnp.arange(pairs), second.astype(jnp.int32)

    def sides(w):
      chosen = _token_logps(w, good[rows, best], length[rows, best])
      rejected = _token_logps(w, good[rows, 1 - best], length[rows, 1 - best])
      return chosen, rejected

    (ref_c, mask_c), (ref_r, mask_r) = sides(_START)

    def objective(w):
      (c, _), (r, _) = sides(w)
      loss = losses.ld_dpo(
        *(c, r, ref_c, ref_r, mask_c, mask_r),
        beta=0.1,
        alpha=alpha,
        keep_last=keep_last,
      )
      return jnp.mean(loss)

    def step(w, _):
      return w - 3.0 * jax.grad(objective)(w), None

    w, _ = jax.lax.scan(step, _START, None, length=steps)
    return _length(w), jax.nn.sigmoid(w[0])

  return jax.jit(run)


def measure(
  seed: int, arms: Mapping[str, tuple[float, bool]], *, pairs: int, steps: int
) -> dict[str, dict[str, float]]:
  """Arm -> length and good at two strengths of the bias.

  Args:
    seed: of the pairs and labels; the same for all arms.
    arms: name -> (alpha, keep_last).
    pairs: N.
    steps: of full-batch gradient descent.
  """
  key = jax.random.key(seed)
  out: dict[str, dict[str, float]] = {}
  for arm, (alpha, keep_last) in arms.items():
    run = _program(pairs, steps, alpha, keep_last)
    out[arm] = {}
    for bias, suffix in ((0.03, ""), (0.06, "_bias_0.06")):
      length, good = run(key, bias)
      out[arm][f"length{suffix}"] = float(length)
      out[arm][f"good{suffix}"] = float(good)
  return out
