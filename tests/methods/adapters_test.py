# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""From model outputs to losses and back: pairs, gaps, labels, weights."""

import dataclasses

import jax
import jax.numpy as jnp
import lm_support
import numpy as np
import pytest

from prefjax import losses, methods
from prefjax.core import errors, types
from prefjax.methods import adapters, unpaired


def _outputs(batch, roles=("policy", "reference"), seed=0, groups=("main",)):
  rng = np.random.default_rng(seed)
  return {
    (role, name): {
      "token_logps": jnp.asarray(
        -rng.exponential(1, batch.groups[name].token_mask.shape)
        * batch.groups[name].token_mask,
        jnp.float32,
      )
    }
    for role in roles
    for name in groups
  }


def _sums(outputs, batch, role, name="main"):
  """Summed log-probs [B, K] in NumPy."""
  logps = np.asarray(outputs[role, name]["token_logps"], np.float64)
  return np.sum(logps * batch.groups[name].token_weights, axis=-1)


def _with(batch, **fields):
  """A batch whose main group has other fields."""
  main = dataclasses.replace(batch.main, **fields)
  return dataclasses.replace(batch, groups={**batch.groups, "main": main})


def _replace(outputs, **arrays):
  return {
    (role, name): {"token_logps": arrays.get(role, value["token_logps"])}
    for (role, name), value in outputs.items()
  }


def _log_sigmoid(x):
  return -np.log1p(np.exp(-x))


def test_pairs_of_a_ranked_group_against_numpy():
  batch = lm_support.batch("ranked")
  outputs = _outputs(batch)
  result = methods.get("dpo", beta=0.5).loss(outputs, batch, {}, None)
  term = result.terms["dpo"]
  gain = _sums(outputs, batch, "policy") - _sums(outputs, batch, "reference")
  weights, losses_seen, right = [], [], 0.0
  for i in range(8):
    valid = [
      pair
      for pair, is_valid in zip(
        batch.main.pairs[i], batch.main.pair_valid[i], strict=True
      )
      if is_valid
    ]
    margins = [0.5 * (gain[i, a] - gain[i, b]) for a, b in valid]
    value = np.mean([-_log_sigmoid(m) for m in margins])
    np.testing.assert_allclose(term.value[i], value, rtol=1e-5)
    # Every pair counts once, so an example counts with its pairs.
    count = batch.example_weight[i] * len(valid)
    np.testing.assert_allclose(term.weight[i], count)
    losses_seen.append(value * count)
    weights.append(count)
    right += batch.example_weight[i] * sum(m > 0 for m in margins)
  assert min(weights) < max(weights)
  accuracy = result.metrics["rewards/accuracies"]
  np.testing.assert_allclose(accuracy.total, right)
  np.testing.assert_allclose(accuracy.weight, sum(weights))


def test_responses_that_do_not_exist_invalidate_their_pairs():
  """A pair is dropped by `pair_valid`, and by a missing response."""
  batch = lm_support.batch("ranked")
  by_mask = _with(batch, pair_valid=np.ones((8, 3), bool))
  outputs = _outputs(batch)
  found = [
    methods.get("dpo").loss(outputs, b, {}, None).terms["dpo"]
    for b in (batch, by_mask)
  ]
  np.testing.assert_array_equal(found[0].value, found[1].value)
  np.testing.assert_array_equal(found[0].weight, found[1].weight)
  assert float(jnp.min(found[0].weight / batch.example_weight)) == 1


def test_the_default_pair():
  batch = lm_support.batch("pair")
  named = _with(batch, pairs=np.tile(np.int32([[0, 1]]), (8, 1, 1)))
  swapped = _with(batch, pairs=np.tile(np.int32([[1, 0]]), (8, 1, 1)))
  outputs = _outputs(batch)
  values = [
    np.asarray(methods.get("ipo").loss(outputs, b, {}, None).terms["ipo"].value)
    for b in (batch, named, swapped)
  ]
  np.testing.assert_array_equal(values[0], values[1])
  assert np.abs(values[0] - values[2]).max() > 0.1


