# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Heads of reward models on hidden states."""

import jax
import jax.numpy as jnp
import lm_support
import numpy as np
import pytest

from prefjax import models
from prefjax.core import prng, skew
from prefjax.models import heads, reward_heads

B, K, R, D = 3, 2, 4, 6
KEY = jax.random.key(1)
GROUP = lm_support.group(range(B), K, response_slots=R)


def _states(seed=0):
  rng = np.random.default_rng(seed)
  at = rng.normal(size=(B, K, R, D)).astype(np.float32)
  end = rng.normal(size=(B, D)).astype(np.float32)
  return models.GroupHidden(predict=at, at=jnp.asarray(at), prompt_end=end)


def _last(states):
  return np.asarray(heads.last_token(states.at, GROUP.token_mask))


def _run(head, states=None, keys=None, **changes):
  params = head.init(KEY, D, jnp.float32)
  params = {**params, **changes}
  return params, head.apply(params, states or _states(), GROUP, keys)


def test_a_scalar_reward_is_linear_in_the_last_state():
  params, out = _run(reward_heads.RewardHead())
  weight = np.asarray(params["scalar_head"]["weight"])
  np.testing.assert_allclose(
    out["rewards"], (_last(_states()) @ weight.T)[..., 0], atol=1e-5
  )
  assert set(out) == {"rewards"} and out["rewards"].shape == (B, K)


def test_padding_says_nothing():
  states = _states()
  at = np.array(states.at)
  at[~GROUP.token_mask] = 1e9
  _, ruined = _run(reward_heads.RewardHead(), states._replace(at=at))
  np.testing.assert_array_equal(
    ruined["rewards"], _run(reward_heads.RewardHead())[1]["rewards"]
  )


def test_outputs_with_a_layer_of_their_own_are_independent():
  head = reward_heads.RewardHead(num_outputs=3, width=5)
  params, out = _run(head)
  assert out["rewards"].shape == (B, K, 3)
  want = []
  for m in range(3):
    x = _last(_states())
    for i in ("0", "1"):
      layer = params["mlp"][i]
      x = x @ np.asarray(layer["weight"][m]).T + np.asarray(layer["bias"][m])
      x = np.maximum(x, 0) if i == "0" else x
    want.append(x[..., 0])
  np.testing.assert_allclose(out["rewards"], np.stack(want, -1), atol=1e-5)
  slopes = jax.grad(
    lambda p: head.apply(p, _states(), GROUP, None)["rewards"][..., 1].sum()
  )(params)
  weight = np.asarray(slopes["mlp"]["0"]["weight"])
  assert weight[1].any() and not weight[[0, 2]].any()


def test_a_reward_for_every_token():
  _, out = _run(reward_heads.RewardHead(tokens=True))
  assert out["token_rewards"].shape == (B, K, R)
  last = heads.last_token(out["token_rewards"][..., None], GROUP.token_mask)
  np.testing.assert_allclose(
    last[..., 0], _run(reward_heads.RewardHead())[1]["rewards"], rtol=1e-6
  )


def test_views_drop_other_features():
  head = reward_heads.RewardHead(views=0.25, prototypes=7)
  keys = prng.example_keys(0, 0, "loss", np.arange(B))
  params, out = _run(head, keys=keys)
  views, last = np.asarray(out["views"]), _last(_states())
  assert views.shape == (B, K, 2, D)
  kept = views != 0
  np.testing.assert_allclose(
    views[kept],
    (np.broadcast_to(last[:, :, None], views.shape) / 0.75)[kept],
    rtol=1e-6,
  )
  assert 0.5 < kept.mean() < 0.95 and (kept[:, :, 0] != kept[:, :, 1]).any()
  # By the example's own key, whoever is beside it.
  other = head.apply(
    params,
    jax.tree.map(lambda x: x[::-1], _states()),
    jax.tree.map(lambda x: x[::-1], GROUP),
    keys[::-1],
  )
  np.testing.assert_allclose(other["views"][::-1], views, rtol=1e-6)
  assert out["prototypes"].shape == (B, 7, D)
  np.testing.assert_array_equal(out["prototypes"][0], out["prototypes"][2])
  plain = head.apply(params, _states(), GROUP, None)["views"]
  np.testing.assert_array_equal(plain[:, :, 0], plain[:, :, 1])


def test_margins():
  head = reward_heads.RewardHead(num_outputs=2)
  found = {"rewards": jnp.asarray([[[1.0, 3], [0, 0]], [[0, 0], [5, 1]]])}
  pairs = jnp.asarray([[[0, 1]], [[0, 1]]])
  np.testing.assert_array_equal(head.margins(found, pairs), [[2], [-3]])


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("gates", [True, False])
def test_general_preference(normalize, gates):
  head = reward_heads.GeneralPreferenceHead(
    dim=4, prompt_gates=gates, normalize=normalize
  )
  params, out = _run(head)
  weight = np.asarray(params["embedding"]["weight"])
  want = _last(_states()) @ weight.T
  if normalize:
    want = want / np.linalg.norm(want, axis=-1, keepdims=True)
  np.testing.assert_allclose(out["embeddings"], want, atol=1e-5)
  assert ("gates" in out) == gates
  if gates:
    np.testing.assert_allclose(out["gates"].sum(-1), 1, rtol=1e-6)
    logits = _states().prompt_end @ np.asarray(params["gates"]["weight"]).T
    np.testing.assert_allclose(
      out["gates"], jax.nn.softmax(logits, -1), rtol=1e-5
    )
  pairs = jnp.asarray([[[0, 1], [1, 0]]] * B)
  margins = head.margins(out, pairs)
  want = skew.preference_score(
    out["embeddings"][:, 0], out["embeddings"][:, 1], out.get("gates")
  )
  np.testing.assert_allclose(margins[:, 0], want, atol=1e-6)
  np.testing.assert_allclose(margins[:, 0], -margins[:, 1], atol=1e-6)


def test_classifier_and_preference_heads():
  head = reward_heads.PreferenceHeads(num_heads=4, num_classes=3, width=5)
  params, out = _run(head)
  assert out["class_logits"].shape == (B, K, 3)
  scores = np.asarray(out["preference_scores"])
  assert scores.shape == (B, K, 4, 3) and (np.abs(scores) < 1).all()
  # The label changes a score through its embedding alone.
  same = {**params, "labels": jnp.zeros_like(params["labels"])}
  flat = head.apply(same, _states(), GROUP, None)["preference_scores"]
  np.testing.assert_array_equal(flat[..., 0], flat[..., 2])
  assert not np.allclose(scores[..., 0], scores[..., 2])


@pytest.mark.parametrize(
  "make, message",
  [
    (lambda: reward_heads.GeneralPreferenceHead(dim=3), "dim=3"),
    (lambda: reward_heads.RewardHead(num_outputs=0), "num_outputs=0"),
    (lambda: reward_heads.RewardHead(views=1.0), "views=1.0"),
    (lambda: reward_heads.PreferenceHeads(num_classes=1), "num_classes=1"),
  ],
)
def test_what_is_refused(make, message):
  with pytest.raises(ValueError, match=message):
    make()
