# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Methods on several groups: which arrays reach the loss, and limits."""

import dataclasses

import jax.numpy as jnp
import lm_support
import numpy as np
import pytest

from prefjax import methods
from prefjax.core import errors


def _outputs(method, batch, seed=0):
  """Random log-probs as a model would give them."""
  rng = np.random.default_rng(seed)
  out = {}
  for role, name in sorted(method.needs):
    mask = batch.groups[name].token_mask
    logps = -rng.exponential(1, mask.shape) * mask
    out[role, name] = {"token_logps": jnp.asarray(logps, jnp.float32)}
  return out


def _run(method, batch, outputs=None):
  outputs = _outputs(method, batch) if outputs is None else outputs
  return method.loss(outputs, batch, method.init_state(None), None)


def _values(method, batch, outputs=None):
  (term,) = _run(method, batch, outputs).terms.values()
  return np.asarray(term.value, np.float64)


def _sums(outputs, role_group):
  return np.asarray(outputs[role_group]["token_logps"], np.float64).sum(-1)


def _softplus(x):
  return np.logaddexp(0, x)


def _margin(outputs, group="main", better=0, worse=1):
  """The difference of log-ratios of two responses, float64 [B]."""
  ratio = _sums(outputs, ("policy", group)) - _sums(
    outputs, ("reference", group)
  )
  return ratio[:, better] - ratio[:, worse]


def _single(outputs, group):
  return (
    _sums(outputs, ("policy", group)) - _sums(outputs, ("reference", group))
  )[:, 0]


# --- joint pairs --------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 1.0, 0.3])
def test_dove_weighs_instruction_and_answer(share):
  method = methods.get("dove", beta=0.7, prompt_weight=share)
  batch = lm_support.of_method(method)
  outputs = _outputs(method, batch)
  parts = {}
  for side in ("chosen", "rejected"):
    is_answer = batch.groups[side].segments[:, 0] == 1
    for role in ("policy", "reference"):
      logps = np.asarray(outputs[role, side]["token_logps"], np.float64)[:, 0]
      sign = 1 if role == "policy" else -1
      weight = np.where(is_answer, 1.0, share)
      parts[side] = parts.get(side, 0) + sign * (logps * weight).sum(-1)
  want = _softplus(-0.7 * (parts["chosen"] - parts["rejected"]))
  np.testing.assert_allclose(
    _values(method, batch, outputs), want, rtol=2e-6, atol=1e-6
  )
  metrics = _run(method, batch, outputs).metrics
  whole = metrics["rewards/margins"].mean()
  np.testing.assert_allclose(
    whole,
    share * metrics["rewards/prompt_margins"].mean()
    + metrics["rewards/answer_margins"].mean(),
    rtol=1e-5,
  )


def test_dove_needs_segments():
  method = methods.get("dove")
  batch = lm_support.of_method(method)
  groups = {
    name: dataclasses.replace(group, segments=None)
    for name, group in batch.groups.items()
  }
  with pytest.raises(errors.DataError, match="use data.view=joint"):
    _run(method, dataclasses.replace(batch, groups=groups))


# --- rationales ---------------------------------------------------------------


def test_a_rationale_is_likelihood_without_a_reference():
  method = methods.get("rationale_dpo", beta=0.5, gamma=0.2)
  batch = lm_support.of_method(method)
  outputs = _outputs(method, batch)
  assert ("reference", "rationale") not in outputs
  want = (
    _softplus(-0.5 * _margin(outputs))
    - 0.2 * _sums(outputs, ("policy", "rationale"))[:, 0]
  )
  np.testing.assert_allclose(_values(method, batch, outputs), want, rtol=1e-5)


def test_gamma_0_leaves_the_rationale_out():
  for name, plain in (("rationale_dpo", "dpo"), ("rationale_orpo", "orpo")):
    method = methods.get(name, gamma=0.0)
    batch = lm_support.of_method(method)
    outputs = _outputs(method, batch)
    np.testing.assert_allclose(
      _values(method, batch, outputs),
      _values(methods.get(plain), batch, outputs),
      rtol=1e-6,
    )


