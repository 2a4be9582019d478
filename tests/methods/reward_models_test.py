# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Methods of reward models: which arrays reach which loss."""

import dataclasses

import jax
import jax.numpy as jnp
import lm_support
import numpy as np
import pytest

from prefjax import losses, methods
from prefjax.core import errors, prng
from prefjax.methods import adapters, preference_models, registry, reward_pairs
from prefjax.train import gradient

IDS = np.arange(8)


def _rewards(shape=(8, 2), seed=0):
  rng = np.random.default_rng(seed)
  return jnp.asarray(rng.normal(size=shape), jnp.float32)


def _result(method, batch, **outputs):
  found = {adapters.POLICY: {k: jnp.asarray(v) for k, v in outputs.items()}}
  keys = prng.example_keys(0, 0, "loss", batch.example_id)
  return method.loss(found, batch, method.init_state(None), keys)


def _value(result, name):
  return np.asarray(result.terms[name].value)


# --- Bradley-Terry ------------------------------------------------------------


def test_margins_smoothing_and_centring_reach_the_loss():
  batch, rewards = lm_support.batch("pair"), _rewards()
  c, r = rewards[:, 0], rewards[:, 1]
  gap = batch.main.scores[:, 0] - batch.main.scores[:, 1]
  method = methods.get(
    "reward_bt",
    margin=0.5,
    score_margin=2.0,
    smoothing=0.2,
    temperature=0.7,
    center=0.1,
  )
  result = _result(method, batch, rewards=rewards)
  want = losses.bradley_terry(c, r, 0.5 + 2 * gap, 0.2, temperature=0.7)
  np.testing.assert_allclose(_value(result, "reward_bt"), want, rtol=1e-6)
  np.testing.assert_allclose(
    _value(result, "center"), losses.reward_centering(c, r), rtol=1e-6
  )
  assert float(result.terms["center"].coefficient) == pytest.approx(0.1)
  np.testing.assert_array_equal(
    result.terms["reward_bt"].weight, batch.example_weight
  )
  plain = _result(methods.get("reward_bt"), batch, rewards=rewards)
  np.testing.assert_allclose(
    _value(plain, "reward_bt"), losses.bradley_terry(c, r), rtol=1e-6
  )
  assert set(plain.terms) == {"reward_bt"}
  assert float(plain.metrics["rewards/accuracies"].mean()) == pytest.approx(
    np.average(c > r, weights=batch.example_weight)
  )


def test_numbers_of_records():
  batch, rewards = lm_support.batch("pair"), _rewards()
  own = {
    "margin": np.linspace(0, 1, 8, dtype=np.float32),
    "smoothing": np.linspace(0, 0.4, 8, dtype=np.float32),
    "flip_rate": np.linspace(0, 0.6, 8, dtype=np.float32),
  }
  batch.extras.update(own)
  method = methods.get("reward_bt", margins="records", smoothings="records")
  assert method.extras == ("margin", "smoothing")
  want = losses.bradley_terry(
    rewards[:, 0], rewards[:, 1], own["margin"], own["smoothing"]
  )
  result = _result(method, batch, rewards=rewards)
  np.testing.assert_allclose(_value(result, "reward_bt"), want, rtol=1e-6)
  robust = methods.get("reward_bt", flip_rates="records")
  result = _result(robust, batch, rewards=rewards)
  usable = own["flip_rate"] < 0.5
  want = losses.robust_bt(
    rewards[:, 0], rewards[:, 1], epsilon=np.where(usable, own["flip_rate"], 0)
  )
  np.testing.assert_allclose(
    _value(result, "reward_bt")[usable], np.asarray(want)[usable], rtol=1e-5
  )
  # A label that is wrong as often as right does not count.
  np.testing.assert_array_equal(
    np.asarray(result.terms["reward_bt"].weight) > 0, usable
  )
  one = methods.get("reward_bt", flip_rate=0.2)
  want = losses.robust_bt(rewards[:, 0], rewards[:, 1], epsilon=0.2)
  np.testing.assert_allclose(
    _value(_result(one, batch, rewards=rewards), "reward_bt"), want, rtol=1e-5
  )
  batch.extras.clear()
  with pytest.raises(errors.DataError, match="field margin"):
    _result(method, batch, rewards=rewards)


