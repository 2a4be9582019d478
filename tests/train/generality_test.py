# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Five objectives beyond pairs of texts, through one trainer that knows none.

Same step, same accumulation, same devices, same checkpoints: a diffusion
model, a recommender, a method of two groups, one with two teachers over the
whole vocabulary, and one with a gradient of its own.
"""

import functools
import os
import pathlib
import re
import signal

import jax
import jax.numpy as jnp
import lm_support
import numpy as np
import pytest
from objectives import (
  diffusion,
  history_effect,
  meta_reward,
  recommender,
  teachers,
)

from prefjax import checkpoint, losses, models
from prefjax.core import prng
from prefjax.train import fit, gradient, optim, state
from prefjax.train import mesh as mesh_lib
from prefjax.train import step as step_lib

FIXTURES = {
  "diffusion": diffusion,
  "recommender": recommender,
  "history_effect": history_effect,
  "teachers": teachers,
  "meta_reward": meta_reward,
}
names = pytest.mark.parametrize("name", FIXTURES)


@functools.cache
def _objective(name):
  return FIXTURES[name].objective()


@functools.cache
def _one_device():
  return mesh_lib.make_mesh(data=1, devices=jax.devices()[:1])


def _sgd(name, mesh=None, **options):
  """Parameters after three steps of gradient descent."""
  state = fit.fit(
    _objective(name),
    FIXTURES[name].batch,
    optim.make_optimizer("sgd", b1=0),
    0.1,
    3,
    mesh=mesh or _one_device(),
    **options,
  )
  assert int(state.step) == 3
  return jax.device_get(state.params)


@functools.cache
def _after_three(name):
  return _sgd(name)


def _check(name, found):
  start = _objective(name).init(jax.random.key(0)).params
  moved = lm_support.gap(start, _after_three(name))
  assert moved > 1e-4
  # The steps agree to 1e-5 of their own length.
  assert lm_support.gap(_after_three(name), found) < 1e-5 * moved


@names
def test_micro_batches(name):
  _check(name, _sgd(name, micro_batches=4))


@names
def test_eight_devices(name):
  mesh = mesh_lib.make_mesh(data=2, fsdp=2, tensor=2)
  _check(name, _sgd(name, mesh, micro_batches=2))


@names
def test_pmap(name):
  mesh = mesh_lib.make_mesh(data=8)
  _check(name, _sgd(name, mesh, parallel="pmap"))


def test_draws_belong_to_examples_and_not_to_places():
  tx = optim.make_optimizer("sgd", b1=0)
  step = jax.jit(step_lib.make_train_step(_objective("diffusion"), tx, 0.1))
  start = state.create(_objective("diffusion"), tx, 0)
  batch = diffusion.batch(0)
  order = [5, 2, 7, 0, 1, 6, 3, 4]
  turned = {name: value[np.array(order)] for name, value in batch.items()}
  (one, _), (other, _) = step(start, batch), step(start, turned)
  moved = lm_support.gap(start.params, one.params)
  assert lm_support.gap(one.params, other.params) < 1e-5 * moved
  renamed = {**batch, "example_id": batch["example_id"] + 1}
  another = step(start, renamed)[0].params
  assert lm_support.gap(one.params, another) > 1e-2 * moved


class _Stopping:
  """A source whose process is told to stop while a batch is made."""

  def __init__(self, batch, at):
    self._batch, self._at = batch, at

  def batch(self, step):
    if step == self._at:
      os.kill(os.getpid(), signal.SIGTERM)
    return self._batch(step)


def _adamw(name, source, workdir):
  return fit.fit(
    _objective(name),
    source,
    optim.make_optimizer("adamw", weight_decay=0.1),
    optim.make_schedule("cosine", 0.01, total_steps=6, warmup_steps=2),
    6,
    workdir=workdir,
    seed=5,
    mesh=_one_device(),
    save_every=2,
  )


@names
def test_stop_and_resume(name, tmp_path):
  module = FIXTURES[name]
  whole = _adamw(name, module.batch, tmp_path / "whole")
  stopped = _adamw(name, _Stopping(module.batch, 2), tmp_path / "cut")
  assert int(stopped.step) == 3
  resumed = _adamw(name, module.batch, tmp_path / "cut")
  assert int(resumed.step) == 6
  assert checkpoint.state_sha256(resumed) == checkpoint.state_sha256(whole)
  files = [tmp_path / part / "metrics.jsonl" for part in ("whole", "cut")]
  rows = [[_number_of(r) for r in f.read_text().splitlines()] for f in files]
  assert rows[0] == rows[1] == list(range(1, 7))


def _number_of(row: str) -> int:
  return int(re.search(r'"step": (\d+)', row)[1])


def test_the_trainer_names_none_of_them():
  wanted = re.compile(
    r"diffusion|denois|recommend|bpr|nextquill|history|adpa|metarm|dpo|kto",
    re.IGNORECASE,
  )
  root = pathlib.Path(fit.__file__).parent
  found = [
    f"{path.name}:{number}: {line}"
    for path in sorted(root.glob("*.py"))
    for number, line in enumerate(path.read_text().splitlines(), 1)
    # A module's introduction may say what it is good for.
    if wanted.search(line) and path.name != "fit.py"
  ]
  assert not found, "\n".join(found)
  code = (root / "fit.py").read_text().split('"""', 2)[2]
  assert not wanted.search(code)


