# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reward models on pairs: a head on the decoder, and what it is trained by."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from prefjax import losses
from prefjax.core import errors, prng, types
from prefjax.methods import adapters, reward_pairs
from prefjax.methods import method as method_lib
from prefjax.methods import objective as objective_lib
from prefjax.models import reward_heads

SOURCES = ("number", "records")
BT_DEFAULTS: dict[str, Any] = {
  "temperature": 1.0,
  "margin": 0.0,
  "margins": "number",
  "score_margin": 0.0,
  "smoothing": 0.0,
  "smoothings": "number",
  "flip_rate": 0.0,
  "flip_rates": "number",
  "center": 0.0,
  "sft": 0.0,
  "members": 1,
  "bootstrap": True,
  "width": 0,
}
_CERTAIN = 0.5  # a label that is wrong as often as right says nothing


def _needs(settings: Mapping[str, Any]) -> dict[Any, tuple[str, ...]]:
  more = ("token_logps",) if settings.get("sft") else ()
  return {adapters.POLICY: ("head", *more)}


def _number(name: str, settings, key: str, batch, times: int) -> jax.Array:
  """margin, smoothing or flip_rate [N], of the config or of the records."""
  rows = batch.example_weight.shape[0] * times
  if settings[f"{key}s"] == "records":
    value = reward_pairs.extra(name, batch, key, times)
    return value.astype(jnp.float32)
  return jnp.full((rows,), settings[key], jnp.float32)


def _per_output(values: jax.Array, like: jax.Array) -> jax.Array:
  """[N] as the shape of rewards [N] or [N, M]."""
  return values if like.ndim == 1 else values[:, None]


def ranking(
  name: str, chosen, rejected, settings, arrays, batch
) -> tuple[jax.Array, jax.Array]:
  """(losses like chosen, which pairs count [N]) of Bradley-Terry.

  Args:
    name: of the method.
    chosen: [N], or [N, M] for an ensemble.
    rejected: like chosen.
    settings: of BT_DEFAULTS.
    arrays: of `reward_pairs.pair_arrays`.
    batch: they came from.
  """
  valid = arrays["pair_valid"]
  times = valid.shape[0] // batch.example_weight.shape[0]
  margin = _number(name, settings, "margin", batch, times)
  if settings["score_margin"]:
    gap = reward_pairs.score_gaps(name, arrays)
    margin = margin + settings["score_margin"] * gap
  smoothing = _number(name, settings, "smoothing", batch, times)
  rate = _number(name, settings, "flip_rate", batch, times)
  usable = rate < _CERTAIN
  rate = jnp.where(usable, rate, 0.0)

  def loss(sign):
    return losses.bradley_terry(
      sign * chosen,
      sign * rejected,
      jnp.broadcast_to(_per_output(margin, chosen), chosen.shape),
      jnp.broadcast_to(_per_output(smoothing, chosen), chosen.shape),
      temperature=settings["temperature"],
    )

  value = loss(1.0)
  if settings["flip_rate"] or settings["flip_rates"] == "records":
    value = losses.noise_corrected(
      value,
      loss(-1.0),
      epsilon=jnp.broadcast_to(_per_output(rate, chosen), chosen.shape),
    )
  return value, valid & usable