def test_an_ensemble_sees_resamples_and_votes():
  batch, rewards = lm_support.batch("pair"), _rewards((8, 2, 3))
  method = methods.get("reward_bt", members=3, bootstrap=False)
  assert method.head.num_outputs == 3
  result = _result(method, batch, rewards=rewards)
  each = losses.bradley_terry(
    rewards[:, 0].reshape(-1), rewards[:, 1].reshape(-1)
  ).reshape(8, 3)
  np.testing.assert_allclose(
    _value(result, "reward_bt"), each.mean(1), rtol=1e-6
  )
  gap = np.asarray(rewards[:, 0] - rewards[:, 1])
  weight = batch.example_weight
  np.testing.assert_allclose(
    result.metrics["rewards/strength_std"].mean(),
    np.average(gap.std(1), weights=weight),
    rtol=1e-5,
  )
  np.testing.assert_allclose(
    result.metrics["rewards/agreement"].mean(),
    np.average((gap > 0).mean(1), weights=weight),
    rtol=1e-6,
  )
  drawn = _value(
    _result(methods.get("reward_bt", members=3), batch, rewards=rewards),
    "reward_bt",
  )
  counts = drawn[:, None] * 3 / np.asarray(each)
  assert not np.allclose(drawn, each.mean(1))
  assert counts.shape == (8, 3)
  # The resample belongs to the example, not to its place.
  order = [3, 1, 0, 2, 7, 6, 5, 4]
  again = _result(
    methods.get("reward_bt", members=3),
    lm_support.batch("pair", IDS[order]),
    rewards=rewards[jnp.asarray(order)],
  )
  np.testing.assert_allclose(
    _value(again, "reward_bt"), drawn[order], rtol=1e-6
  )


def test_cross_entropy_beside_the_ranking():
  method = methods.get("reward_bt", sft=0.3)
  assert method.needs[adapters.POLICY] == ("head", "token_logps")
  batch = lm_support.batch("pair")
  logps = -np.abs(np.random.default_rng(1).normal(size=(8, 2, 4)))
  result = _result(
    method, batch, rewards=_rewards(), token_logps=logps.astype(np.float32)
  )
  counted = batch.main.token_weights[:, 0]
  want = -(logps[:, 0] * counted).sum(1) / counted.sum(1)
  np.testing.assert_allclose(_value(result, "sft"), want, rtol=1e-5)
  np.testing.assert_allclose(
    result.terms["sft"].weight, counted.sum(1) * batch.example_weight
  )
  mixed = methods.mixture([("reward_bt", 1.0), ("sft", 0.1)])
  assert mixed.head is not None and set(mixed.needs[adapters.POLICY]) == {
    "head",
    "token_logps",
  }


@pytest.mark.parametrize(
  "name, kwargs, message",
  [
    ("reward_bt", {"margins": "both"}, "margins: 'both' is not one of number"),
    ("reward_bt", {"smoothing": 2.0}, "smoothing: is 2.0"),
    ("reward_bt", {"members": 1.5}, "members: is 1.5, expected a int"),
    ("reward_bt", {"flip_rate": 0.5}, "flip_rate: is 0.5"),
    ("reward_bt", {"bootstrap": 1}, "bootstrap: is 1, expected a bool"),
    ("reward_contrastive", {"kind": "moco"}, "kind: 'moco'"),
    ("reward_contrastive", {"feature": "mean"}, "feature: 'mean'"),
    ("reward_contrastive", {"dropout": 0.0}, "dropout: 0.0 is outside"),
    ("metarm", {"meta_lr": -1.0}, "meta_lr: -1.0 is negative"),
    ("gpm", {"dim": 5}, "dim: .*dim=5"),
    ("gpm", {"sft": 1.0}, "sft: 1.0 is outside"),
    ("p2c", {"num_classes": 1}, " PreferenceHeads: num_classes=1"),
    ("p2c", {"lambda_div": -0.1}, "lambda_div: -0.1 is negative"),
    ("attribute_regression", {"attributes": 0}, "attributes: 0 is below 1"),
    ("process_reward", {"after_error": "cut"}, "after_error: 'cut'"),
  ],
)
def test_values_that_are_refused(name, kwargs, message):
  with pytest.raises(errors.ConfigError, match=f"method.kwargs.{message}"):
    methods.get(name, **kwargs)


def test_two_heads_are_no_mixture():
  with pytest.raises(
    errors.ConfigError, match="reward_bt and gpm train a head"
  ):
    methods.mixture([("reward_bt", 1.0), ("gpm", 1.0)])
  with pytest.raises(errors.ConfigError, match="metarm has a gradient"):
    methods.mixture([("metarm", 1.0), ("lipo_lambda", 1.0)])


