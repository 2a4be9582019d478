# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities, draws and errors of down-sampled DPO."""

import jax
import loss_inputs
import numpy as np
import pytest

from prefjax import losses
from prefjax.core import prng

CHOSEN = np.array([[1, 1, 1, 1, 1, 1, 0], [1, 1, 0, 0, 0, 0, 0], [0] * 7])
REJECTED = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 1, 0]])


def test_counts_are_exact_and_only_valid_tokens_are_kept():
  for seed in range(20):
    masks = losses.sampo_masks(jax.random.key(seed), CHOSEN, REJECTED)
    np.testing.assert_array_equal(masks["chosen"].sum(-1), [2, 2, 0])
    np.testing.assert_array_equal(masks["rejected"].sum(-1), [2, 2, 0])
    assert (np.asarray(masks["chosen"]) <= CHOSEN).all()
    assert (np.asarray(masks["rejected"]) <= REJECTED).all()
    assert masks["chosen"].dtype == np.int32
    # The shorter side keeps all of its tokens.
    np.testing.assert_array_equal(masks["rejected"][0], REJECTED[0])
    np.testing.assert_array_equal(masks["chosen"][1], CHOSEN[1])


def test_each_token_is_kept_with_the_same_probability():
  draws, length, keep = 4000, 10, 3
  mask = np.ones((draws, length), np.int32)
  short = np.zeros((draws, length), np.int32)
  short[:, :keep] = 1
  kept = losses.sampo_masks(jax.random.key(0), mask, short)["chosen"]
  share = np.asarray(kept).mean(0)
  p = keep / length
  sigma = np.sqrt(p * (1 - p) / draws)
  assert (abs(share - p) < 5 * sigma).all()


def test_a_draw_depends_on_the_row_key_only():
  keys = prng.example_keys(0, 3, "sampo", np.array([11, 5, 8]))
  masks = losses.sampo_masks(keys, CHOSEN, REJECTED)
  order = np.array([2, 0, 1])
  moved = losses.sampo_masks(keys[order], CHOSEN[order], REJECTED[order])
  padded = losses.sampo_masks(keys, np.pad(CHOSEN, ((0, 0), (0, 5))), REJECTED)
  np.testing.assert_array_equal(moved["chosen"], masks["chosen"][order])
  np.testing.assert_array_equal(padded["chosen"][:, :7], masks["chosen"])
  np.testing.assert_array_equal(padded["chosen"][:, 7:], 0)


def test_old_style_keys_work():
  old = losses.sampo_masks(jax.random.PRNGKey(4), CHOSEN, REJECTED)
  new = losses.sampo_masks(jax.random.key(4), CHOSEN, REJECTED)
  np.testing.assert_array_equal(old["chosen"], new["chosen"])


def test_full_masks_of_equal_length_give_dpo():
  rng = np.random.default_rng(0)
  tokens = [-np.abs(rng.normal(size=(4, 6))).astype(np.float32) for _ in "abcd"]
  ones = np.ones((4, 6), np.int32)
  masks = losses.sampo_masks(jax.random.key(0), ones, ones)
  np.testing.assert_allclose(
    losses.sampo(*tokens, masks["chosen"], masks["rejected"]),
    losses.dpo(*(t.sum(-1) for t in tokens)),
    rtol=1e-6,
    atol=1e-6,
  )


def test_errors():
  arrays = loss_inputs.example("sampo")
  with pytest.raises(
    ValueError, match=r"sampo: ref_chosen_token_logps has shape \(6, 4\)"
  ):
    short = arrays["ref_chosen_token_logps"][:, :4]
    losses.sampo(**{**arrays, "ref_chosen_token_logps": short})
  with pytest.raises(
    ValueError, match=r"sampo_masks: rejected_mask has shape \(2, 4\)"
  ):
    losses.sampo_masks(jax.random.key(0), CHOSEN, REJECTED[:2])
  with pytest.raises(ValueError, match="expected 2 axes"):
    losses.sampo_masks(jax.random.key(0), CHOSEN[0], REJECTED[0])
