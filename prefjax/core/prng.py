# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Random keys as a function of (seed, step, tag, example id).

A draw must not depend on the position of an example in the batch, on the
micro-batch or on the device that holds it, so every key is folded from the
example's own id.
"""

import zlib

import jax
import jax.numpy as jnp
import numpy as np


def tag_id(tag: str) -> int:
  """A stable 32-bit number for a purpose such as 'dropout'."""
  return zlib.crc32(tag.encode())


def step_key(seed, step, tag: str) -> jax.Array:
  """One key for a step and a purpose."""
  key = jax.random.key(jnp.asarray(seed, jnp.uint32))
  key = jax.random.fold_in(key, jnp.asarray(step, jnp.uint32))
  return jax.random.fold_in(key, tag_id(tag))


def example_keys(seed, step, tag: str, example_id) -> jax.Array:
  """Keys [B], one an example: fold_in(seed, step, tag, example_id)."""
  key = step_key(seed, step, tag)
  ids = jnp.asarray(example_id).astype(jnp.uint32)
  return jax.vmap(lambda i: jax.random.fold_in(key, i))(ids)


def fold_tag(keys: jax.Array, tag: str) -> jax.Array:
  """Derives keys for another purpose from keys of any shape."""
  flat = keys.reshape(-1)
  folded = jax.vmap(lambda k: jax.random.fold_in(k, tag_id(tag)))(flat)
  return folded.reshape(keys.shape)


def host_generator(key, tag: str = "") -> np.random.Generator:
  """A NumPy generator for draws on the host, as a function of a key.

  Args:
    key: an integer seed, a JAX key of either style, or a NumPy generator
      (used as it is, so it advances).
    tag: names the purpose; other tags give other draws.
  """
  if isinstance(key, np.random.Generator):
    return key
  if isinstance(key, (int, np.integer)):
    words = [int(key)]
  elif jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
    words = np.asarray(jax.random.key_data(key)).ravel().tolist()
  else:
    words = np.asarray(key).ravel().tolist()
  return np.random.default_rng([*words, tag_id(tag)])