# --- contrastive, MetaRM ------------------------------------------------------


@pytest.mark.parametrize("feature", ["difference", "response"])
@pytest.mark.parametrize("kind", ["simcse", "swav"])
def test_contrastive_terms(kind, feature):
  method = methods.get(
    "reward_contrastive", kind=kind, feature=feature, weight=0.3, prototypes=3
  )
  assert method.coupled and method.head.prototypes == (
    3 if kind == "swav" else 0
  )
  batch = lm_support.batch("pair", weight=[1, 1, 1, 1, 1, 1, 0, 0])
  rng = np.random.default_rng(0)
  views = rng.normal(size=(8, 2, 2, 5)).astype(np.float32)
  table = rng.normal(size=(3, 5)).astype(np.float32)
  views[6:] = np.nan
  result = _result(
    method,
    batch,
    rewards=_rewards(),
    views=views,
    prototypes=np.broadcast_to(table, (8, 3, 5)),
  )
  kept = views[:6]
  if feature == "difference":
    a, b = np.moveaxis(kept[:, 0] - kept[:, 1], 1, 0)
  else:
    a, b = np.moveaxis(kept.reshape(12, 2, 5), 1, 0)
  if kind == "simcse":
    want = losses.simcse(a, b)
  else:
    want = losses.swav(a, b, table)
  term = result.terms[kind]
  weight = np.asarray(term.weight)
  total = float(np.sum(np.asarray(term.value)[:6] * weight[:6]) / weight.sum())
  np.testing.assert_allclose(total, np.mean(want), rtol=1e-5)
  assert float(term.coefficient) == pytest.approx(0.3)


def test_metarm_takes_the_gradient_where_responses_are_told_apart():
  method = methods.get("metarm", meta_lr=0.5)
  objective = lm_support.objective(method)
  start = lm_support.start(method)
  batch = jax.tree.map(jnp.asarray, lm_support.of_method(method, range(4)))
  keys = prng.example_keys(0, 0, "loss", batch.example_id)

  def grad(objective, params):
    return gradient.evaluate(
      objective, params, start.frozen, batch, start.method_state, keys
    )

  found, evaluation = jax.jit(lambda p: objective.gradient(grad, p))(
    start.params
  )
  assert float(evaluation.metrics["metarm/difference"].mean()) > 0
  # The same by the function of the paper.
  weight = batch.example_weight

  def rewards(params):
    outputs = objective.outputs(params, start.frozen, batch, {}, keys)
    return outputs[adapters.POLICY]["rewards"]

  def difference(params):
    value = losses.metarm_difference(rewards(params), batch.main.response_mask)
    return jnp.sum(value * weight) / weight.sum()

  def ranking(params):
    outputs = objective.outputs(params, start.frozen, batch, {}, keys)
    terms = method.loss(outputs, batch, {}, keys).terms["metarm"]
    return jnp.sum(terms.value * terms.weight) / jnp.sum(terms.weight)

  want = jax.jit(
    lambda p: losses.metarm_gradient(difference, ranking, p, meta_lr=0.5)[1]
  )(start.params)
  assert lm_support.gap(want, found) < 1e-4
  plain, _ = jax.jit(lambda p: grad(objective, p))(start.params)
  assert lm_support.gap(plain, found) > 1e-2


# --- others -------------------------------------------------------------------


def test_gpm_with_gates():
  batch = lm_support.batch("pair")
  rng = np.random.default_rng(0)
  vectors = rng.normal(size=(8, 2, 4)).astype(np.float32)
  gates = rng.uniform(size=(8, 2)).astype(np.float32)
  method = methods.get("gpm", dim=4, tau=0.3, margin=0.2)
  result = _result(method, batch, embeddings=vectors, gates=gates)
  want = losses.gpm(vectors[:, 0], vectors[:, 1], gates, 0.2, tau=0.3)
  np.testing.assert_allclose(_value(result, "gpm"), want, rtol=1e-5)
  with_sft = methods.get("gpm", sft=0.01)
  assert "token_logps" in with_sft.needs[adapters.POLICY]


def test_a_pair_model_cannot_favour_a_place():
  batch, rewards = lm_support.batch("orders"), _rewards()
  method = methods.get("pair_preference", temperature=0.5)
  result = _result(method, batch, rewards=rewards)
  want = losses.bradley_terry(
    rewards[:, 0] / 2, rewards[:, 1] / 2, temperature=0.5
  )
  np.testing.assert_allclose(_value(result, "pair_preference"), want, rtol=1e-6)
  moved = _result(method, batch, rewards=rewards + 3.0)
  np.testing.assert_allclose(_value(moved, "pair_preference"), want, rtol=1e-4)
  assert float(moved.metrics["rewards/first_place"].mean()) > 2