NAMES = ("dpo", "orpo", "simpo", "ipo", "hinge", "conservative_dpo")


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_count_may_be_nan(name):
  """Pads, missing responses and rows of weight 0, values and gradients."""
  weight = np.float32([1, 2, 1, 0, 1, 2, 1, 2])
  batch = lm_support.batch("ranked", weight=weight)
  outputs = _outputs(batch)
  counted = batch.main.token_mask & batch.main.response_mask[..., None]
  counted = counted & (weight > 0)[:, None, None]
  method = methods.get(name)

  def loss(policy, reference):
    found = method.loss(
      _replace(outputs, policy=policy, reference=reference), batch, {}, None
    )
    term = found.terms[name]
    value = jnp.where(term.weight == 0, 0.0, term.value)
    return jnp.sum(value * term.weight), found.metrics

  clean = [outputs[r, "main"]["token_logps"] for r in ("policy", "reference")]
  dirty = [jnp.where(counted, x, jnp.nan) for x in clean]
  run = jax.value_and_grad(loss, has_aux=True)
  (want, want_metrics), want_grad = run(*clean)
  (found, metrics), grad = run(*dirty)
  assert np.isfinite(want)
  np.testing.assert_array_equal(found, want)
  np.testing.assert_array_equal(grad, want_grad)
  for key, value in want_metrics.items():
    np.testing.assert_array_equal(metrics[key].total, value.total, err_msg=key)


def test_token_weights_weigh_tokens():
  batch = lm_support.batch("pair")
  weights = batch.main.token_weights * np.float32(0.5)
  weights[:, :, 0] = 0
  batch = _with(batch, token_weights=weights)
  outputs = _outputs(batch)
  arrays = adapters.pair_arrays(outputs, batch)
  sums = _sums(outputs, batch, "policy")
  np.testing.assert_allclose(arrays["chosen_logps"], sums[:, 0], rtol=1e-5)
  np.testing.assert_allclose(arrays["rejected_logps"], sums[:, 1], rtol=1e-5)
  # Lengths count tokens, not weights.
  np.testing.assert_array_equal(
    arrays["chosen_lengths"], (weights[:, 0] > 0).sum(-1)
  )


def test_scores_reach_a_loss_that_names_them():
  def loss(chosen_logps, chosen_scores, rejected_scores, *, scale=1.0):
    return scale * (chosen_scores - rejected_scores) + 0 * chosen_logps

  batch = lm_support.batch("ranked")
  method = adapters.pairwise("gap", loss, {"scale": 2.0})
  assert method.roles() == ("policy",)
  value = method.loss(_outputs(batch), batch, {}, None).terms["gap"].value
  # (2, 1, 0): gaps 1, 2, 1; only the first where the third is missing.
  want = np.where(batch.example_id % 4 == 1, 2.0, 2 * 4 / 3)
  np.testing.assert_allclose(value, want, rtol=1e-6)


def test_records_without_the_scores_a_loss_names():
  batch = _with(lm_support.batch("ranked"), scores=None)
  with pytest.raises(errors.DataError, match="'odpo' needs a score for every"):
    methods.get("odpo").loss(_outputs(batch), batch, {}, None)


def test_coupled_losses_see_only_the_pairs_that_count():
  def centred(chosen_logps, rejected_logps, *, mask=None):
    margin = jnp.where(mask, chosen_logps - rejected_logps, 0.0)
    return margin - jnp.sum(margin) / jnp.sum(mask)

  weight = np.float32([1, 0, 1, 1, 0, 1, 1, 1])
  batch = lm_support.batch("ranked", weight=weight)
  outputs = _outputs(batch)
  method = adapters.pairwise("centred", centred, {}, coupled=True)
  assert method.coupled
  term = method.loss(outputs, batch, {}, None).terms["centred"]
  # Centred over the pairs that count, so they add up to zero.
  assert float(jnp.sum(term.weight)) == 5 * 3 + 1  # id 5 has one pair
  np.testing.assert_allclose(jnp.sum(term.value * term.weight), 0, atol=1e-4)
  assert np.abs(np.asarray(term.value)).max() > 0.1


# --- single responses ---------------------------------------------------------


@pytest.mark.parametrize("average", ["token", "example"])
def test_cross_entropy_weights(average):
  batch = lm_support.batch("sft")
  outputs = _outputs(batch, ("policy",))
  method = methods.get("sft", average=average)
  term = method.loss(outputs, batch, {}, None).terms["sft"]
  sums = _sums(outputs, batch, "policy")[:, 0]
  lengths = batch.main.token_weights[:, 0].sum(-1)
  np.testing.assert_allclose(term.value, -sums / lengths, rtol=1e-5)
  each = lengths if average == "token" else 1.0
  np.testing.assert_allclose(term.weight, batch.example_weight * each)
  assert method.roles() == ("policy",)


