# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a method is given of a language model, on the smallest one."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import lm_support
import numpy as np
import pytest

from prefjax import kernels, methods, models
from prefjax.core import errors, prng, types
from prefjax.methods import language_model
from prefjax.methods import method as method_lib
from prefjax.models import lora

POLICY = ("policy", "main")
SPEC = models.LoraSpec(rank=2, alpha=4.0)
ADAPTED = models.Model(lm_support.CONFIG, lora=SPEC)


def _nothing(outputs, batch, method_state, keys):
  del outputs, keys
  zero = jnp.zeros(batch.example_weight.shape)
  return methods.LossResult({"x": types.Term(zero, zero)}, method_state, {})


def _method(needs, vocab=(), inputs=("main",)):
  return methods.Method(
    inputs=inputs, needs=needs, loss=_nothing, vocab=dict(vocab)
  )


def _keys(batch):
  return prng.example_keys(0, 0, "loss", batch.example_id)


def _outputs(objective, params, frozen, batch):
  run = jax.jit(functools.partial(objective.outputs, method_state={}))
  return run(params, frozen, batch, keys=_keys(batch))


@functools.cache
def _whole_rows():
  """(hidden [B, K, P + R, D], logits) of plain rows, one a response."""
  batch = lm_support.batch("pair")
  group, params = batch.main, lm_support.tree("reward", head=True)["backbone"]
  b, k, p, r = group.shape

  def rows(prompt, response):
    prompt = np.broadcast_to(prompt[:, None], (b, k, p))
    return np.concatenate([prompt, response], -1).reshape(b * k, p + r)

  tokens = rows(group.prompt, group.response)
  mask = rows(group.prompt_mask, group.token_mask)

  @jax.jit
  def run(params):
    hidden = lm_support.MODEL.rows(params, tokens, mask)
    return hidden, lm_support.MODEL.scores(params, hidden)

  shape = b, k, p + r, -1
  return tuple(np.asarray(x).reshape(shape) for x in run(params))


def test_every_output_by_its_name():
  # All but the method's own head, which it would have to bring.
  wanted = tuple(n for n in method_lib.OUTPUTS if n != "head")
  needs = {("reward", "main"): wanted}
  objective = lm_support.objective(_method(needs))
  batch = lm_support.batch("pair")
  params = {"reward": lm_support.tree("reward", head=True)}
  (out,) = _outputs(objective, params, {}, batch).values()
  assert set(out) == set(wanted)
  hidden, logits = _whole_rows()
  group = batch.main
  p = group.shape[2]
  mask = group.token_mask

  def close(found, want, mask):
    np.testing.assert_allclose(
      np.asarray(found)[mask], want[mask], rtol=2e-4, atol=2e-5
    )

  logps = np.asarray(jax.nn.log_softmax(logits[:, :, p - 1 : -1]))
  targets = np.take_along_axis(logps, group.response[..., None], -1)[..., 0]
  close(out["token_logps"], targets, mask)
  assert not np.asarray(out["token_logps"])[~mask].any()
  close(out["entropy"], -np.sum(np.exp(logps) * logps, -1), mask)
  at = hidden[:, :, p:]
  close(out["hidden"], at, mask)
  every = np.ones(8, bool)
  close(out["hidden_prompt_end"], hidden[:, 0, p - 1], every)
  last = mask.sum(-1) - 1  # [B, K]
  end = np.take_along_axis(at, last[..., None, None], 2)[:, :, 0]
  close(out["hidden_response_end"], end, every)
  head = params["reward"]["scalar_head"]
  weight, bias = np.asarray(head["weight"])[0], np.asarray(head["bias"])
  close(out["values"], at @ weight + bias, mask)
  before = hidden[:, :, p - 1 : -1]
  close(out["state_values"], before @ weight + bias, mask)
  close(out["rewards"], end @ weight + bias, every)


