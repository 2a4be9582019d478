# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Settings that defeat each other are named."""

import jax.numpy as jnp
import numpy as np
import pytest

from prefjax import config as config_lib
from prefjax.runs import advice


def _config(dtype, rate, rank=0):
  return config_lib.Config(
    model=config_lib.ModelConfig(
      dtype=dtype, lora=config_lib.LoraConfig(rank=rank)
    ),
    opt=config_lib.OptConfig(learning_rate=rate),
  )


@pytest.mark.parametrize(
  "dtype, rate, rank, number",
  [
    ("bfloat16", 1e-5, 0, 1),
    ("bfloat16", 1e-3, 0, 0),
    ("float32", 1e-5, 0, 0),
    ("bfloat16", 1e-5, 8, 0),
  ],
)
def test_updates_that_parameters_cannot_hold(dtype, rate, rank, number):
  found = advice.notes(_config(dtype, rate, rank))
  assert len(found) == number
  for note in found:
    assert "model.compute_dtype=bfloat16" in note and "\n" not in note


def test_the_threshold_is_where_updates_vanish():
  weights = jnp.asarray(
    0.02 * np.random.default_rng(0).standard_normal(10_000), jnp.bfloat16
  )

  def moved(rate):
    return float(jnp.mean(weights - jnp.bfloat16(rate) != weights))

  assert moved(1e-6) < 0.2 and moved(1e-5) < 0.6
  assert moved(3e-4) > 0.9
