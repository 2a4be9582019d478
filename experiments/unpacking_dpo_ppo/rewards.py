# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reward models on pairs: as large as the policy, or larger."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.unpacking_dpo_ppo import asking
from prefjax import losses
from prefjax.core import prng, types
from prefjax.experiments import arrays, world
from prefjax.methods import method as method_lib
from prefjax.methods import objective as objective_lib
from prefjax.models import heads

REWARD = ("reward", "main")
# Hidden size, heads and layers; () is the policy's own size.
SIZES: dict[str, tuple[int, ...]] = {"as_policy": (), "larger": (48, 4, 4)}
_BATCH = 32
_HEAD_STD = 0.02


def _ranking() -> method_lib.Method:
  """-log sigmoid of the rewards' difference, the first answer preferred."""

  def loss(outputs, batch, method_state, keys):
    del keys
    rewards = outputs[REWARD]["rewards"]  # [B, 2]
    term = types.Term(
      value=losses.bradley_terry(rewards[:, 0], rewards[:, 1]),
      weight=batch.example_weight,
    )
    return objective_lib.LossResult({"ranking": term}, method_state, {})

  return method_lib.Method(
    inputs=("main",),
    needs={REWARD: ("rewards",)},
    loss=loss,
    record_kind="pair",
  )


@functools.lru_cache(maxsize=len(SIZES))
def scorer(size: str) -> Callable[..., jax.Array]:
  """(frozen roles, answers, tasks) -> reward [B, K] of a reward model."""
  model = world.lab(*SIZES[size]).model
  objective = arrays.objective(_ranking(), model, models={"reward": model})

  def score(frozen, group, tasks):
    del tasks
    batch = arrays.batch_of(group, jnp.arange(group.response.shape[0]))
    found = objective.outputs({}, frozen, batch, {}, None)
    return found[REWARD]["rewards"]

  return score


@functools.lru_cache(maxsize=len(SIZES))
def _compiled(size: str) -> Callable[..., jax.Array]:
  return jax.jit(scorer(size))


def train(
  seed: int,
  start: Any,
  size: str,
  group: types.Group,
  *,
  epochs: int,
  rate: float,
) -> Any:
  """A reward model that begins with the decoder `start` of its size.

  Its rewards are moved to a mean of 0 and scaled to a spread of 1 on its own
  training answers, so that one price of the divergence suits all.

  Args:
    seed: of the head and the order.
    start: weights of a decoder.
    size: a name in SIZES.
    group: pairs, the preferred answer first.
    epochs: passes.
    rate: learning rate.
  """
  model = world.lab(*SIZES[size]).model
  key = prng.step_key(seed, 0, "reward_head")
  role = {
    "backbone": start,
    "scalar_head": heads.init(key, model.config.hidden_size, std=_HEAD_STD),
  }
  trained = arrays.fit(
    model,
    {"reward": role},
    _ranking(),
    group,
    steps=epochs * (group.response.shape[0] // _BATCH),
    seed=seed,
    batch_size=_BATCH,
    learning_rate=rate,
    warmup=10,
    schedule="linear",
  )["reward"]
  rewards = _compiled(size)({"reward": trained}, group, None)
  scale = 1 / jnp.std(rewards)
  head = trained["scalar_head"]
  return {
    **trained,
    "scalar_head": {
      "weight": head["weight"] * scale,
      "bias": (head["bias"] - jnp.mean(rewards)) * scale,
    },
  }


def quality(
  reward: Any,
  size: str,
  clean: asking.Pairs,
  choice: types.Group,
  gold: np.ndarray,
) -> dict[str, float]:
  """What is known of a reward model before a policy learns from it.

  Args:
    reward: its weights.
    size: a name in SIZES.
    clean: held-out pairs.
    choice: held-out prompts with K answers of the start each.
    gold: float [N, K], their gold rewards.

  Returns:
    reward_accuracy on the pairs, and best_of_k: gold of the answers that it
    likes best.
  """
  right = clean.ordered(np.zeros(len(clean.better), bool))
  score = _compiled(size)
  rewards = score({"reward": reward}, right, None)
  liked = np.asarray(score({"reward": reward}, choice, None)).argmax(axis=1)
  return {
    "reward_accuracy": float(jnp.mean(rewards[:, 0] > rewards[:, 1])),
    "best_of_k": float(gold[np.arange(len(gold)), liked].mean()),
  }
