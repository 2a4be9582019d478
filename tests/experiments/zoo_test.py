# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The tables, annotators and losses of the comparison."""

import jax
import numpy as np
import pytest

from experiments.zoo import experiment as zoo
from experiments.zoo import methods as zoo_methods
from experiments.zoo import tabular


def test_zoo_pairs_are_drawn_from_the_reference():
  made = tabular.world(3, 20_000, 100)
  assert made["sides"].shape == (20_000, 2)
  assert (made["sides"][:, 0] != made["sides"][:, 1]).all()
  reference = np.exp(made["reference"])
  np.testing.assert_allclose(reference.sum(-1), 1.0, rtol=1e-12)
  # Two different draws: p_i (1 - p_i), normalised.
  found = np.zeros(reference.shape)
  np.add.at(found, (made["prompt"], made["sides"][:, 0]), 1.0)
  expected = reference * (1 - reference)
  expected *= found.sum() / expected.sum()
  gap = (found - expected) / np.sqrt(expected)
  assert np.abs(gap).max() < 5.5


def test_zoo_annotators_differ_in_what_they_are_said_to():
  made = tabular.world(3, 20_000, 100)
  labels = {
    name: tabular.labelled(3, made, **noise)
    for name, noise in tabular.CONDITIONS.items()
  }
  clean = labels["clean"]["chosen"]
  for name, rate in (("noise_20", 0.2), ("noise_40", 0.4)):
    turned = labels[name]["chosen"] != clean
    assert turned.mean() == pytest.approx(rate, abs=0.015)
    assert (labels[name]["gap"] == labels["clean"]["gap"]).all()
  longer = {
    name: np.mean(
      made["lengths"][found["prompt"], found["chosen"]]
      - made["lengths"][found["prompt"], found["rejected"]]
    )
    for name, found in labels.items()
  }
  assert longer["length"] > 5 > longer["clean"]
  # Bradley-Terry: the share of right labels is the mean of sigmoid(|gap|).
  at = made["prompt"]
  gap = (
    made["rewards"][at, clean]
    - made["rewards"][at, labels["clean"]["rejected"]]
  )
  p = 1 / (1 + np.exp(-np.abs(gap)))
  assert np.mean(gap > 0) == pytest.approx(p.mean(), abs=0.015)


@pytest.mark.slow
def test_zoo_training_learns():
  (arms,) = zoo.measure_many([2], zoo.SETTINGS["quick"])
  assert arms["dpo"]["gain_clean"] > 0.3
  assert arms["dpo"]["accuracy_clean"] > 0.6
  assert arms["rdpo"]["gain_clean"] == pytest.approx(
    arms["dpo"]["gain_clean"], abs=1e-4
  )


@pytest.mark.slow
def test_every_name_of_the_zoo_has_a_loss():
  n = 6
  draw = np.random.default_rng(0)
  names = ("chosen", "rejected", "ref_chosen", "ref_rejected", "collision")
  arrays = {name: -draw.uniform(1, 3, n) for name in names}
  arrays["kl"], arrays["gap"] = draw.uniform(0.1, 2, (2, n))
  for name in ("chosen_lengths", "rejected_lengths"):
    arrays[name] = draw.integers(5, 60, n).astype(float)
  arrays = jax.tree.map(jax.numpy.float32, arrays)
  for name in zoo_methods.NAMES:
    values, _ = zoo_methods.loss(name, "noise_20")(
      arrays, {"mean": 0.0, "std": 0.0}
    )
    assert np.shape(values)[0] in (n, 2 * n), name
    assert np.isfinite(values).all(), name