def test_p2c_reads_the_scores_of_the_label():
  batch = lm_support.batch("pair")
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(8, 2, 2)).astype(np.float32)
  scores = np.tanh(rng.normal(size=(8, 2, 3, 2))).astype(np.float32)
  label = batch.extras["label"].astype(int)
  tie = batch.extras["tie"]
  method = methods.get("p2c", lambda_pref=0.5, lambda_div=0.2)
  result = _result(method, batch, class_logits=logits, preference_scores=scores)
  picked = np.take_along_axis(scores, label[:, None, None, None], -1)[..., 0]
  want = losses.p2c(
    logits[:, 0],
    logits[:, 1],
    label,
    picked[:, 0].T,
    picked[:, 1].T,
    np.where(tie > 0, 2, 1),
    lambda_pref=0.5,
    lambda_div=0.2,
  )
  np.testing.assert_allclose(_value(result, "p2c"), want, rtol=1e-5)
  right = (logits.argmax(-1) == label[:, None]).mean(1)
  np.testing.assert_allclose(
    result.metrics["class/accuracy"].mean(),
    np.average(right, weights=batch.example_weight),
    rtol=1e-6,
  )
  batch.extras["label"][0] = 5  # no such class: it does not count
  result = _result(method, batch, class_logits=logits, preference_scores=scores)
  assert float(result.terms["p2c"].weight[0]) == 0


def test_every_rating_counts_alike():
  batch = lm_support.batch("rated")
  predictions = _rewards((8, 3, 5))
  method = methods.get("attribute_regression")
  result = _result(method, batch, rewards=predictions)
  mask = batch.extras["rating_mask"] * batch.example_weight[:, None, None]
  error = (np.asarray(predictions) - batch.extras["ratings"]) ** 2
  term = result.terms["attribute_regression"]
  found = np.sum(np.asarray(term.value) * term.weight) / np.sum(term.weight)
  np.testing.assert_allclose(
    found, (error * mask).sum() / mask.sum(), rtol=1e-5
  )
  other = methods.get("attribute_regression", attributes=4)
  with pytest.raises(
    errors.ConfigError, match="is 4, but data.attributes has 5"
  ):
    _result(other, batch, rewards=predictions[..., :4])


def test_steps_are_read_at_their_last_tokens():
  rewards = jnp.asarray([[1.0, 2.0, 3.0, 4.0, 9.0]])
  segments = jnp.asarray([[0, 0, 1, 3, 3]])
  mask = jnp.asarray([[1, 1, 1, 1, 0]], bool)
  found, exists = preference_models.step_rewards(rewards, segments, mask, 4)
  np.testing.assert_array_equal(exists, [[True, True, False, True]])
  np.testing.assert_array_equal(found[0, [0, 1, 3]], [2, 3, 4])


def test_labels_after_the_first_error_may_be_dropped():
  batch = lm_support.batch("steps", range(6))
  batch.extras["step_labels"] = np.asarray(
    [[1, 1], [0, 0], [0, 1], [1, 0], [-1, 1], [1, -1]], np.int32
  )
  for group in batch.groups.values():
    group.token_mask[:] = True
  tokens = _rewards((6, 1, 4))
  at = np.asarray(tokens)[:, 0, [1, 3]]
  sign = np.where(batch.extras["step_labels"] > 0, 1, -1)
  each = np.log1p(np.exp(-sign * at))
  counts = {
    "keep": [[1, 1], [1, 1], [1, 1], [1, 1], [0, 1], [1, 0]],
    "drop": [[1, 1], [1, 0], [1, 0], [1, 1], [0, 1], [1, 0]],
  }
  for how, known in counts.items():
    known = np.asarray(known)
    method = methods.get("process_reward", after_error=how)
    result = _result(method, batch, token_rewards=tokens)
    np.testing.assert_allclose(
      _value(result, "process_reward"),
      (each * known).sum(1) / known.sum(1),
      rtol=1e-5,
    )
    np.testing.assert_allclose(
      result.terms["process_reward"].weight,
      known.sum(1) * batch.example_weight,
    )


