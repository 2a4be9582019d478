# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Pairs of the experiment on rationales, and its weight that is data."""

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.rationale_dpo import experiment
from prefjax import methods
from prefjax.core import types
from prefjax.experiments import arrays


def _agreement(pairs, key_of):
  """(share where the key decides, of other attributes, of length)."""
  key, other, length = [], [], []
  for pair in pairs:
    deciding = key_of["ABCD".index(pair.prompt)]
    assert pair.rationale == f"{'abcd'[deciding]}>{pair.prompt}"
    for at in range(4):
      agrees = int(pair.chosen[at]) > int(pair.rejected[at])
      (key if at == deciding else other).append(agrees)
    length.append(len(pair.chosen) > len(pair.rejected))
  return np.mean(key), np.mean(other), np.mean(length)


@pytest.mark.parametrize("agrees", [0.5, 0.7])
def test_the_key_decides_and_distractors_agree_at_the_rate(agrees):
  key_of = np.asarray([2, 0, 3, 1])
  pairs = experiment._pairs(np.random.default_rng(0), key_of, 1500, agrees)
  key, other, length = _agreement(pairs, key_of)
  assert key == 1.0
  assert other == pytest.approx(agrees, abs=0.03)
  assert length == pytest.approx(agrees, abs=0.05)


def test_a_weight_in_the_records_is_the_weight_of_the_loss():
  rng = np.random.default_rng(1)
  tasks = arrays.Tasks(np.zeros((3, 2), int), np.ones((3, 2), bool))
  shapes = {"main": (3, 2, 4), "rationale": (3, 1, 3)}
  groups = {
    name: arrays.group_of(tasks, np.zeros(shape), np.full(shape[:2], 2))
    for name, shape in shapes.items()
  }
  outputs = {
    (role, name): {
      "token_logps": jnp.asarray(-rng.exponential(size=shape), jnp.float32)
    }
    for role in ("policy", "reference")
    for name, shape in shapes.items()
  }

  def terms(method, gamma):
    batch = types.Batch(
      groups=groups,
      example_id=jnp.arange(3),
      example_weight=jnp.ones(3),
      extras={"gamma": jnp.full(3, gamma)},
    )
    (term,) = method.loss(outputs, batch, {}, None).terms.values()
    assert float(np.sum(term.weight)) > 0
    return np.asarray(term.value)

  found = {}
  for gamma in (0.0, 0.3):
    plain = methods.get("rationale_dpo", beta=experiment._BETA, gamma=gamma)
    found[gamma] = terms(experiment._method(), gamma)
    np.testing.assert_allclose(found[gamma], terms(plain, gamma), rtol=1e-6)
  assert (found[0.3] > found[0.0] + 0.01).all()