# --- each is what its paper says ----------------------------------------------


def _gradient(name):
  """(gradients, loss) of step 0, eight rows at once, and what it is of."""
  objective = _objective(name)
  start = objective.init(jax.random.key(0))
  batch = FIXTURES[name].batch(0)
  ids = (batch if isinstance(batch, dict) else vars(batch))["example_id"]
  keys = prng.example_keys(0, 0, "loss", ids)

  @jax.jit
  def run(params):
    def grad(objective, params):
      return gradient.evaluate(
        objective, params, start.frozen, batch, {}, keys, gradient.Cut(2)
      )

    grads, evaluation = objective.gradient(grad, params)
    return grads, evaluation.loss

  return start, batch, keys, *run(start.params)


def _weighted_mean(values, batch):
  weight = np.asarray(batch.example_weight)
  return jnp.sum(values * weight) / weight.sum()


def _compare(function, params, grads, loss):
  want_loss, want = jax.jit(jax.value_and_grad(function))(params)
  np.testing.assert_allclose(loss, want_loss, rtol=1e-5)
  assert lm_support.norm(want) > 1e-3
  assert lm_support.gap(want, grads) < 1e-5


def test_the_diffusion_pair_against_numpy():
  start, batch, keys, _, loss = _gradient("diffusion")
  times, noise = map(np.asarray, diffusion.draws(keys))
  assert len(set(times.tolist())) > 1
  kept = np.cos(0.5 * np.pi * (times + 0.5) / diffusion.STEPS)[:, None] ** 2
  w = jax.tree.map(lambda x: np.asarray(x, np.float64), start.params["policy"])
  w["out"]["kernel"] = w["out"]["kernel"] + 0.0
  # The policy is still the reference, so the loss is log 2 whatever it sees.
  np.testing.assert_allclose(loss, np.log(2), rtol=1e-6)
  shifted = jax.tree.map(lambda x: x + 0.1, start.params["policy"])
  result = diffusion.objective().loss(
    {"policy": shifted}, start.frozen, batch, {}, keys
  )

  def error(weights, x):
    seen = np.sqrt(kept) * x + np.sqrt(1 - kept) * noise
    time = np.stack([np.sin(times), np.cos(times)], -1)
    hidden = np.tanh(
      np.concatenate([seen, time], -1) @ weights["in"]["kernel"]
      + weights["in"]["bias"]
    )
    return np.sum((hidden @ weights["out"]["kernel"] - noise) ** 2, -1)

  new = jax.tree.map(np.asarray, shifted)
  gain = {
    side: error(new, batch[side]) - error(w, batch[side])
    for side in ("chosen", "rejected")
  }
  margin = -diffusion.BETA * (gain["chosen"] - gain["rejected"])
  np.testing.assert_allclose(
    result.terms["diffusion"].value, np.log1p(np.exp(-margin)), rtol=2e-5
  )


