# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities and errors of the step-wise losses."""

import jax
import loss_inputs
import numpy as np
import pytest

from prefjax import losses


def _arrays():
  return loss_inputs.example("step_dpo")


def test_masks_over_everything_give_dpo():
  arrays = _arrays()
  for key in ("chosen_step_mask", "rejected_step_mask"):
    arrays[key] = np.ones_like(arrays[key])
  sums = [v.sum(-1) for k, v in arrays.items() if k.endswith("token_logps")]
  for smoothing in (0.0, 0.2):
    np.testing.assert_allclose(
      losses.step_dpo(**arrays, beta=0.3, label_smoothing=smoothing),
      losses.dpo(*sums, beta=0.3, label_smoothing=smoothing),
      rtol=1e-6,
      atol=1e-6,
    )


def test_prefix_and_suffix_have_no_gradient():
  arrays = _arrays()
  mask = np.zeros_like(arrays["chosen_step_mask"])
  mask[:, 2:4] = 1
  arrays["chosen_step_mask"] = mask
  gradient = loss_inputs.gradients("step_dpo", arrays)["chosen_token_logps"]
  np.testing.assert_array_equal(np.asarray(gradient) != 0, mask != 0)


def test_an_empty_rejected_step_leaves_the_chosen_part():
  arrays = _arrays()
  arrays["rejected_step_mask"] = np.zeros_like(arrays["rejected_step_mask"])
  c = np.where(
    arrays["chosen_step_mask"],
    arrays["chosen_token_logps"] - arrays["ref_chosen_token_logps"],
    0,
  ).sum(-1)
  np.testing.assert_allclose(
    losses.step_dpo(**arrays), -jax.nn.log_sigmoid(0.5 * c), rtol=1e-5
  )


def test_errors():
  arrays = _arrays()
  short = arrays["rejected_step_mask"][:, :2]
  with pytest.raises(
    ValueError,
    match=r"step_dpo: rejected_step_mask has shape \(6, 2\), expected \(6, 7\)",
  ):
    losses.step_dpo(**{**arrays, "rejected_step_mask": short})
  with pytest.raises(ValueError, match="step_dpo: label_smoothing=0.9"):
    losses.step_dpo(**arrays, label_smoothing=0.9)
