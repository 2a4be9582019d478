# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A policy that is a table, four annotators, and what training on them does.

20 prompts with 16 responses each. Rewards and the reference are drawn; pairs
are two draws from the reference. Every annotator sees the same pairs and the
same luck: one is right by Bradley-Terry, two have a share of their labels
turned around, one adds a little reward for every token.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from prefjax import data

PROMPTS, RESPONSES = 20, 16
_REWARD_SCALE = 1.5
_SHORTEST, _LONGEST = 5, 60
# Reward that a token of length is worth to an annotator; 16 tokens are one
# standard deviation of length, rewards have one of 1.5.
LENGTH_BIAS = 0.06
CONDITIONS: dict[str, dict[str, float]] = {
  "clean": {},
  "noise_20": {"flip_rate": 0.2},
  "noise_40": {"flip_rate": 0.4},
  "length": {"length_bias": LENGTH_BIAS},
}
_LEARNING_RATE = 0.05
Arrays = dict[str, jax.Array]


def world(seed: int, number: int, fresh: int) -> dict[str, Any]:
  """Tables, and pairs before anybody has labelled them.

  Args:
    seed: of everything.
    number: training pairs; equal draws are left out.
    fresh: test pairs, drawn uniformly.
  """
  rng = np.random.default_rng([seed, 19])
  shape = (PROMPTS, RESPONSES)
  rewards = _REWARD_SCALE * rng.normal(size=shape)
  logits = rng.normal(size=shape)
  reference = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  lengths = rng.integers(_SHORTEST, _LONGEST, size=shape).astype(np.float64)
  prompt = rng.integers(PROMPTS, size=4 * number)
  p = np.exp(reference)[prompt].cumsum(-1)
  draws = [
    np.minimum((rng.uniform(size=(len(p), 1)) > p).sum(-1), RESPONSES - 1)
    for _ in range(2)
  ]
  kept = np.flatnonzero(draws[0] != draws[1])[:number]
  test = rng.integers(PROMPTS, size=fresh)
  both = np.argsort(rng.uniform(size=(fresh, RESPONSES)), axis=1)[:, :2]
  return {
    "rewards": rewards,
    "reference": reference,
    "lengths": lengths,
    "prompt": prompt[kept],
    "sides": np.stack(draws, axis=1)[kept],
    # Logistic noise decides as Bradley-Terry does, and leaves a gap behind.
    "luck": rng.logistic(size=number),
    "test_prompt": test,
    "test_sides": both,
  }


def labelled(
  seed: int,
  made: Mapping[str, Any],
  *,
  flip_rate: float = 0.0,
  length_bias: float = 0.0,
) -> dict[str, np.ndarray]:
  """What one annotator says: prompt, chosen, rejected [N] and the gap felt."""
  prompt, sides = made["prompt"], made["sides"]
  utility = made["rewards"] + length_bias * made["lengths"]
  felt = utility[prompt, sides[:, 0]] - utility[prompt, sides[:, 1]]
  felt = felt + made["luck"]
  first = felt > 0
  if flip_rate:
    first = first ^ data.flip_preferences(seed, len(first), rate=flip_rate)
  return {
    "prompt": prompt,
    "chosen": np.where(first, sides[:, 0], sides[:, 1]),
    "rejected": np.where(first, sides[:, 1], sides[:, 0]),
    "gap": np.abs(felt),
  }


def _arrays(logits, tables: Arrays, labels: Arrays) -> Arrays:
  """What a loss may want, [N] each."""
  logps = jax.nn.log_softmax(logits, axis=-1)
  reference, prompt = tables["reference"], labels["prompt"]
  kl = jnp.sum(jnp.exp(reference) * (reference - logps), axis=-1)[prompt]
  collision = jax.nn.logsumexp(2 * logps, axis=-1)[prompt]
  out = {"kl": kl, "collision": collision, "gap": labels["gap"]}
  for side in ("chosen", "rejected"):
    at = (prompt, labels[side])
    out[side] = logps[at]
    out[f"ref_{side}"] = reference[at]
    out[f"{side}_lengths"] = tables["lengths"][at]
  return out


def _numbers(logits, tables: Arrays, labels: Arrays) -> Arrays:
  """What a policy is measured by."""
  logps = jax.nn.log_softmax(logits, axis=-1)
  reference = tables["reference"]
  p, q = jnp.exp(logps), jnp.exp(reference)
  test, sides = tables["test_prompt"], tables["test_sides"]
  ratio, rewards = logps - reference, tables["rewards"]
  margin, truth = (
    table[test, sides[:, 0]] - table[test, sides[:, 1]]
    for table in (ratio, rewards)
  )
  found = _arrays(logits, tables, labels)
  return {
    "gain": jnp.mean(jnp.sum((p - q) * rewards, axis=-1)),
    "accuracy": jnp.mean((margin > 0) == (truth > 0)),
    "length": jnp.mean(jnp.sum((p - q) * tables["lengths"], axis=-1)),
    "kl": jnp.mean(jnp.sum(p * ratio, axis=-1)),
    "chosen_drift": jnp.mean(found["chosen"] - found["ref_chosen"]),
    "rejected_drift": jnp.mean(found["rejected"] - found["ref_rejected"]),
  }


Loss = Callable[..., tuple[jax.Array, Any]]


@functools.partial(jax.jit, static_argnames=("loss", "steps"))
def trained(
  loss: Loss, tables: Arrays, labels: Arrays, *, steps: int
) -> Arrays:
  """Numbers of a policy after full-batch Adam from the reference.

  Args:
    loss: (arrays, state) -> ([N] losses, state).
    tables: of S worlds, as `world` makes them, stacked.
    labels: of S worlds, as `labelled` makes them, stacked.
    steps: updates.

  Returns:
    [S] of each number.
  """

  def one(tables, labels):
    tx = optax.adam(_LEARNING_RATE)
    start = tables["reference"]

    def objective(logits, state):
      values, state = loss(_arrays(logits, tables, labels), state)
      return jnp.mean(values), state

    def step(carry, _):
      logits, opt_state, state = carry
      gradient, state = jax.grad(objective, has_aux=True)(logits, state)
      updates, opt_state = tx.update(gradient, opt_state)
      return (optax.apply_updates(logits, updates), opt_state, state), None

    carry = (start, tx.init(start), {"mean": 0.0, "std": 0.0})
    carry = jax.tree.map(jnp.asarray, carry)
    (logits, _, _), _ = jax.lax.scan(step, carry, length=steps)
    return _numbers(logits, tables, labels)

  return jax.vmap(one)(tables, labels)
