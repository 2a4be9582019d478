# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Diffusion-DPO on points of the plane (arXiv:2311.12908, eq. 14).

A preferred and a rejected point share the time and the noise of an example,
and so does the frozen reference: everything random comes from the example's
own key.
"""

import jax
import jax.numpy as jnp
import numpy as np

from prefjax import methods
from prefjax.core import prng, types

STEPS = 10
WIDTH = 8
BETA = 0.5


def signal(t) -> jax.Array:
  """The share of the signal's variance that is left at time t in 0..9."""
  return jnp.cos(0.5 * jnp.pi * (t + 0.5) / STEPS) ** 2


def denoise(weights, x, t):
  """The noise that a two-layer network sees in x [B, 2] at times t [B]."""
  time = jnp.stack([jnp.sin(t), jnp.cos(t)], -1)
  hidden = jnp.tanh(
    jnp.concatenate([x, time], -1) @ weights["in"]["kernel"]
    + weights["in"]["bias"][None]
  )
  return hidden @ weights["out"]["kernel"]


def _weights(key):
  one, two = jax.random.split(key)
  return {
    "in": {
      "kernel": jax.random.normal(one, (4, WIDTH)),
      "bias": jnp.zeros(WIDTH),
    },
    "out": {"kernel": jax.random.normal(two, (WIDTH, 2)) / WIDTH},
  }


def draws(keys):
  """(times [B], noise [B, 2]) of every example."""
  times = jax.vmap(lambda k: jax.random.randint(k, (), 0, STEPS))(
    prng.fold_tag(keys, "time")
  )
  noise = jax.vmap(lambda k: jax.random.normal(k, (2,)))(
    prng.fold_tag(keys, "noise")
  )
  return times, noise


class DiffusionPair(methods.Objective):
  sharding_rules = ((r"(.*/)?in/kernel", (None, "tensor")),)

  def init(self, key):
    weights = _weights(key)
    return methods.Init({"policy": weights}, {"reference": weights}, {})

  def loss(self, params, frozen, batch, method_state, keys):
    times, noise = draws(keys)
    kept = signal(times)[:, None]

    def error(weights, x):
      noisy = jnp.sqrt(kept) * x + jnp.sqrt(1 - kept) * noise
      miss = denoise(weights, noisy, times.astype(jnp.float32)) - noise
      return jnp.sum(miss**2, axis=-1)  # [B]

    gain = [
      error(params["policy"], batch[side])
      - error(frozen["reference"], batch[side])
      for side in ("chosen", "rejected")
    ]
    margin = -BETA * (gain[0] - gain[1])
    weight = batch["example_weight"]
    return methods.LossResult(
      {
        "diffusion": types.Term(
          value=-jax.nn.log_sigmoid(margin), weight=weight
        )
      },
      method_state,
      {"rewards/margins": types.weighted(margin, weight)},
    )


def objective():
  return DiffusionPair()


def batch(step: int):
  """Preferred points lie on a ring, rejected ones at its centre."""
  ids = (np.arange(8) + 8 * step) % 40
  rng = np.random.default_rng(0)
  angle = rng.uniform(0, 2 * np.pi, 40)
  ring = np.stack([np.cos(angle), np.sin(angle)], -1)
  blob = 0.2 * rng.normal(size=(40, 2))
  return {
    "example_id": ids.astype(np.int32),
    "example_weight": (1 + ids % 3).astype(np.float32),
    "chosen": ring[ids].astype(np.float32),
    "rejected": blob[ids].astype(np.float32),
  }
