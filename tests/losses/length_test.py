# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities and errors of length desensitisation."""

import jax
import loss_inputs
import numpy as np
import pytest

from prefjax import losses

CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def _arrays():
  return loss_inputs.example("ld_dpo")


def _summed(arrays):
  return [
    np.where(mask, logps, 0).sum(-1)
    for logps, mask in (
      (arrays["chosen_token_logps"], arrays["chosen_mask"]),
      (arrays["rejected_token_logps"], arrays["rejected_mask"]),
      (arrays["ref_chosen_token_logps"], arrays["chosen_mask"]),
      (arrays["ref_rejected_token_logps"], arrays["rejected_mask"]),
    )
  ]


@pytest.mark.parametrize("keep_last", [False, True])
def test_alpha_one_is_dpo(keep_last):
  arrays = _arrays()
  np.testing.assert_allclose(
    losses.ld_dpo(**arrays, alpha=1.0, keep_last=keep_last),
    losses.dpo(*_summed(arrays)),
    **CLOSE,
  )


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_equal_lengths_are_dpo(alpha):
  arrays = _arrays()
  mask = np.zeros_like(arrays["rejected_mask"])
  mask[:, 1:6] = 1
  arrays["chosen_mask"] = np.ones_like(arrays["chosen_mask"])  # 5 tokens
  arrays["rejected_mask"] = mask  # 5 tokens elsewhere in the row
  np.testing.assert_allclose(
    losses.ld_dpo(**arrays, alpha=alpha),
    losses.dpo(*_summed(arrays)),
    **CLOSE,
  )


def _long_chosen():
  """4 tokens against 2: the chosen response's last two are tail."""
  rng = np.random.default_rng(0)
  logps = [-np.abs(rng.normal(size=(1, 4))).astype(np.float32) for _ in "abcd"]
  return logps, np.ones((1, 4), np.int32), np.array([[1, 1, 0, 0]])


def test_tail_gradient_is_alpha_times_the_shared_one():
  logps, chosen_mask, rejected_mask = _long_chosen()
  gradient = jax.grad(
    lambda x: losses.ld_dpo(
      x, *logps[1:], chosen_mask, rejected_mask, alpha=0.3
    ).sum()
  )(logps[0])
  np.testing.assert_allclose(
    gradient[0] / gradient[0, 0], [1, 1, 0.3, 0.3], rtol=1e-6
  )


def test_alpha_zero_ignores_the_tail_except_for_a_kept_end():
  logps, chosen_mask, rejected_mask = _long_chosen()
  for keep_last in (False, True):
    gradient = jax.grad(
      lambda x, keep=keep_last: losses.ld_dpo(
        x, *logps[1:], chosen_mask, rejected_mask, alpha=0.0, keep_last=keep
      ).sum()
    )(logps[0])
    np.testing.assert_array_equal(
      gradient[0] != 0, [True, True, False, keep_last]
    )


def test_padding_side_does_not_matter():
  logps, chosen_mask, rejected_mask = _long_chosen()
  for pad in ((3, 0), (0, 3)):
    width = ((0, 0), pad)
    moved = [
      np.pad(x, width, constant_values=np.float32(np.nan)) for x in logps
    ]
    np.testing.assert_allclose(
      losses.ld_dpo(
        *moved, np.pad(chosen_mask, width), np.pad(rejected_mask, width)
      ),
      losses.ld_dpo(*logps, chosen_mask, rejected_mask),
      **CLOSE,
    )


def test_an_empty_response_makes_everything_of_the_other_tail():
  weights = losses.ld_token_weights(
    np.ones((1, 3)), np.zeros((1, 2)), alpha=0.25
  )
  np.testing.assert_array_equal(weights["chosen"], [[0.25] * 3])
  np.testing.assert_array_equal(weights["rejected"], [[0, 0]])


def test_weights_with_holes_and_a_kept_end():
  chosen = np.array([[0, 1, 0, 1, 1, 0, 1]])
  rejected = np.array([[1, 1]])
  plain = losses.ld_token_weights(chosen, rejected, alpha=0.5)["chosen"]
  np.testing.assert_array_equal(plain, [[0, 1, 0, 1, 0.5, 0, 0.5]])
  kept = losses.ld_token_weights(chosen, rejected, alpha=0.5, keep_last=True)
  np.testing.assert_array_equal(kept["chosen"], [[0, 1, 0, 1, 0.5, 0, 1]])


def test_logps_are_linear_in_alpha():
  arrays = _arrays()
  args = (
    arrays["chosen_token_logps"],
    arrays["rejected_token_logps"],
    arrays["chosen_mask"],
    arrays["rejected_mask"],
  )
  none, half, full = (
    losses.ld_logps(*args, alpha=alpha) for alpha in (0.0, 0.5, 1.0)
  )
  for side in ("chosen", "rejected"):
    np.testing.assert_allclose(
      half[side], (none[side] + full[side]) / 2, rtol=1e-6, atol=1e-6
    )


def test_errors():
  arrays = _arrays()
  with pytest.raises(ValueError, match=r"ld_dpo: alpha=1.5 is outside"):
    losses.ld_dpo(**arrays, alpha=1.5)
  with pytest.raises(
    ValueError,
    match=r"ld_dpo: chosen_mask has shape \(6, 3\), expected \(6, 5\)",
  ):
    losses.ld_dpo(**{**arrays, "chosen_mask": arrays["chosen_mask"][:, :3]})
  with pytest.raises(
    ValueError, match=r"ld_token_weights: rejected_mask has shape \(2, 7\)"
  ):
    losses.ld_token_weights(arrays["chosen_mask"], arrays["rejected_mask"][:2])