def test_steerlm_takes_sampler_and_prior_from_the_reference():
  method = methods.get("steerlm2")
  batch = lm_support.of_method(method)
  rng = np.random.default_rng(0)
  names = list(method.needs)
  outputs = {
    name: {
      "token_logps": jnp.asarray(
        -np.abs(rng.normal(size=(8, 3, 4))), jnp.float32
      )
    }
    for name in names
  }
  result = method.loss(outputs, batch, {}, None)
  sums = {
    name: adapters.sequence_sums(outputs, name, batch.groups[name[1]])
    for name in names
  }
  want = losses.steerlm2(
    sums["policy", "main"],
    batch.main.scores,
    sums["reference", "prior"],
    sums["reference", "main"],
    batch.main.lengths(),
    batch.main.response_mask,
  )
  np.testing.assert_allclose(_value(result, "steerlm2"), want, rtol=1e-5)


def test_sppo_reads_win_rates():
  method = methods.get("sppo", beta=0.5)
  batch = lm_support.batch("pair")
  batch.main.scores[:] = np.asarray([[0.9, 0.2]] * 8)
  rng = np.random.default_rng(0)
  logps = {
    role: {"token_logps": jnp.asarray(-rng.exponential(1, (8, 2, 4)))}
    for role in (adapters.POLICY, adapters.REFERENCE)
  }
  result = method.loss(logps, batch, {}, None)
  sums = [adapters.sequence_sums(logps, role, batch.main) for role in logps]
  want = losses.sppo(
    sums[0][:, 0], sums[0][:, 1], sums[1][:, 0], sums[1][:, 1],
    np.full(8, 0.9), np.full(8, 0.2), beta=0.5,
  )  # fmt: skip
  np.testing.assert_allclose(_value(result, "sppo"), want, rtol=1e-5)


def test_pairs_that_are_none_do_not_reach_arrays():
  batch = lm_support.batch("ranked")
  values = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
  values[1, 2] = values[5, 2] = np.nan  # responses that do not exist
  arrays = reward_pairs.pair_arrays(jnp.asarray(values), batch)
  assert all(
    np.isfinite(np.asarray(v, np.float32)).all() for v in arrays.values()
  )
  assert arrays["pair_valid"].sum() == 8 * 3 - 2 * 2


def test_rows_say_what_they_take():
  for name in ("reward_bt", "gpm", "metarm", "p2c", "process_reward"):
    row = registry.row(name)
    method = methods.get(name, **dict(row.defaults))
    assert method.head is not None


# --- Themis -------------------------------------------------------------------


def test_themis_reads_rewards_tokens_and_their_parts():
  batch, rewards = lm_support.batch("pair"), _rewards()
  rng = np.random.default_rng(1)
  shape = batch.main.response.shape
  logps = -rng.exponential(size=shape).astype(np.float32)
  with pytest.raises(errors.DataError, match="use data.view=traced"):
    _result(methods.get("themis"), batch, rewards=rewards, token_logps=logps)
  segments = rng.integers(0, 5, shape).astype(np.int32)
  group = dataclasses.replace(batch.main, segments=segments)
  batch = dataclasses.replace(batch, groups={"main": group})
  options = dict(rm_weight=0.7, observation_weight=0.3, answer_weight=2.0)
  method = methods.get("themis", **options)
  result = _result(method, batch, rewards=rewards, token_logps=logps)
  counted = np.asarray(group.token_mask) & (np.asarray(group.token_weights) > 0)
  kinds = np.where(counted, segments, 0)
  want = losses.themis(
    rewards[:, 0],
    rewards[:, 1],
    logps[:, 0],
    kinds[:, 0],
    logps[:, 1],
    kinds[:, 1],
    **options,
  )
  kept = np.asarray(result.terms["themis"].weight) > 0
  np.testing.assert_allclose(
    _value(result, "themis")[kept], np.asarray(want)[kept], rtol=1e-5
  )
  silent = dict.fromkeys(
    ("tool_weight", "observation_weight", "rationale_weight", "answer_weight"),
    0.0,
  )
  method = methods.get("themis", rm_weight=1.0, **silent)
  plain = _result(method, batch, rewards=rewards, token_logps=logps)
  want = _result(methods.get("reward_bt"), batch, rewards=rewards)
  np.testing.assert_allclose(
    _value(plain, "themis"), _value(want, "reward_bt"), rtol=1e-6
  )
  with pytest.raises(errors.ConfigError, match="tool_weight: -1.0 is negative"):
    methods.get("themis", tool_weight=-1.0)
