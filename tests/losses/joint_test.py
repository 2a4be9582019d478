# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities and errors of preferences across instructions."""

import jax
import loss_inputs
import numpy as np
import pytest

from prefjax import losses

CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def _shared_prompt():
  prompt, ref_prompt = loss_inputs.pair(seed=2)[:2]
  return prompt, prompt, ref_prompt, ref_prompt


def test_one_prompt_on_both_sides_is_dpo():
  pair, prompts = loss_inputs.pair(), _shared_prompt()
  np.testing.assert_array_equal(losses.dove(*pair, *prompts), losses.dpo(*pair))
  gradient = jax.grad(lambda x: losses.dove(x, *pair[1:], *prompts).sum())
  expected = jax.grad(lambda x: losses.dpo(x, *pair[1:]).sum())
  np.testing.assert_array_equal(gradient(pair[0]), expected(pair[0]))


def test_without_the_prompt_part_it_is_dpo():
  pair, prompts = loss_inputs.pair(), loss_inputs.pair(seed=1)
  np.testing.assert_array_equal(
    losses.dove(*pair, *prompts, prompt_weight=0.0), losses.dpo(*pair)
  )


def test_the_joint_log_prob_is_what_counts():
  pair, prompts = loss_inputs.pair(), loss_inputs.pair(seed=1)
  joint = [a + b for a, b in zip(pair, prompts, strict=True)]
  np.testing.assert_allclose(
    losses.dove(*pair, *prompts), losses.dpo(*joint), rtol=1e-5
  )


def test_swapped_sides_negate_the_margin():
  def swap(arrays):
    return arrays[1], arrays[0], arrays[3], arrays[2]

  pair, prompts = loss_inputs.pair(), loss_inputs.pair(seed=1)
  there = losses.dove(*pair, *prompts)
  back = losses.dove(*swap(pair), *swap(prompts))
  # -log s(m) and -log s(-m) differ by m.
  joint = [a + b for a, b in zip(pair, prompts, strict=True)]
  margin = 0.1 * ((joint[0] - joint[2]) - (joint[1] - joint[3]))
  np.testing.assert_allclose(back - there, margin, rtol=1e-4, atol=1e-5)


def test_prompt_gradients_oppose_each_other():
  pair, prompts = loss_inputs.pair(), loss_inputs.pair(seed=1)

  def loss(chosen_prompt, rejected_prompt):
    sides = (chosen_prompt, rejected_prompt, *prompts[2:])
    return losses.dove(*pair, *sides, beta=0.3, prompt_weight=0.5).sum()

  into_chosen, into_rejected = jax.grad(loss, argnums=(0, 1))(*prompts[:2])
  np.testing.assert_array_equal(into_chosen, -into_rejected)
  into_response = jax.grad(
    lambda x: losses.dove(
      x, *pair[1:], *prompts, beta=0.3, prompt_weight=0.5
    ).sum()
  )(pair[0])
  np.testing.assert_allclose(into_chosen, 0.5 * into_response, **CLOSE)


def test_errors():
  pair, prompts = loss_inputs.pair(), loss_inputs.pair(seed=1)
  with pytest.raises(ValueError, match="dove: prompt_weight=-1"):
    losses.dove(*pair, *prompts, prompt_weight=-1)
  with pytest.raises(
    ValueError, match=r"dove: chosen_prompt_logps has shape \(2,\)"
  ):
    losses.dove(*pair, *(array[:2] for array in prompts))