def test_a_head_of_several_outputs_keeps_its_axis():
  tree = lm_support.tree("reward", head=True)
  weight = jnp.tile(tree["scalar_head"]["weight"], (3, 1))
  tree = {**tree, "scalar_head": {"weight": weight}}
  objective = lm_support.objective(
    _method({("reward", "main"): ("rewards", "values")})
  )
  shapes = jax.eval_shape(
    lambda b: objective.outputs({"reward": tree}, {}, b, {}, _keys(b)),
    lm_support.batch("pair"),
  )["reward", "main"]
  assert shapes["rewards"].shape == (8, 2, 3)
  assert shapes["values"].shape == (8, 2, 4, 3)


def test_whole_vocabulary_quantities():
  need = methods.VocabNeed(
    streams=(POLICY, ("teacher", "main")),
    integrand=kernels.integrands.forward_kl,
    stopped=(1,),
    targets=True,
  )
  method = _method({}, {"kl": need})
  objective = lm_support.objective(method)
  batch = lm_support.batch("pair")
  trees = {name: lm_support.tree(name) for name in ("policy", "teacher")}

  def logps(tree):
    hidden = lm_support.MODEL.hidden(tree, batch.main).predict
    return jax.nn.log_softmax(lm_support.MODEL.scores(tree, hidden))

  def tiled(trees):
    out = objective.outputs(trees, {}, batch, {}, None)["vocab", "kl"]
    return jnp.sum(out["total"]), out

  def dense(trees):
    policy = logps(trees["policy"])
    teacher = jax.lax.stop_gradient(logps(trees["teacher"]))
    kl = jnp.sum(jnp.exp(teacher) * (teacher - policy), -1)
    targets = [
      jnp.take_along_axis(x, batch.main.response[..., None], -1)[..., 0]
      for x in (policy, teacher)
    ]
    return jnp.sum(jnp.where(batch.main.token_mask, kl, 0.0)), (kl, targets)

  (_, out), grads = jax.jit(jax.value_and_grad(tiled, has_aux=True))(trees)
  (_, (kl, targets)), want = jax.jit(jax.value_and_grad(dense, has_aux=True))(
    trees
  )
  mask = batch.main.token_mask
  np.testing.assert_allclose(out["total"][mask], kl[mask], rtol=1e-4, atol=1e-6)
  for found, target in zip(out["logps"], targets, strict=True):
    np.testing.assert_allclose(found[mask], target[mask], rtol=1e-4, atol=1e-5)
  assert out["at_target"].shape == mask.shape
  assert lm_support.norm(grads["teacher"]) == 0
  assert lm_support.gap(want["policy"], grads["policy"]) < 1e-5


@functools.cache
def _dpo(**options):
  return lm_support.objective(methods.get("dpo", beta=1.0), **options)


@functools.cache
def _step_of(objective):
  """(params, frozen, batch) -> (loss, gradient), compiled once."""

  @jax.jit
  def run(params, frozen, batch):
    def loss(params):
      result = objective.loss(params, frozen, batch, {}, _keys(batch))
      (term,) = result.terms.values()
      return jnp.sum(term.value * term.weight) / jnp.sum(term.weight)

    return jax.value_and_grad(loss)(params)

  return run


def _live():
  start = lm_support.start(methods.get("dpo"))
  batch = lm_support.batch("pair")
  return start, batch, *_step_of(_dpo())(start.params, start.frozen, batch)


def test_both_layouts():
  start, batch, loss, grads = _live()
  concat = _dpo(compute=methods.Compute(layout="concat"))
  other_loss, other = _step_of(concat)(start.params, start.frozen, batch)
  np.testing.assert_allclose(other_loss, loss, rtol=1e-5)
  assert lm_support.gap(grads, other) < 1e-5


def test_rematerialisation_changes_nothing():
  start, batch, loss, grads = _live()
  full = _dpo(compute=methods.Compute(remat="full"))
  other_loss, other = _step_of(full)(start.params, start.frozen, batch)
  np.testing.assert_allclose(other_loss, loss, rtol=1e-6)
  assert lm_support.gap(grads, other) < 1e-6


