# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Every family gives the numbers that its reference implementation gives."""

import jax
import jax.numpy as jnp
import model_support
import numpy as np
import pytest

from prefjax import kernels, models

TOLERANCE = 2e-4


@pytest.fixture(params=model_support.FAMILIES)
def family(request):
  return request.param


def _logits(family, name):
  """Logits of [2, 12] tokens; one program serves all of them."""
  _, params = model_support.load(family)
  numbers = model_support.expected(family)
  tokens, mask = (
    np.pad(numbers[f"{name}_{part}"], ((0, 0), (0, 8)))
    for part in ("ids", "mask")
  )
  run = model_support.logits_function(family)
  return np.asarray(run(params, tokens, mask == 1))[:, :12]


def test_all_ten_models_are_covered():
  assert len(model_support.FAMILIES) == 10


def test_logits(family):
  want = model_support.expected(family)["full_logits"]
  np.testing.assert_allclose(_logits(family, "full"), want, atol=TOLERANCE)


def test_logits_with_pads_on_the_left(family):
  numbers = model_support.expected(family)
  mask = numbers["left_mask"] == 1
  got = _logits(family, "left")
  np.testing.assert_allclose(
    got[mask], numbers["left_logits"][mask], atol=TOLERANCE
  )


def test_logits_with_pads_on_the_right(family):
  numbers = model_support.expected(family)
  mask = numbers["right_mask"] == 1
  got = _logits(family, "right")
  np.testing.assert_allclose(
    got[mask], numbers["full_logits"][mask], atol=TOLERANCE
  )
  last = mask.sum(axis=1) - 1
  np.testing.assert_allclose(
    got[np.arange(2), last], numbers["right_last_logits"], atol=TOLERANCE
  )


def test_greedy_tokens(family):
  _, params = model_support.load(family)
  numbers = model_support.expected(family)
  run = model_support.logits_function(family)
  tokens = np.pad(numbers["input_ids"], ((0, 0), (0, 8)))
  mask = np.zeros(tokens.shape, bool)
  for t in range(12, 20):
    mask[:, :t] = True
    scores = np.asarray(run(params, tokens, mask))[:, t - 1]
    tokens[:, t] = scores.argmax(axis=-1)
  np.testing.assert_array_equal(tokens[:, 12:], numbers["greedy8_ids"])


def test_log_probs_loss_and_gradient_norm(family):
  model, params = model_support.load(family)
  numbers = model_support.expected(family)
  tokens = jnp.asarray(numbers["right_ids"])
  mask = jnp.asarray(numbers["right_mask"] == 1)

  def loss(params):
    hidden = model.rows(params, tokens, mask)
    counted = mask[:, 1:]
    logps = kernels.token_logps(
      hidden[:, :-1],
      model.head(params),
      tokens[:, 1:],
      mask=counted,
      entropy=False,
    ).logps
    return -jnp.sum(logps) / jnp.sum(counted), jnp.sum(logps, axis=1)

  (nll, sums), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
  np.testing.assert_allclose(sums, numbers["right_logp_sum"], rtol=1e-5)
  np.testing.assert_allclose(nll, numbers["right_nll_mean"], rtol=1e-5)
  norm = np.sqrt(sum(float(jnp.sum(g**2)) for g in jax.tree.leaves(grads)))
  np.testing.assert_allclose(norm, numbers["right_grad_norm"], rtol=1e-4)


def test_both_forms_of_the_config_are_one_model(family):
  directory = model_support.TINY / family
  newer = models.load_config(directory / "config.json")
  older = models.load_config(directory / "config_legacy.json")
  assert newer == older
  assert newer == models.load_config(directory)
