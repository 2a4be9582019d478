# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Bayesian personalised ranking by matrix factorisation (arXiv:1205.2618).

  -log s(u . i - u . j) + decay (|u|^2 + |i|^2 + |j|^2)

for a user who took item i and not item j.
"""

import jax
import jax.numpy as jnp
import numpy as np

from prefjax import methods
from prefjax.core import types

USERS, ITEMS, FACTORS = 16, 24, 8
DECAY = 0.01


class Recommender(methods.Objective):
  sharding_rules = ((r"(.*/)?(users|items)/table", ("fsdp", "tensor")),)

  def init(self, key):
    one, two = jax.random.split(key)
    params = {
      "users": {"table": 0.3 * jax.random.normal(one, (USERS, FACTORS))},
      "items": {"table": 0.3 * jax.random.normal(two, (ITEMS, FACTORS))},
    }
    return methods.Init(params, {}, {})

  def loss(self, params, frozen, batch, method_state, keys):
    del frozen, keys
    user = params["users"]["table"][batch["user"]]  # [B, F]
    taken, other = (
      params["items"]["table"][batch[name]] for name in ("taken", "other")
    )
    margin = jnp.sum(user * (taken - other), axis=-1)
    size = sum(jnp.sum(x**2, axis=-1) for x in (user, taken, other))
    weight = batch["example_weight"]
    return methods.LossResult(
      {
        "bpr": types.Term(value=-jax.nn.log_sigmoid(margin), weight=weight),
        "decay": types.Term(value=size, weight=weight, coefficient=DECAY),
      },
      method_state,
      {"auc": types.weighted(margin > 0, weight)},
    )


def objective():
  return Recommender()


def batch(step: int):
  """Users like items of their own parity."""
  rng = np.random.default_rng(step)
  user = rng.integers(0, USERS, 8)
  taken, other = (2 * rng.integers(0, ITEMS // 2, (2, 8)) + user) % ITEMS
  return {
    "example_id": np.arange(8 * step, 8 * step + 8, dtype=np.int32),
    "example_weight": rng.uniform(0.5, 2, 8).astype(np.float32),
    "user": user.astype(np.int32),
    "taken": taken.astype(np.int32),
    "other": ((other + 1) % ITEMS).astype(np.int32),
  }
