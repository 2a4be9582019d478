# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Learning from own samples as one program."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefjax import models
from prefjax.core import errors
from prefjax.experiments import arrays, online_lab, online_rounds

_EOS = 7


@functools.cache
def _lab():
  config = models.preset(
    "tiny",
    hidden_size=16,
    intermediate_size=32,
    num_layers=1,
    num_heads=2,
    num_kv_heads=2,
    head_dim=8,
    query_scale=8**-0.5,
    vocab_size=8,
    eos_id=_EOS,
    max_positions=16,
  )
  lab = online_lab.OnlineLab(models.Model(config), eos_id=_EOS, response=3)
  return lab, jax.jit(lab.model.init)(jax.random.key(0))


def _tasks(number=12):
  """A prompt of two tokens; its fact is the first of them."""
  rng = np.random.default_rng(0)
  prompt = rng.integers(0, 6, (number, 2)).astype(np.int32)
  return arrays.Tasks(prompt, np.ones(prompt.shape, bool), prompt[:, 0])


def _says_it(frozen, group, tasks):
  """1 where the response begins with the prompt's first token."""
  del frozen
  same = group.response[..., 0] == tasks.facts[:, None]
  return same.astype(jnp.float32)


def _plan(**changes):
  settings = dict(rounds=2, prompts=8, samples=4, learning_rate=3e-3)
  return online_rounds.Plan(**{**settings, **changes})


@pytest.mark.slow
def test_it_learns_what_is_rewarded():
  lab, start = _lab()
  kept = jax.tree.map(np.asarray, start)
  tasks = _tasks()
  policy, rows = lab.train(
    start,
    "rloo",
    tasks,
    _says_it,
    plan=_plan(rounds=60, samples=8, learning_rate=1e-2),
    seed=3,
    watch=lambda w: {"score": float(lab.score(w, tasks, _says_it).mean())},
    every=30,
  )
  assert [row["round"] for row in rows] == list(range(61))
  assert rows[-1]["samples"] == 60 * 8 * 8
  scores = [row["score"] for row in rows if "score" in row]
  assert len(scores) == 3
  assert scores[-1] > scores[0] + 0.3 and scores[-1] > 0.6
  assert max(row.get("sampler_gap", 0.0) for row in rows) < 1e-5
  assert lab.score(policy, tasks, _says_it).mean() == scores[-1]
  jax.tree.map(np.testing.assert_array_equal, kept, start)  # left as it was


@pytest.mark.slow
@pytest.mark.parametrize(
  "name",
  [
    *("cispo", "dapo", "dr_grpo", "grpo", "gspo", "ppo", "raft"),
    *("reinforce_pp", "remax", "online_dpo"),
  ],
)
def test_every_method_of_the_family_takes_rounds(name):
  lab, start = _lab()
  plan = _plan(pieces=2, epochs=2)
  again = [
    lab.train(start, name, _tasks(), _says_it, plan=plan, seed=1)[0]
    for _ in range(2)
  ]
  jax.tree.map(np.testing.assert_array_equal, *again)
  moved = jax.tree.map(lambda a, b: jnp.max(jnp.abs(a - b)), again[0], start)
  assert max(jax.tree.leaves(moved)) > 1e-4


def test_orders_pass_over_all_rows():
  rows = arrays.orders(3, "tag", 10, 4, 5)
  assert rows.shape == (5, 4)
  for first in (0, 2):
    assert len(np.unique(rows[first : first + 2])) == 8
  assert (rows == arrays.orders(3, "tag", 10, 4, 5)).all()
  assert (rows != arrays.orders(4, "tag", 10, 4, 5)).any()
  with pytest.raises(errors.ConfigError, match="3 rows are too few for 4"):
    arrays.orders(0, "tag", 3, 4, 1)


def test_methods_that_sample_from_others_are_refused():
  lab, start = _lab()
  with pytest.raises(errors.ConfigError, match="xpo: .*policy alone"):
    lab.train(start, "xpo", _tasks(), _says_it, plan=_plan(), seed=0)


def test_a_price_needs_a_method_that_has_one():
  lab, start = _lab()
  with pytest.raises(errors.ConfigError, match="grpo: .*no price"):
    lab.train(
      start, "grpo", _tasks(), _says_it, plan=_plan(), seed=0, price=0.1
    )


@pytest.mark.slow
def test_prices_share_a_program_and_hold_the_policy_back():
  lab, start = _lab()

  def kl(**how):
    rows = lab.train(
      start,
      "rloo",
      _tasks(),
      _says_it,
      plan=_plan(rounds=40, learning_rate=1e-2),
      seed=1,
      **how,
    )[1]
    return rows[-1]["kl"]

  cheap, dear = kl(price=0.0), kl(price=1.0)
  assert cheap > 0.2 and cheap > 3 * dear
  assert dear == pytest.approx(kl(kwargs={"kl_in_reward": 1.0}), abs=1e-6)