def test_the_recommender_learns_who_likes_what():
  found = fit.fit(
    recommender.objective(),
    recommender.batch,
    optim.make_optimizer("adamw"),
    0.05,
    150,
    mesh=_one_device(),
  )
  users = found.params["users"]["table"]
  items = found.params["items"]["table"]
  scores = np.asarray(users @ items.T)
  likes = (np.arange(recommender.USERS)[:, None] - np.arange(24)[None]) % 2 == 0
  best = scores[likes].mean() - scores[~likes].mean()
  assert best > 1
  ranked = scores[likes].reshape(16, 12, 1) > scores[~likes].reshape(16, 1, 12)
  assert ranked.mean() > 0.95


def _row_logits(params, group):
  """[B, R, V], the logits that predict the tokens of the only response."""
  hidden = lm_support.MODEL.hidden(params, group)
  return lm_support.MODEL.scores(params, hidden.predict)[:, 0]


def test_the_history_effect_against_whole_logits():
  start, batch, _, grads, loss = _gradient("history_effect")

  def whole(params):
    logits = [
      _row_logits(params["policy"], batch.groups[name])
      for name in history_effect.GROUPS
    ]
    group = batch.groups["with_history"]
    values = losses.nextquill(
      *logits, group.response[:, 0], group.token_mask[:, 0]
    )
    return _weighted_mean(values, batch)

  _compare(whole, start.params, grads, loss)


def test_the_teachers_against_whole_logits():
  start, batch, _, grads, loss = _gradient("teachers")
  own = batch.groups[teachers.OWN]

  def whole(params):
    policy = params["policy"]
    logps = jax.nn.log_softmax(_row_logits(policy, batch.main))
    chosen = jnp.take_along_axis(
      logps, batch.main.response[:, 0, :, None], axis=-1
    )[..., 0]
    values = losses.adpa_objective(
      chosen,
      batch.main.token_mask[:, 0],
      _row_logits(policy, own),
      _row_logits(start.frozen["teacher"], own),
      _row_logits(start.frozen["unaligned"], own),
      own.token_mask[:, 0],
    )
    return _weighted_mean(values, batch)

  _compare(whole, start.params, grads, loss)


def test_the_meta_step_against_its_definition():
  start, batch, _, grads, loss = _gradient("meta_reward")
  objective = _objective("meta_reward")

  def mean(which, params):
    result = which.loss(params, {}, batch, {}, None)
    (term,) = result.terms.values()
    return _weighted_mean(term.value, batch)

  @jax.jit
  def definition(params):
    return losses.metarm_gradient(
      lambda p: -mean(objective.inner, p),
      lambda p: mean(objective, p),
      params,
      meta_lr=meta_reward.META_RATE,
    )

  want_loss, want = definition(start.params)
  np.testing.assert_allclose(loss, want_loss, rtol=1e-5)
  assert lm_support.gap(want, grads) < 1e-5
  plain = jax.jit(jax.grad(lambda p: mean(objective, p)))(start.params)
  assert lm_support.gap(plain, grads) > 1e-2


def test_logits_are_those_of_the_model():
  """The yardstick of the tests above: plain rows without the two layouts."""
  group = teachers.batch(0).main
  params = lm_support.tree("policy")
  n = int(group.prompt_mask[0].sum())
  m = int(group.token_mask[0, 0].sum())
  row = np.concatenate([group.prompt[0, -n:], group.response[0, 0, :m]])[None]
  want = models.logits(lm_support.MODEL, params, row)[0, n - 1 : n + m - 1]
  found = _row_logits(params, group)[0, :m]
  np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)