def _bootstrap(values: jax.Array, batch) -> jax.Array:
  """Losses [N, M] times how often each member drew the example.

  The counts are Poisson(1) and depend on the example alone, so that every
  epoch of a member sees the same resample.
  """
  rows, members = batch.example_weight.shape[0], values.shape[-1]
  keys = prng.example_keys(0, 0, "bootstrap", batch.example_id)
  draw = jax.vmap(lambda key: jax.random.poisson(key, 1.0, (members,)))
  counts = jnp.repeat(draw(keys), values.shape[0] // rows, axis=0)
  return values * counts


def _ranking_terms(name: str, settings, outputs, batch):
  """Terms and metrics of a reward model on pairs."""
  arrays = reward_pairs.pair_arrays(outputs[adapters.POLICY]["rewards"], batch)
  chosen, rejected = arrays["chosen_rewards"], arrays["rejected_rewards"]
  values, valid = ranking(name, chosen, rejected, settings, arrays, batch)
  metrics = {}
  if chosen.ndim == 2:  # an ensemble
    if settings["bootstrap"]:
      values = _bootstrap(values, batch)
    values = jnp.mean(values, axis=-1)
    gap = chosen - rejected
    weight = reward_pairs.weights_of(arrays, batch)
    metrics["rewards/strength_std"] = types.weighted(jnp.std(gap, -1), weight)
    metrics["rewards/agreement"] = types.weighted(jnp.mean(gap > 0, -1), weight)
  terms = {name: adapters.pairs_to_term(values, valid, batch)}
  if settings["center"]:
    level = losses.reward_centering(chosen, rejected)
    level = level if level.ndim == 1 else jnp.mean(level, axis=-1)
    terms["center"] = adapters.pairs_to_term(
      level, arrays["pair_valid"], batch, settings["center"]
    )
  if settings["sft"]:
    terms["sft"] = reward_pairs.sft_term(outputs, batch, settings["sft"])
  mean = [
    x if x.ndim == 1 else jnp.mean(x, axis=-1) for x in (chosen, rejected)
  ]
  return terms, {**reward_pairs.metrics(*mean, arrays, batch), **metrics}


def _check_bt(settings) -> None:
  for key in ("margins", "smoothings", "flip_rates"):
    reward_pairs.one_of(key, settings[key], SOURCES)
  for key, low, high in (
    ("temperature", 1e-9, None),
    ("smoothing", 0, 1),
    ("flip_rate", 0, 0.49999),
    ("center", 0, None),
    ("sft", 0, None),
    ("members", 1, 256),
    ("width", 0, None),
  ):
    value = settings[key]
    if value < low or (high is not None and value > high):
      bound = "" if high is None else f" and at most {high}"
      raise errors.ConfigError(
        f"method.kwargs.{key}: is {value}, not at least {low}{bound}"
      )


def _extras(settings) -> tuple[str, ...]:
  """Fields of records that the hyper-parameters ask for."""
  return tuple(
    key
    for key in ("margin", "smoothing", "flip_rate")
    if settings[f"{key}s"] == "records"
  )


def bradley_terry(
  name: str, kwargs: Mapping[str, Any], *, record_kind: str = "pair"
) -> method_lib.Method:
  """A scalar reward model, or an ensemble of them on one decoder.

  Args:
    name: the term's name.
    kwargs: of BT_DEFAULTS. `margins`, `smoothings` and `flip_rates` say
      whether the number is that of the config or a field of each record;
      `score_margin` times the annotated gap is added to the margin;
      `flip_rate` takes the loss that is unbiased under such flips; `center`,
      `sft` weigh the two auxiliaries; with `members` above 1 each has a head
      of its own and, with `bootstrap`, its own resample of the data.
    record_kind: of the records.
  """
  settings = reward_pairs.settings_of(name, BT_DEFAULTS, kwargs)
  _check_bt(settings)

  def method_loss(outputs, batch, method_state, keys):
    del keys
    terms, metrics = _ranking_terms(name, settings, outputs, batch)
    return objective_lib.LossResult(terms, method_state, metrics)

  return method_lib.Method(
    inputs=("main",),
    needs=_needs(settings),
    loss=method_loss,
    record_kind=record_kind,
    extras=_extras(settings),
    head=reward_heads.RewardHead(
      num_outputs=settings["members"], width=settings["width"]
    ),
  )


# --- contrastive terms --------------------------------------------------------

CONTRASTIVE_DEFAULTS: dict[str, Any] = {
  **{k: v for k, v in BT_DEFAULTS.items() if k not in ("members", "bootstrap")},
  "kind": "simcse",
  "feature": "difference",
  "weight": 0.1,
  "dropout": 0.1,
  "contrastive_temperature": 0.0,
  "prototypes": 32,
  "epsilon": 0.05,
  "iterations": 3,
}
_KINDS = {"simcse": 0.05, "swav": 0.1}  # and their temperatures
_FEATURES = ("difference", "response")


def _features(settings, views, batch):
  """(two views [F, D], which of them are real, example of each)."""
  arrays = reward_pairs.pair_arrays(views, batch, "views")
  chosen, rejected = arrays["chosen_views"], arrays["rejected_views"]
  valid = arrays["pair_valid"]
  if settings["feature"] == "difference":
    both = chosen - rejected
  else:
    both = jnp.stack([chosen, rejected], axis=1)
    both = both.reshape(-1, *both.shape[2:])
    valid = jnp.repeat(valid, 2)
  return both[:, 0], both[:, 1], valid


def contrastive(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """Bradley-Terry with SimCSE or SwAV on two views of the features.

  Views are two draws of dropout on the last state; `feature` is the state of
  each response or the difference of a pair. `contrastive_temperature` 0 is
  the default of the kind (0.05, or 0.1).
  """
  settings = reward_pairs.settings_of(name, CONTRASTIVE_DEFAULTS, kwargs)
  _check_bt({**settings, "members": 1})
  reward_pairs.one_of("kind", settings["kind"], _KINDS)
  reward_pairs.one_of("feature", settings["feature"], _FEATURES)
  if not 0 < settings["dropout"] < 1:
    raise errors.ConfigError(
      f"method.kwargs.dropout: {settings['dropout']} is outside (0, 1)"
    )
  is_swav = settings["kind"] == "swav"
  temperature = settings["contrastive_temperature"] or _KINDS[settings["kind"]]

  def pull(outputs, batch):
    found = outputs[adapters.POLICY]
    first, second, valid = _features(settings, found["views"], batch)
    if is_swav:
      values = losses.swav(
        first,
        second,
        found["prototypes"][0],  # the same in every row
        temperature=temperature,
        epsilon=settings["epsilon"],
        iterations=settings["iterations"],
        mask=valid,
      )
    else:
      values = losses.simcse(first, second, temperature=temperature, mask=valid)
    return adapters.pairs_to_term(values, valid, batch, settings["weight"])

  def method_loss(outputs, batch, method_state, keys):
    del keys
    terms, metrics = _ranking_terms(name, settings, outputs, batch)
    terms[settings["kind"]] = pull(outputs, batch)
    return objective_lib.LossResult(terms, method_state, metrics)

  return method_lib.Method(
    inputs=("main",),
    needs=_needs(settings),
    loss=method_loss,
    coupled=True,
    extras=_extras(settings),
    head=reward_heads.RewardHead(
      width=settings["width"],
      views=settings["dropout"],
      prototypes=settings["prototypes"] if is_swav else 0,
    ),
  )


# --- MetaRM -------------------------------------------------------------------

METARM_DEFAULTS: dict[str, Any] = {**BT_DEFAULTS, "meta_lr": 5e-6}


def _difference(head) -> method_lib.Method:
  """Minus how well all responses of a group are told apart."""

  def method_loss(outputs, batch, method_state, keys):
    del keys
    group = batch.main
    rewards = outputs[adapters.POLICY]["rewards"]
    if rewards.ndim == 3:
      rewards = jnp.mean(rewards, axis=-1)
    kept = jnp.asarray(group.response_mask, bool)
    kept = kept & (batch.example_weight[:, None] != 0)
    value = losses.metarm_difference(rewards, kept)
    enough = jnp.sum(kept, axis=1) > 1
    term = types.Term(
      value=-value,
      weight=batch.example_weight * enough,
      coefficient=jnp.float32(1.0),
    )
    metrics = {"metarm/difference": types.weighted(value, term.weight)}
    return objective_lib.LossResult({"difference": term}, method_state, metrics)

  return method_lib.Method(
    inputs=("main",),
    needs={adapters.POLICY: ("head",)},
    loss=method_loss,
    record_kind="ranked",
    head=head,
  )


def metarm(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """MetaRM: the ranking gradient after a step that tells responses apart.

  All responses of a group serve the meta step, with or without a label; the
  pairs among them are ranked. `meta_lr` times the gradient of
  `losses.metarm_difference` displaces the parameters.
  """
  settings = reward_pairs.settings_of(name, METARM_DEFAULTS, kwargs)
  rate = settings.pop("meta_lr")
  if rate < 0:
    raise errors.ConfigError(f"method.kwargs.meta_lr: {rate} is negative")
  method = bradley_terry(name, settings, record_kind="ranked")
  inner = _difference(method.head)

  def gradient(objective, grad: Callable[..., Any], params):
    descent, before = grad(objective.with_method(inner), params)
    shifted = jax.tree.map(
      lambda p, g: (p - rate * g).astype(p.dtype), params, descent
    )
    gradients, evaluation = grad(objective, shifted)
    metrics = {**evaluation.metrics, **before.metrics}
    return gradients, evaluation._replace(metrics=metrics)

  return dataclasses.replace(method, gradient=gradient)