def test_rorpo_counts_the_tokens_of_the_rationale():
  one, two = (methods.get("rationale_orpo", gamma=g) for g in (0.0, 1.0))
  batch = lm_support.of_method(one)
  outputs = _outputs(two, batch)
  group = batch.groups["rationale"]
  mean = (
    -_sums(outputs, ("policy", "rationale"))[:, 0]
    / group.token_mask.sum(-1)[:, 0]
  )
  np.testing.assert_allclose(
    _values(two, batch, outputs) - _values(one, batch, outputs),
    mean,
    rtol=1e-5,
  )


def test_rationales_beside_any_loss():
  mixed = methods.mixture([("simpo", 1.0), ("rationale_orpo", 0.1)])
  assert mixed.record_kind == "rationale"
  assert set(mixed.inputs) == {"main", "rationale"}


# --- instructions added -------------------------------------------------------


def test_mapl_adds_its_parts():
  rates = dict(beta=0.5, lambda_intra=0.7, lambda_inter=0.3)
  method = methods.get("mapl", **rates)
  batch = lm_support.of_method(method)
  outputs = _outputs(method, batch)
  plain = _margin(outputs)
  intra = np.where(
    batch.extras["intra"] > 0,
    _softplus(-0.5 * (_single(outputs, "better") - _single(outputs, "worse"))),
    0,
  )
  sign = batch.extras["direction"]
  change = 0.5 * (_margin(outputs, "augmented") - plain)
  inter = np.where(sign != 0, _softplus(-sign * change), 0)
  want = _softplus(-0.5 * plain) + 0.7 * intra + 0.3 * inter
  np.testing.assert_allclose(_values(method, batch, outputs), want, rtol=2e-5)
  assert {0, 1} == set(batch.extras["intra"]) and {-1, 0, 1} == set(sign)
  # Pairs that the instructions turn around can be left out.
  kept = methods.get("mapl", **rates, keep_negative=False)
  without = np.where(sign > 0, inter, 0)
  np.testing.assert_allclose(
    _values(kept, batch, outputs), want + 0.3 * (without - inter), rtol=2e-5
  )


def test_mapl_without_its_parts_is_dpo():
  method = methods.get("mapl", lambda_intra=0.0, lambda_inter=0.0)
  batch = lm_support.of_method(method)
  outputs = _outputs(method, batch)
  np.testing.assert_array_equal(
    _values(method, batch, outputs),
    _values(methods.get("dpo"), batch, outputs),
  )
  with pytest.raises(errors.DataError, match="use data.view=mapl"):
    _run(method, dataclasses.replace(batch, extras={}))


# --- noise of single records, blind responses ---------------------------------


def test_rdpo_with_flip_rates_of_records():
  method = methods.get("rdpo", beta=0.5, flip_rates="records")
  assert method.extras == ("flip_rate",)
  batch = lm_support.of_method(method)
  outputs = _outputs(method, batch)
  rate = np.asarray(batch.extras["flip_rate"], np.float64)
  h = 0.5 * _margin(outputs)
  usable = rate < 0.5
  assert 0 < usable.sum() < len(usable)
  want = ((1 - rate) * _softplus(-h) - rate * _softplus(h)) / np.where(
    usable, 1 - 2 * rate, 1
  )
  result = _run(method, batch, outputs)
  (term,) = result.terms.values()
  np.testing.assert_allclose(
    np.asarray(term.value)[usable], want[usable], rtol=2e-5, atol=1e-6
  )
  np.testing.assert_array_equal(np.asarray(term.weight) > 0, usable)
  # One rate for all is what epsilon says.
  same = dataclasses.replace(
    batch, extras={"flip_rate": np.full(8, 0.2, np.float32)}
  )
  np.testing.assert_allclose(
    _values(method, same, outputs),
    _values(methods.get("rdpo", beta=0.5, epsilon=0.2), batch, outputs),
    rtol=1e-6,
  )
  with pytest.raises(errors.DataError, match="need the field flip_rate"):
    _run(method, dataclasses.replace(batch, extras={}))
  with pytest.raises(errors.ConfigError, match="flip_rates: 'x' is not one"):
    methods.get("rdpo", flip_rates="x")
