# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Density ratios and the domain router."""

import numpy as np
import pytest

from prefjax import rewards


def test_ratio_identities():
  a, b, c = -50 * np.random.default_rng(0).random((3, 4, 5)).astype(np.float32)
  ratio = rewards.density_ratio
  np.testing.assert_array_equal(ratio(a, a), 0)
  np.testing.assert_array_equal(ratio(a, b), -ratio(b, a))
  np.testing.assert_allclose(
    ratio(a, b) + ratio(b, c), ratio(a, c), rtol=1e-4, atol=1e-4
  )
  impossible = np.full((4, 5), -np.inf)
  np.testing.assert_array_equal(ratio(impossible, impossible), 0)
  assert np.isfinite(ratio(impossible, b)).all()


def test_the_closed_form_gives_the_reward_back():
  rng = np.random.default_rng(1)
  weak, reward = rng.normal(size=(2, 8))
  weak -= np.log(np.exp(weak).sum())
  strong = weak + reward / 0.5
  strong -= np.log(np.exp(strong).sum())
  ratio = 0.5 * np.asarray(rewards.density_ratio(strong, weak))
  np.testing.assert_allclose(
    ratio - ratio.mean(), reward - reward.mean(), rtol=1e-4, atol=1e-5
  )


def test_per_token():
  strong, weak = np.array([-10.0, -6.0]), np.array([-12.0, -8.0])
  np.testing.assert_allclose(
    rewards.density_ratio(strong, weak, [5, 0], [4, 2], normalize="tokens"),
    [-2 + 3, -6 + 4],
  )
  np.testing.assert_allclose(
    rewards.density_ratio(strong, weak, [5, 2], normalize="tokens"),
    [0.4, 1.0],
    rtol=1e-6,
  )
  with pytest.raises(ValueError, match="needs strong_lengths"):
    rewards.density_ratio(strong, weak, normalize="tokens")
  with pytest.raises(ValueError, match=r"weak_logps has shape \(1,\)"):
    rewards.density_ratio(strong, weak[:1])


@pytest.mark.parametrize(
  ("text", "domain"),
  [
    ("[START] SAFETY [END]", "SAFETY"),
    ("well [START]REASONING[END] [START]CHAT[END]", "REASONING"),
    ("[START] safety [END]", "CHAT"),
    ("[START] SAFETY", "CHAT"),
    ("SAFETY [END]", "CHAT"),
    ("[END] [START] SAFETY [END]", "SAFETY"),
    ("", "CHAT"),
  ],
)
def test_domains(text, domain):
  assert rewards.parse_domain(text=text) == domain


def test_own_domains():
  found = rewards.parse_domain(
    text="[START] A [END]", domains=("A", "B"), default="B"
  )
  assert found == "A"
  assert rewards.parse_domain(text="", domains=("A",), default="A") == "A"
