# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Training several models at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefjax import selection


def _init(key):
  return {"start": jax.random.normal(key), "seen": jnp.zeros(7), "last": 0.0}


def _step(state, batch):
  # Counts what it sees; `last` depends on the order.
  seen = state["seen"].at[batch["id"]].add(1.0)
  return {**state, "seen": seen, "last": batch["id"][-1].astype(jnp.float32)}


DATA = {"id": np.arange(7)}


def test_members_differ_and_each_example_comes_once_an_epoch():
  out = selection.train_ensemble(
    jax.random.key(0), _init, _step, DATA, num_models=8, batch_size=1
  )
  assert out["seen"].shape == (8, 7)
  np.testing.assert_array_equal(out["seen"], 1)
  assert len(set(out["start"].tolist())) == 8
  assert len(set(out["last"].tolist())) > 1
  again = selection.train_ensemble(
    jax.random.key(0),
    _init,
    _step,
    DATA,
    num_models=3,
    batch_size=3,
    num_epochs=2,
  )
  # Two batches of three a pass: one example is left out each time.
  np.testing.assert_array_equal(again["seen"].sum(1), 12)
  assert again["seen"].max() <= 2
  whole = selection.train_ensemble(
    jax.random.key(1), _init, _step, DATA, num_models=1, batch_size=99
  )
  np.testing.assert_array_equal(whole["seen"], 1)


def test_errors():
  with pytest.raises(ValueError, match=r"lengths \[2, 3\], expected one"):
    selection.train_ensemble(
      jax.random.key(0), _init, _step, {"a": np.ones(2), "b": np.ones(3)}
    )
  with pytest.raises(ValueError, match="train_ensemble: num_models=0"):
    selection.train_ensemble(
      jax.random.key(0), _init, _step, DATA, num_models=0
    )