def test_stored_reference_log_probs_are_the_live_ones():
  start, batch, loss, grads = _live()
  stored = jax.jit(
    lambda p: methods.token_logps_of(lm_support.MODEL, p, batch.main)
  )(start.frozen["reference"])
  main = dataclasses.replace(batch.main, ref_token_logps=np.asarray(stored))
  batch = dataclasses.replace(batch, groups={"main": main})
  objective = _dpo(reference="precomputed")
  # No frozen weights are needed.
  other_loss, other = _step_of(objective)(start.params, {}, batch)
  np.testing.assert_allclose(other_loss, loss, rtol=1e-6)
  assert lm_support.gap(grads, other) < 1e-6


# --- adapters -----------------------------------------------------------------


@functools.cache
def _adapter(noise: float):
  fresh = lora.init(jax.random.key(1), lm_support.CONFIG, SPEC)
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda x: x + jnp.float32(noise * rng.normal(size=x.shape)), fresh
  )


def test_with_an_adapter_the_reference_is_the_base_model():
  base = {"base": lm_support.tree("policy")}
  batch = lm_support.batch("pair")
  objective = _dpo(model=ADAPTED)
  run = _step_of(objective)
  loss, grads = run({"policy": _adapter(0.0)}, base, batch)
  np.testing.assert_allclose(loss, np.log(2), rtol=1e-6)
  assert lm_support.norm(grads) > 1e-3
  # Moved, it is DPO of the merged weights against the base.
  adapter = _adapter(0.3)
  loss, _ = run({"policy": adapter}, base, batch)
  merged = lora.merge(base["base"], adapter, SPEC)
  want, _ = _step_of(_dpo())(
    {"policy": merged}, {"reference": base["base"]}, batch
  )
  assert abs(float(want) - np.log(2)) > 1e-3
  np.testing.assert_allclose(loss, want, rtol=1e-5)


def test_dropout_belongs_to_the_example():
  spec = models.LoraSpec(rank=2, alpha=4.0, dropout=0.5)
  model = models.Model(lm_support.CONFIG, lora=spec)
  objective = lm_support.objective(
    _method({POLICY: ("token_logps",)}), model=model
  )
  base = {"base": lm_support.tree("policy")}
  ids = np.arange(8)
  run = jax.jit(functools.partial(objective.outputs, method_state={}))

  def logps(ids, step=0):
    batch = lm_support.batch("pair", ids)
    keys = prng.example_keys(0, step, "loss", batch.example_id)
    params = {"policy": _adapter(0.3)}
    return np.asarray(
      run(params, base, batch, keys=keys)[POLICY]["token_logps"]
    )

  first, turned = logps(ids), logps(ids[::-1])
  np.testing.assert_allclose(turned[::-1], first, rtol=1e-5, atol=1e-6)
  assert np.abs(first - logps(ids, step=1)).max() > 1e-2


# --- roles --------------------------------------------------------------------


def test_a_role_may_have_another_decoder():
  wide = models.Model(
    dataclasses.replace(lm_support.CONFIG, hidden_size=12, num_layers=2)
  )
  teacher = wide.init(jax.random.key(3))
  needs = {POLICY: ("token_logps",), ("teacher", "main"): ("token_logps",)}
  objective = lm_support.objective(_method(needs), models={"teacher": wide})
  batch = lm_support.batch("pair")
  policy = {"policy": lm_support.tree("policy")}
  out = _outputs(objective, policy, {"teacher": teacher}, batch)
  want = jax.jit(lambda p: methods.token_logps_of(wide, p, batch.main))(teacher)
  np.testing.assert_allclose(
    out["teacher", "main"]["token_logps"], want, rtol=1e-5
  )
  ours = out[POLICY]["token_logps"]
  assert np.abs(ours - want).max() > 0.1


