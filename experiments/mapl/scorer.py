# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A small reward model on prompts of codes and responses of letters.

  r(x, y) = sum over codes c of x:  v . relu(U sum over places p of
            relu(A[c] + B[letter p of y] + C[p]))

It sees raw codes, letters and places, and has to learn what a code asks for.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.mapl import instructions
from prefjax import losses

_SIGNED = [
  sign + x for sign, (about, _) in instructions.FAMILIES.items() for x in about
]
_CODES = {c: i for i, c in enumerate([*instructions.TOPICS, *_SIGNED])}
_MOST = 5  # a topic and four instructions
_NO_CODE, _NO_LETTER = len(_CODES), len(instructions.LETTERS)


def encode(prompts: Sequence[str], responses: Sequence[str]) -> np.ndarray:
  """int32 [N, 5 + 6]: codes of the prompts, letters of the responses."""
  out = np.empty((len(prompts), _MOST + instructions.LONGEST), np.int32)
  out[:, :_MOST], out[:, _MOST:] = _NO_CODE, _NO_LETTER
  for row, prompt, response in zip(out, prompts, responses, strict=True):
    codes = [_CODES[code] for code in prompt.split()]
    row[: len(codes)] = codes
    letters = [instructions.LETTERS.index(c) for c in response]
    row[_MOST : _MOST + len(letters)] = letters
  return out


def init(seed: int, width: int) -> dict[str, jax.Array]:
  """Random weights."""
  keys = jax.random.split(jax.random.key(seed), 5)
  shapes = {
    "codes": (_NO_CODE + 1, width),
    "letters": (_NO_LETTER + 1, width),
    "places": (instructions.LONGEST, width),
    "mix": (width, width),
    "out": (width,),
  }
  scale = {"mix": width**-0.5, "out": width**-0.5}
  return {
    name: scale.get(name, 1.0) * jax.random.normal(key, shape)
    for key, (name, shape) in zip(keys, shapes.items(), strict=True)
  }


def rewards(params: Mapping[str, jax.Array], rows: jax.Array) -> jax.Array:
  """Rewards [...] of encoded rows [..., 11]."""
  codes, letters = rows[..., :_MOST], rows[..., _MOST:]
  read = params["letters"][letters] + params["places"]  # [..., 6, W]
  asked = params["codes"][codes]  # [..., 5, W]
  met = jax.nn.relu(asked[..., :, None, :] + read[..., None, :, :])
  met = jax.nn.relu(met.sum(-2) @ params["mix"])  # [..., 5, W]
  score = met @ params["out"]
  return jnp.sum(jnp.where(codes == _NO_CODE, 0.0, score), axis=-1)


@functools.partial(jax.jit, static_argnames=("steps", "batch"))
def fit(
  start: Any, arms: Any, order_key: jax.Array, rate: Any, *, steps, batch
) -> Any:
  """Weights after Adam on BT + inter + intra, for every arm at once.

  Args:
    start: weights that all arms begin from.
    arms: leaves lead with the number of arms: `pair` [A, N, 2, 11], chosen
      first; `augmented` [A, N, 2, 11]; `direction` [A, N]; `variants`
      [A, N, 2, 11], the better prompt first; `intra` [A, N], 1 where there
      are variants.
    order_key: of the rows of each update, the same for all arms.
    rate: learning rate; it falls to zero linearly.
    steps: updates.
    batch: rows of an update.
  """
  tx = optax.adam(optax.linear_schedule(rate, 0.0, steps))

  def loss(params, rows):
    plain, more, variants = (
      rewards(params, rows[name]) for name in ("pair", "augmented", "variants")
    )  # [B, 2] each
    base = losses.bradley_terry(plain[:, 0], plain[:, 1])
    inter = losses.mapl_inter_rm(
      more[:, 0], more[:, 1], plain[:, 0], plain[:, 1], rows["direction"]
    )
    intra = losses.mapl_intra_rm(variants[:, 0], variants[:, 1])
    return jnp.mean(base + inter + jnp.where(rows["intra"] > 0, intra, 0.0))

  def one(arm):
    number = arm["intra"].shape[0]

    def step(carry, key):
      params, state = carry
      at = jax.random.randint(key, (batch,), 0, number)
      rows = jax.tree.map(lambda x: x[at], arm)
      updates, state = tx.update(jax.grad(loss)(params, rows), state)
      return (optax.apply_updates(params, updates), state), None

    keys = jax.random.split(order_key, steps)
    return jax.lax.scan(step, (start, tx.init(start)), keys)[0][0]

  return jax.vmap(one)(arms)


@jax.jit
def accuracies(params: Any, rows: jax.Array) -> jax.Array:
  """Share of pairs [N, 2, 11] ranked right by the weights of each arm."""

  def one(params):
    gap = rewards(params, rows)
    gap = gap[:, 0] - gap[:, 1]
    return jnp.mean(jnp.where(gap == 0, 0.5, gap > 0))

  return jax.vmap(one)(params)