def test_cross_entropy_of_pairs_is_that_of_the_chosen():
  batch = lm_support.batch("pair")
  chosen = _with(
    batch,
    scores=None,  # of a single response it would be a label
    **{
      name: getattr(batch.main, name)[:, :1]
      for name in ("response", "token_mask", "token_weights", "response_mask")
    },
  )
  outputs = _outputs(batch, ("policy",))
  first = _replace(
    outputs, policy=outputs["policy", "main"]["token_logps"][:, :1]
  )
  method = methods.get("sft")
  pair = method.loss(outputs, batch, {}, None).terms["sft"]
  single = method.loss(first, chosen, {}, None).terms["sft"]
  np.testing.assert_allclose(pair.value, single.value, rtol=1e-6)
  np.testing.assert_allclose(pair.weight, single.weight)
  # A response that several pairs prefer counts once.
  ranked = lm_support.batch("ranked")
  weight = method.loss(_outputs(ranked), ranked, {}, None).terms["sft"].weight
  lengths = ranked.main.token_weights.sum(-1)
  full = ranked.example_id % 4 != 1
  want = lengths[:, 0] + np.where(full, lengths[:, 1], 0)
  np.testing.assert_allclose(weight, want * ranked.example_weight)


def test_kto_against_numpy():
  method = methods.get("kto", beta=0.4, undesirable_weight=1.3)
  weight = np.float32([1, 2, 1, 0, 1, 2, 1, 2])
  batch = lm_support.of_method(method, weight=weight)
  outputs = _outputs(batch, groups=("main", "mismatched"))
  result = method.loss(outputs, batch, {}, None)

  def ratio(name):
    sums = [_sums(outputs, batch, r, name) for r in ("policy", "reference")]
    return (sums[0] - sums[1])[:, 0]

  point = max(0.0, ratio("mismatched")[weight > 0].mean())
  gain = 0.4 * (ratio("main") - point)
  liked = batch.main.scores[:, 0] > 0
  want = np.where(liked, 1 / (1 + np.exp(gain)), 1.3 / (1 + np.exp(-gain)))
  np.testing.assert_allclose(result.terms["kto"].value, want, rtol=1e-5)
  np.testing.assert_allclose(result.terms["kto"].weight, weight)
  np.testing.assert_allclose(result.metrics["kl"].mean(), point, rtol=1e-5)
  rewards = 0.4 * ratio("main")
  np.testing.assert_allclose(
    result.metrics["rewards/chosen"].mean(),
    np.average(rewards, weights=weight * liked),
    rtol=1e-5,
  )


def test_other_losses_on_labels():
  method = unpaired.unpaired("bco", losses.bco_unpaired, {"beta": 0.5})
  batch = lm_support.of_method(method)
  outputs = _outputs(batch)
  term = method.loss(outputs, batch, {}, None).terms["bco"]
  sums = [_sums(outputs, batch, r) for r in ("policy", "reference")]
  sign = np.where(batch.main.scores[:, 0] > 0, 1, -1)
  want = -_log_sigmoid(0.5 * sign * (sums[0] - sums[1])[:, 0])
  np.testing.assert_allclose(term.value, want, rtol=1e-5)
  np.testing.assert_array_equal(term.weight, batch.example_weight)


# --- metrics ------------------------------------------------------------------


def test_rewards_of_methods_with_and_without_a_reference():
  batch = lm_support.batch("pair", weight=np.ones(8))
  outputs = _outputs(batch)
  policy = _sums(outputs, batch, "policy")
  reference = _sums(outputs, batch, "reference")
  lengths = batch.main.token_weights.sum(-1)
  rewards = {
    ("dpo", 0.2): 0.2 * (policy - reference),
    ("simpo", 3.0): 3.0 * policy / lengths,
  }
  for (name, beta), want in rewards.items():
    method = methods.get(name, beta=beta)
    metrics = method.loss(outputs, batch, {}, None).metrics
    for side, key in enumerate(("rewards/chosen", "rewards/rejected")):
      np.testing.assert_allclose(
        metrics[key].mean(), want[:, side].mean(), rtol=1e-5
      )
    np.testing.assert_allclose(
      metrics["rewards/margins"].mean(),
      (want[:, 0] - want[:, 1]).mean(),
      rtol=1e-4,
    )
  assert (
    "drift/chosen_logps"
    in methods.get("dpo").loss(outputs, batch, {}, None).metrics
  )


def test_a_batch_without_pairs_counts_nothing():
  batch = lm_support.batch("pair")
  batch = _with(batch, response_mask=np.tile([True, False], (8, 1)))
  result = methods.get("dpo").loss(_outputs(batch), batch, {}, None)
  assert not np.asarray(result.terms["dpo"].weight).any()
  assert np.isfinite(np.asarray(result.terms["dpo"].value)).all()
  assert isinstance(result.terms["dpo"], types.Term)
