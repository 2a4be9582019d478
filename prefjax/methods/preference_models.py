# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Models of preferences that are no single scalar reward."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from prefjax import losses
from prefjax.core import errors, skew, types
from prefjax.methods import adapters, reward_pairs
from prefjax.methods import method as method_lib
from prefjax.methods import objective as objective_lib
from prefjax.models import reward_heads

# --- general preference model -------------------------------------------------

GPM_DEFAULTS: dict[str, Any] = {
  "dim": 6,
  "prompt_gates": True,
  "normalize": True,
  "tau": 0.1,
  "margin": 0.0,
  "sft": 0.0,
}


def gpm(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """Embeddings whose signed area says which response wins; may cycle.

  `sft` = c gives (1 - c) ranking + c cross-entropy of the chosen response.
  """
  settings = reward_pairs.settings_of(name, GPM_DEFAULTS, kwargs)
  share = settings["sft"]
  if not 0 <= share < 1:
    raise errors.ConfigError(f"method.kwargs.sft: {share} is outside [0, 1)")
  try:
    head = reward_heads.GeneralPreferenceHead(
      dim=settings["dim"],
      prompt_gates=settings["prompt_gates"],
      normalize=settings["normalize"],
    )
  except ValueError as error:
    raise errors.ConfigError(f"method.kwargs.dim: {error}") from None

  def method_loss(outputs, batch, method_state, keys):
    del keys
    found = outputs[adapters.POLICY]
    arrays = reward_pairs.pair_arrays(found["embeddings"], batch, "embeddings")
    chosen = arrays["chosen_embeddings"]
    rejected = arrays["rejected_embeddings"]
    valid = arrays["pair_valid"]
    gates = found.get("gates")
    if gates is not None:
      times = valid.shape[0] // gates.shape[0]
      gates = jnp.where(batch.example_weight[:, None] != 0, gates, 0.0)
      gates = jnp.repeat(gates, times, axis=0)
    values = losses.gpm(
      chosen, rejected, gates, settings["margin"], tau=settings["tau"]
    )
    terms = {name: adapters.pairs_to_term(values, valid, batch, 1.0 - share)}
    if share:
      terms["sft"] = reward_pairs.sft_term(outputs, batch, share)
    score = skew.preference_score(chosen, rejected, gates)
    metrics = reward_pairs.metrics(score / 2, -score / 2, arrays, batch)
    return objective_lib.LossResult(terms, method_state, metrics)

  more = ("token_logps",) if share else ()
  return method_lib.Method(
    inputs=("main",),
    needs={adapters.POLICY: ("head", *more)},
    loss=method_loss,
    head=head,
  )


# --- pair preference model ----------------------------------------------------

ORDERS_DEFAULTS: dict[str, Any] = {"temperature": 1.0, "width": 0}


def pair_preference(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """A model that reads both responses at once, in both orders.

  The view 'orders' shows "chosen, rejected" and "rejected, chosen" as the two
  responses; the reward of a text that holds both is the logit of its first
  part being better. Half the difference of the two orders cannot favour a
  place:  P(chosen) = s( (r_cr - r_rc) / 2 ).
  """
  settings = reward_pairs.settings_of(name, ORDERS_DEFAULTS, kwargs)

  def method_loss(outputs, batch, method_state, keys):
    del keys
    rewards = outputs[adapters.POLICY]["rewards"]
    arrays = reward_pairs.pair_arrays(rewards, batch)
    chosen, rejected = arrays["chosen_rewards"], arrays["rejected_rewards"]
    values = losses.bradley_terry(
      chosen / 2, rejected / 2, temperature=settings["temperature"]
    )
    term = adapters.pairs_to_term(values, arrays["pair_valid"], batch)
    metrics = reward_pairs.metrics(chosen / 2, rejected / 2, arrays, batch)
    # What a place is worth by itself: 0 for a model that reads.
    metrics["rewards/first_place"] = types.weighted(
      (chosen + rejected) / 2, reward_pairs.weights_of(arrays, batch)
    )
    return objective_lib.LossResult({name: term}, method_state, metrics)

  return method_lib.Method(
    inputs=("main",),
    needs={adapters.POLICY: ("head",)},
    loss=method_loss,
    record_kind="orders",
    head=reward_heads.RewardHead(width=settings["width"]),
  )


# --- prefer to classify -------------------------------------------------------

P2C_DEFAULTS: dict[str, Any] = {
  "num_heads": 3,
  "num_classes": 2,
  "width": 0,
  **adapters.keyword_defaults(losses.p2c),
}


def p2c(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """A text classifier helped by preferences between texts of one class.

  The two responses of a record are inputs with the class `label`; the chosen
  one shows it more, or none does where `tie` is 1.
  """
  settings = reward_pairs.settings_of(name, P2C_DEFAULTS, kwargs)
  weights = {k: v for k, v in settings.items() if k.startswith("lambda_")}
  for key, value in weights.items():
    if value < 0:
      raise errors.ConfigError(f"method.kwargs.{key}: {value} is negative")
  try:
    head = reward_heads.PreferenceHeads(
      num_heads=settings["num_heads"],
      num_classes=settings["num_classes"],
      width=settings["width"],
    )
  except ValueError as error:
    raise errors.ConfigError(f"method.kwargs: {error}") from None

  def method_loss(outputs, batch, method_state, keys):
    del keys
    found = outputs[adapters.POLICY]
    logits = reward_pairs.pair_arrays(found["class_logits"], batch, "logits")
    scores = reward_pairs.pair_arrays(
      found["preference_scores"], batch, "scores_of"
    )
    valid = logits["pair_valid"]
    times = valid.shape[0] // batch.example_weight.shape[0]
    label = reward_pairs.extra(name, batch, "label", times).astype(jnp.int32)
    tie = reward_pairs.extra(name, batch, "tie", times) > 0.5
    inside = (label >= 0) & (label < head.num_classes)
    index = jnp.where(inside, label, 0)

    def of_label(side):
      values = scores[f"{side}_scores_of"]  # [N, H, C]
      picked = jnp.take_along_axis(values, index[:, None, None], axis=2)
      return picked[..., 0].T  # [H, N]

    preference = jnp.where(tie, 2, 1)
    values = losses.p2c(
      logits["chosen_logits"],
      logits["rejected_logits"],
      index,
      of_label("chosen"),
      of_label("rejected"),
      preference,
      **weights,
    )
    counts = valid & inside
    term = adapters.pairs_to_term(values, counts, batch)
    weight = reward_pairs.weights_of({"pair_valid": counts}, batch)
    metrics = {}
    right = []
    for side in ("chosen", "rejected"):
      guess = jnp.argmax(logits[f"{side}_logits"], axis=-1)
      right.append((guess == index).astype(jnp.float32))
    metrics["class/accuracy"] = types.weighted(sum(right) / 2, weight)
    gap = jnp.mean(of_label("chosen") - of_label("rejected"), axis=0)
    metrics["preference/accuracy"] = types.weighted(gap > 0, weight * ~tie)
    metrics["preference/margin"] = types.weighted(gap, weight * ~tie)
    metrics["labels/unknown"] = types.weighted(~inside, valid)
    return objective_lib.LossResult({name: term}, method_state, metrics)

  return method_lib.Method(
    inputs=("main",),
    needs={adapters.POLICY: ("head",)},
    loss=method_loss,
    extras=("label", "tie"),
    head=head,
  )


# --- attributes ---------------------------------------------------------------

ATTRIBUTES_DEFAULTS: dict[str, Any] = {"attributes": 5, "width": 0}


def attributes(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """Regression of several ratings at the last token.

  `attributes` is how many names data.attributes has. Each rating of the batch
  counts alike.
  """
  settings = reward_pairs.settings_of(name, ATTRIBUTES_DEFAULTS, kwargs)
  number = settings["attributes"]
  if number < 1:
    raise errors.ConfigError(f"method.kwargs.attributes: {number} is below 1")

  def method_loss(outputs, batch, method_state, keys):
    del keys
    group = batch.main
    predictions = outputs[adapters.POLICY]["rewards"]
    if predictions.ndim == 2:
      predictions = predictions[..., None]
    targets, mask = (
      reward_pairs.extra(name, batch, key) for key in ("ratings", "rating_mask")
    )
    if targets.shape[-1] != number:
      raise errors.ConfigError(
        f"method.kwargs.attributes: is {number}, but data.attributes has"
        f" {targets.shape[-1]} names"
      )
    present = jnp.asarray(group.response_mask, bool)
    present = present & (batch.example_weight[:, None] != 0)
    mask = (mask > 0) & present[..., None]  # [B, K, A]
    rows = (-1, number)
    values = losses.attribute_regression(
      predictions.reshape(rows), targets.reshape(rows), mask.reshape(rows)
    ).reshape(present.shape)
    rated = jnp.sum(mask, axis=-1).astype(jnp.float32)  # [B, K]
    total = jnp.sum(rated, axis=-1)
    value = jnp.sum(values * rated, axis=-1) / jnp.maximum(total, 1)
    term = types.Term(
      value=value,
      weight=total * batch.example_weight,
      coefficient=jnp.float32(1.0),
    )
    counted = mask * batch.example_weight[:, None, None]
    error = jnp.where(mask, predictions - targets, 0.0)
    metrics = {
      "attributes/squared_error": types.weighted(jnp.square(error), counted),
      "attributes/absolute_error": types.weighted(jnp.abs(error), counted),
      "attributes/variance_of_ratings": types.weighted(
        jnp.square(_centred(targets, mask)), counted
      ),
    }
    return objective_lib.LossResult({name: term}, method_state, metrics)

  return method_lib.Method(
    inputs=("main",),
    needs={adapters.POLICY: ("head",)},
    loss=method_loss,
    record_kind="rated",
    head=reward_heads.RewardHead(num_outputs=number, width=settings["width"]),
  )


def _centred(targets: jax.Array, mask: jax.Array) -> jax.Array:
  """Ratings less their group's mean: what a constant would get wrong."""
  number = jnp.maximum(jnp.sum(mask, axis=1, keepdims=True), 1)
  kept = jnp.where(mask, targets, 0.0)
  mean = jnp.sum(kept, axis=1, keepdims=True) / number
  return jnp.where(mask, targets - mean, 0.0)


# --- process rewards ----------------------------------------------------------

STEPS_DEFAULTS: dict[str, Any] = {"width": 0, "after_error": "keep"}
_AFTER = ("keep", "drop")


def step_rewards(token_rewards, segments, token_mask, steps: int) -> jax.Array:
  """Rewards at the last token of each step.

  Args:
    token_rewards: [B, R], one at every token.
    segments: int [B, R], step of each token, from 0.
    token_mask: bool [B, R].
    steps: S.

  Returns:
    (rewards [B, S], whether the step has a token [B, S]).
  """
  numbers = jnp.arange(steps)
  inside = segments[:, None, :] == numbers[None, :, None]  # [B, S, R]
  inside = inside & jnp.asarray(token_mask, bool)[:, None, :]
  slots = jnp.arange(token_rewards.shape[-1])
  last = jnp.max(jnp.where(inside, slots, 0), axis=-1)  # [B, S]
  return jnp.take_along_axis(token_rewards, last, axis=1), jnp.any(inside, -1)


def process_reward(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """Whether each step is right, read at the step's last token.

    loss = mean over labelled steps of -log s(+-r)

  `after_error="drop"` leaves out the steps after the first wrong one, whose
  labels say nothing new.
  """
  settings = reward_pairs.settings_of(name, STEPS_DEFAULTS, kwargs)
  reward_pairs.one_of("after_error", settings["after_error"], _AFTER)

  def method_loss(outputs, batch, method_state, keys):
    del keys
    group = batch.main
    if group.segments is None:
      raise errors.DataError(
        f"{name} needs responses in steps; use records with steps"
      )
    labels = jnp.asarray(reward_pairs.extra(name, batch, "step_labels"))
    rewards, exists = step_rewards(
      outputs[adapters.POLICY]["token_rewards"][:, 0],
      jnp.asarray(group.segments)[:, 0],
      group.token_mask[:, 0],
      labels.shape[1],
    )
    live = exists & (batch.example_weight[:, None] != 0)
    known = live & (labels >= 0)
    if settings["after_error"] == "drop":
      wrong = (known & (labels == 0)).astype(jnp.int32)
      known = known & (jnp.cumsum(wrong, axis=1) - wrong == 0)
    rewards = jnp.where(known, rewards, 0.0)
    sign = jnp.where(labels > 0, 1.0, -1.0)
    values = jnp.where(known, -jax.nn.log_sigmoid(sign * rewards), 0.0)
    number = jnp.sum(known, axis=1).astype(jnp.float32)
    term = types.Term(
      value=jnp.sum(values, axis=1) / jnp.maximum(number, 1),
      weight=number * batch.example_weight,
      coefficient=jnp.float32(1.0),
    )
    weight = known * batch.example_weight[:, None]
    right = (rewards > 0) == (labels > 0)
    metrics = {
      "steps/accuracy": types.weighted(right, weight),
      "steps/accuracy_wrong": types.weighted(right, weight * (labels == 0)),
      "steps/share_right": types.weighted(labels > 0, weight),
    }
    return objective_lib.LossResult({name: term}, method_state, metrics)

  return method_lib.Method(
    inputs=("main",),
    needs={adapters.POLICY: ("head",)},
    loss=method_loss,
    record_kind="steps",
    head=reward_heads.RewardHead(tokens=True, width=settings["width"]),
  )
