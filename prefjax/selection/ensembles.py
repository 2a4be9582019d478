# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Several small models trained at once, on the same data in other orders."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from prefjax.core import checks


def train_ensemble(
  key,
  init_fn: Callable[[Any], Any],
  step_fn: Callable[[Any, Any], Any],
  data: Any,
  *,
  num_models: int = 10,
  batch_size: int = 32,
  num_epochs: int = 1,
) -> Any:
  """Trains models that differ in initialisation and order of data.

  Args:
    key: random key; member m uses the m-th key split from it.
    init_fn: key -> training state (parameters, optimiser state, ...).
    step_fn: (state, batch) -> state after one update on the batch.
    data: pytree of arrays [N, ...].
    num_models: M, size of the ensemble.
    batch_size: examples of a step (all, where there are fewer); those that do
      not fill a batch are left out of that epoch.
    num_epochs: passes over the data. More than one lets members memorise
      wrong labels, which they then cannot vote against.

  Returns:
    The final states, stacked: each leaf has a leading axis of M.

  Raises:
    ValueError: a number is out of range, or leaves of data differ in length.

  Reference:
    Wang et al., "Secrets of RLHF in Large Language Models Part II: Reward
    Modeling", arXiv:2401.06080.
  """
  leaves = jax.tree.leaves(data)
  sizes = {jnp.shape(leaf)[0] for leaf in leaves}
  if len(sizes) != 1:
    raise ValueError(
      f"train_ensemble: leaves of data have lengths {sorted(sizes)}, expected"
      " one length"
    )
  (number,) = sizes
  checks.in_range("train_ensemble", 1, num_models=num_models)
  checks.in_range("train_ensemble", 1, batch_size=batch_size)
  checks.in_range("train_ensemble", 1, num_epochs=num_epochs)
  batch_size = min(batch_size, number)
  steps = number // batch_size if number else 0

  def member(member_key):
    init_key, order_key = jax.random.split(member_key)

    def order(epoch_key):
      rows = jax.random.permutation(epoch_key, number)
      return rows[: steps * batch_size].reshape(steps, batch_size)

    epochs = jax.vmap(order)(jax.random.split(order_key, num_epochs))
    batches = epochs.reshape(-1, batch_size)  # [epochs * steps, batch]

    def update(state, rows):
      batch = jax.tree.map(lambda leaf: jnp.asarray(leaf)[rows], data)
      return step_fn(state, batch), None

    return jax.lax.scan(update, init_fn(init_key), batches)[0]

  return jax.jit(jax.vmap(member))(jax.random.split(key, num_models))
