# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Steps without a registry: the registry's losses, and a policy that learns."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from prefjax import methods, rl
from prefjax.core import types
from prefjax.train import gradient

B, T, V = 6, 5, 4


def _arrays(seed=0):
  rng = np.random.default_rng(seed)
  mask = np.arange(T) < rng.integers(1, T + 1, B)[:, None]

  def draw(scale=0.3, shift=-1.5):
    values = (scale * rng.normal(size=(B, T)) + shift).astype(np.float32)
    return np.where(mask, values, np.nan)  # pads may hold anything

  outputs = {
    "token_logps": draw(),
    "entropy": draw(0.1, 0.8),
    "values": draw(1.0, 0.0),
  }
  batch = {
    "mask": mask,
    "old_logps": draw(),
    "ref_logps": draw(),
    "advantages": draw(1.0, 0.0),
    "old_values": draw(1.0, 0.0),
    "returns": draw(1.0, 0.0),
    "importance": draw(0.1, 1.0),
    "max_length": float(T),
  }
  return outputs, batch


def _registry_loss(name, kwargs, outputs, batch):
  """The loss of the registry's method on the same numbers, K = 1."""
  method = methods.get(name, **kwargs)

  def one(x):
    return np.asarray(x)[:, None]

  group = types.Group(
    prompt=np.zeros((B, 1), np.int32),
    prompt_mask=np.ones((B, 1), bool),
    response=np.zeros((B, 1, T), np.int32),
    token_mask=one(batch["mask"]),
    token_weights=one(batch["mask"]).astype(np.float32),
    response_mask=np.ones((B, 1), bool),
    old_logps=one(batch["old_logps"]),
    advantages=one(batch["advantages"]),
  )
  found = method.loss(
    {
      ("policy", "main"): {
        key: one(outputs[key]) for key in ("token_logps", "entropy")
      },
      ("reference", "main"): {"token_logps": one(batch["ref_logps"])},
      ("value", "main"): {"state_values": one(outputs["values"])},
    },
    types.Batch(
      groups={"main": group},
      example_id=np.arange(B),
      example_weight=np.ones(B, np.float32),
      extras={
        **{k: one(batch[k]) for k in ("old_values", "returns", "importance")},
        "max_length": np.full(B, float(T), np.float32),
      },
    ),
    {},
    None,
  )
  sums = gradient.term_sums(found.terms)
  weights = {key: value.weight for key, value in sums.items()}
  return gradient.combine(found.terms, sums, weights)


@pytest.mark.parametrize(
  "name,kwargs",
  [
    ("grpo", {}),
    ("dr_grpo", {}),
    ("dapo", {"entropy_coef": 0.1}),
    ("gspo", {}),
    ("cispo", {"importance_cap": 2.0}),
    ("rloo", {}),
    ("ppo", {"dual_clip": 3.0}),
  ],
)
def test_losses_are_those_of_the_registry(name, kwargs):
  outputs, batch = _arrays()
  settings = dataclasses.replace(rl.preset(name), **kwargs)
  own = rl.policy_loss(outputs, batch, settings)
  expected = _registry_loss(name, kwargs, outputs, batch)
  np.testing.assert_allclose(own, expected, rtol=2e-6)
  assert abs(float(own)) > 1e-3


def _table(params, tokens):
  """The next token depends on the last one alone: logits [B, L, V]."""
  return params["policy"][tokens]