def test_two_groups_are_told_apart():
  objective = lm_support.objective(
    _method(
      {("policy", name): ("token_logps",) for name in ("main", "other")},
      inputs=("main", "other"),
    )
  )
  batch = lm_support.batch("pair", inputs=("main", "other"))
  params = {"policy": lm_support.tree("policy")}
  out = _outputs(objective, params, {}, batch)
  swapped = dataclasses.replace(
    batch,
    groups={"main": batch.groups["other"], "other": batch.groups["main"]},
  )
  turned = _outputs(objective, params, {}, swapped)
  for name, other in (("main", "other"), ("other", "main")):
    found = out["policy", name]["token_logps"]
    np.testing.assert_array_equal(found, turned["policy", other]["token_logps"])
    assert (np.asarray(found) != 0).sum() == batch.groups[name].token_mask.sum()


def test_a_reference_that_follows_the_policy():
  objective = _dpo(reference_mix=0.25, reference_every=3)
  assert objective.moving == ("reference",)
  start = lm_support.start(methods.get("dpo"))
  frozen = {**start.frozen, "other": jnp.float32(7.0)}
  move = jax.jit(objective.update_frozen)
  stays = move(start.params, frozen, jnp.int32(2))
  assert lm_support.gap(frozen, stays) == 0
  moved = move(start.params, frozen, jnp.int32(3))
  want = jax.tree.map(
    lambda r, p: 0.75 * np.float64(r) + 0.25 * np.float64(p),
    start.frozen["reference"],
    start.params["policy"],
  )
  assert lm_support.gap(want, moved["reference"]) < 1e-6
  assert float(moved["other"]) == 7
  whole = _dpo(reference_mix=1.0).update_frozen(
    start.params, frozen, jnp.int32(1)
  )
  assert lm_support.gap(start.params["policy"], whole["reference"]) == 0
  assert _dpo().moving == ()
  assert _dpo().update_frozen(start.params, frozen, 1) is frozen


# --- what is refused ----------------------------------------------------------


def _run(needs, params=None, frozen=None, batch=None, inputs=("main",), **how):
  objective = lm_support.objective(_method(needs, inputs=inputs), **how)
  params = {"policy": lm_support.tree("policy")} if params is None else params
  batch = batch or lm_support.batch("pair")
  jax.eval_shape(
    lambda b: objective.outputs(params, frozen or {}, b, {}, _keys(b)), batch
  )


@pytest.mark.parametrize(
  "message, needs, options",
  [
    (
      "the method needs the group 'other'; the batch has main: set data.view",
      {("policy", "other"): ("token_logps",)},
      dict(inputs=("main", "other")),
    ),
    (
      "needs the role 'teacher'; trained roles are policy, frozen ones none",
      {("teacher", "main"): ("token_logps",)},
      {},
    ),
    (
      "'rewards', but the role has no head",
      {POLICY: ("rewards",)},
      {},
    ),
    (
      "group 'main' has no ref_token_logps; precompute",
      {("reference", "main"): ("token_logps",)},
      dict(reference="precomputed"),
    ),
    (
      "wants more than stored log-probs: set train.reference=live",
      {("reference", "main"): ("token_logps", "entropy")},
      dict(reference="precomputed"),
    ),
  ],
)
def test_what_a_method_may_lack(message, needs, options):
  with pytest.raises(errors.ConfigError, match=message) as caught:
    _run(needs, **options)
  assert "\n" not in str(caught.value)


def test_settings_that_are_refused():
  with pytest.raises(ValueError, match="reference='lively' is not one of live"):
    _dpo(reference="lively")
  for options in (dict(reference="precomputed"), dict(model=ADAPTED)):
    with pytest.raises(errors.ConfigError, match="train.reference_mix"):
      _dpo(reference_mix=0.5, **options)


def test_trees_with_and_without_a_head():
  plain, headed = lm_support.tree("policy"), lm_support.tree("x", head=True)
  assert language_model.split_role(plain) == (plain, None)
  weights, head = language_model.split_role(headed)
  assert weights is headed["backbone"] and head is headed["scalar_head"]