def test_rollouts_have_the_log_probs_of_the_model():
  params = {"policy": jax.random.normal(jax.random.key(1), (V, V))}
  prompts = np.asarray([[1, 2], [3, 0], [2, 2], [1, 1]])
  made = rl.rollout(
    jax.random.key(2),
    _table,
    params,
    prompts,
    max_new_tokens=7,
    temperature=0.7,
    eos_id=0,
  )
  tokens, mask = np.asarray(made.tokens), np.asarray(made.mask)
  before = np.concatenate([prompts[:, -1:], tokens[:, :-1]], axis=1)
  for temperature, found in ((1.0, made.policy_logps), (0.7, made.logps)):
    logps = jax.nn.log_softmax(params["policy"] / temperature, axis=-1)
    expected = np.where(mask, np.asarray(logps)[before, tokens], 0)
    np.testing.assert_allclose(found, expected, atol=1e-6)
  lengths = mask.sum(axis=1)
  assert (mask == (np.arange(7) < lengths[:, None])).all()
  for row, length, ended in zip(tokens, lengths, made.has_eos, strict=True):
    assert bool(ended) == (row[length - 1] == 0)
    assert (row[: length - 1] != 0).all() and (row[length:] == 0).all()
    assert ended or length == 7
  other = rl.rollout(
    jax.random.key(3), _table, params, prompts, max_new_tokens=7, eos_id=0
  )
  assert (np.asarray(other.tokens) != tokens).any()
  with pytest.raises(ValueError, match="temperature"):
    rl.rollout(
      jax.random.key(2),
      _table,
      params,
      prompts,
      max_new_tokens=2,
      temperature=0.0,
      eos_id=0,
    )


@pytest.mark.parametrize("name", ["rloo", "ppo"])
def test_a_policy_learns_to_say_threes(name):
  """Reward: share of tokens that are 3, of six tokens without an end."""
  settings = dataclasses.replace(
    rl.preset(name), kl_in_reward=0.0, missing_eos=None
  )
  prompts = jnp.ones((32, 1), jnp.int32)

  def inputs(batch):
    return jnp.concatenate([prompts, batch["tokens"][:, :-1]], axis=1)

  def apply(params, batch):
    before = inputs(batch)
    logps = jax.nn.log_softmax(params["policy"][before], axis=-1)
    own = jnp.take_along_axis(logps, batch["tokens"][..., None], axis=-1)
    return {"token_logps": own[..., 0], "values": params["value"][before]}

  config = rl.StepConfig(apply=apply, tx=optax.adam(0.1), settings=settings)
  step = rl.ppo_step if name == "ppo" else rl.policy_gradient_step

  @jax.jit
  def update(state, key):
    made = rl.rollout(
      key,
      _table,
      state.params,
      prompts,
      max_new_tokens=6,
      temperature=1.0,
      eos_id=-1,
    )
    reward = jnp.mean(made.tokens == 3, axis=1)
    batch = {"tokens": made.tokens, "mask": made.mask}
    found = apply(state.params, batch)
    grouped = jax.tree.map(
      lambda x: x.reshape(8, 4, *x.shape[1:]),
      (made.mask, found["token_logps"], reward, found["values"]),
    )
    mask, logps, scores, values = grouped
    signal = rl.learning_signal(
      rl.Rollouts(
        mask=mask,
        logps=logps,
        scores=scores,
        ended=jnp.ones((8, 4), bool),
        values=values,
      ),
      settings,
    )
    batch["old_logps"], batch["old_values"] = (
      found["token_logps"],
      found["values"],
    )
    batch["advantages"] = signal.advantages.reshape(32, 6)
    if signal.returns is not None:
      batch["returns"] = signal.returns.reshape(32, 6)
    state, stats = step(state, batch, config)
    return state, (jnp.mean(reward), stats)

  state = config.begin({"policy": jnp.zeros((V, V)), "value": jnp.zeros(V)})
  rewards = []
  for i in range(60):
    state, (reward, stats) = update(state, jax.random.key(i))
    rewards.append(float(reward))
  assert np.mean(rewards[:3]) < 0.4 and np.mean(rewards[-3:]) > 0.8
  assert int(state.step) == 60
  # On policy: the ratio is 1 and nothing is clipped.
  assert abs(float(stats["ratio_mean"]) - 1) < 1e-5
  assert ("explained_variance" in stats) == (name == "ppo")


def test_ppo_wants_values():
  config = rl.StepConfig(
    apply=lambda params, batch: {},
    tx=optax.sgd(0.1),
    settings=rl.preset("grpo"),
  )
  with pytest.raises(ValueError, match="baseline='group'"):
    rl.ppo_step(config.begin({}), {}, config)
