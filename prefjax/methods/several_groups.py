# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Pairwise methods on several groups: joint pairs, rationales, variants."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from prefjax import losses
from prefjax.core import errors, types
from prefjax.methods import adapters, diagnostics
from prefjax.methods import method as method_lib
from prefjax.methods import objective as objective_lib

_SIDES = ("chosen", "rejected")
_ROLES = {"": "policy", "ref_": "reference"}


def bind(
  name: str, loss: Callable[..., jax.Array], kwargs: Mapping[str, Any]
) -> tuple[Callable[..., jax.Array], dict[str, Any]]:
  """(loss with its hyper-parameters, all of them), names checked."""
  defaults = adapters.keyword_defaults(loss)
  adapters.check_kwargs(name, defaults, kwargs)
  return functools.partial(loss, **dict(kwargs)), {**defaults, **kwargs}


def needs(
  groups: Sequence[str], reference: bool = True
) -> dict[method_lib.RoleGroup, tuple[str, ...]]:
  """Token log-probs of some groups, by policy and reference."""
  roles = ("policy", "reference") if reference else ("policy",)
  return {(role, group): ("token_logps",) for role in roles for group in groups}


def single_sums(outputs, batch, name: str) -> dict[str, jax.Array]:
  """{"", "ref_"} -> log-probs [B] of the one response of a group.

  Rows that do not count are filled, whatever they hold.
  """
  group = batch.groups[name]
  counts = jnp.asarray(group.response_mask, bool)[:, 0]
  counts = counts & (batch.example_weight != 0)
  return {
    prefix: jnp.where(
      counts, adapters.sequence_sums(outputs, (role, name), group)[:, 0], -1.0
    )
    for prefix, role in _ROLES.items()
    if (role, name) in outputs
  }


def _pairs_per_example(batch) -> int:
  return batch.main.pair_indices()[1].shape[1]


# --- joint pairs -------------------------------------------------------------


def _joint_side(outputs, batch, side: str) -> dict[str, jax.Array]:
  """Sums of one side [B]: its instruction (segment 0), its answer (1)."""
  group = batch.groups[side]
  if group.segments is None:
    raise errors.DataError(
      f"dove: group {side!r} has no segments; use data.view=joint"
    )
  weights = jnp.asarray(group.token_weights)[:, 0]  # [B, R]
  is_answer = jnp.asarray(group.segments)[:, 0] == 1
  parts = {"prompt_logps": ~is_answer, "logps": is_answer}
  arrays = {}
  for prefix, role in _ROLES.items():
    logps = outputs[role, side]["token_logps"][:, 0]
    for what, kept in parts.items():
      kept = kept & (weights != 0)
      total = jnp.sum(jnp.where(kept, logps, 0.0) * weights, axis=-1)
      arrays[f"{prefix}{side}_{what}"] = total
  counted = jnp.sum(is_answer & (weights != 0), axis=-1)
  arrays[f"{side}_lengths"] = counted.astype(jnp.float32)
  return arrays


def joint_arrays(outputs, batch) -> dict[str, jax.Array]:
  """Every array that `losses.dove` names, [B], and `pair_valid`."""
  arrays, valid = {}, batch.example_weight != 0
  for side in _SIDES:
    arrays.update(_joint_side(outputs, batch, side))
    valid = valid & jnp.asarray(batch.groups[side].response_mask, bool)[:, 0]
  arrays = {
    name: jnp.where(valid, value, 1.0 if name.endswith("lengths") else -1.0)
    for name, value in arrays.items()
  }
  return {**arrays, "pair_valid": valid}


def dove(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """DOVE: (instruction, answer) pairs with any two instructions."""
  bound, settings = bind(name, losses.dove, kwargs)
  beta, share = float(settings["beta"]), float(settings["prompt_weight"])
  arguments = adapters.positional_names(losses.dove)

  def method_loss(outputs, batch, method_state, keys):
    del keys
    arrays = joint_arrays(outputs, batch)
    values = bound(*(arrays[a] for a in arguments))
    term = adapters.pairs_to_term(values, arrays["pair_valid"], batch)
    whole = {
      **arrays,
      **{
        f"{prefix}{side}_logps": arrays[f"{prefix}{side}_logps"]
        + share * arrays[f"{prefix}{side}_prompt_logps"]
        for prefix in _ROLES
        for side in _SIDES
      },
    }
    metrics = diagnostics.pair_metrics(
      whole, batch, diagnostics.RewardScale(beta=beta)
    )
    # The two parts apart: long instructions give large margins.
    weight = batch.example_weight * arrays["pair_valid"]
    for part, what in (("prompt", "prompt_logps"), ("answer", "logps")):
      ratio = {
        side: arrays[f"{side}_{what}"] - arrays[f"ref_{side}_{what}"]
        for side in _SIDES
      }
      margin = beta * (ratio["chosen"] - ratio["rejected"])
      metrics[f"rewards/{part}_margins"] = types.weighted(margin, weight)
    return objective_lib.LossResult({name: term}, method_state, metrics)

  return method_lib.Method(
    inputs=_SIDES,
    needs=needs(_SIDES),
    loss=method_loss,
    record_kind="joint",
  )


# --- rationales --------------------------------------------------------------


def rationale(
  name: str, loss: Callable[..., jax.Array], kwargs: Mapping[str, Any]
) -> method_lib.Method:
  """A pairwise loss that also takes the log-prob of a written reason.

  Args:
    name: the term's name.
    loss: takes arrays of `adapters.pair_arrays`, rationale_logps and
      rationale_lengths, all [B * M].
    kwargs: hyper-parameters.
  """
  bound, settings = bind(name, loss, kwargs)
  arguments = adapters.positional_names(loss)
  uses_reference = any(a.startswith("ref_") for a in arguments)
  scale = diagnostics.RewardScale(
    beta=float(settings["beta"]), per_token=not uses_reference
  )

  def method_loss(outputs, batch, method_state, keys):
    del keys
    m = _pairs_per_example(batch)
    arrays = adapters.pair_arrays(outputs, batch)
    group = batch.groups["rationale"]
    reason = single_sums(outputs, batch, "rationale")[""]
    length = jnp.maximum(group.lengths()[:, 0], 1)
    length = jnp.where(batch.example_weight != 0, length, 1.0)
    named = {
      **arrays,
      "rationale_logps": jnp.repeat(reason, m),
      "rationale_lengths": jnp.repeat(length, m),
    }
    values = bound(*(named[a] for a in arguments))
    term = adapters.pairs_to_term(values, arrays["pair_valid"], batch)
    if not uses_reference:
      arrays = {k: v for k, v in arrays.items() if not k.startswith("ref_")}
    metrics = diagnostics.pair_metrics(arrays, batch, scale)
    metrics["logps/rationale"] = types.weighted(reason, batch.example_weight)
    metrics["nll/rationale"] = types.weighted(
      -reason / length, batch.example_weight
    )
    return objective_lib.LossResult({name: term}, method_state, metrics)

  wanted = needs(("main",), uses_reference)
  wanted["policy", "rationale"] = ("token_logps",)
  return method_lib.Method(
    inputs=("main", "rationale"),
    needs=wanted,
    loss=method_loss,
    record_kind="rationale",
  )


# --- prompts with instructions added -----------------------------------------

MAPL_DEFAULTS = {
  "beta": 0.1,
  "lambda_intra": 1.0,
  "lambda_inter": 1.0,
  "keep_negative": True,
  "stop_gradient_original": False,
}


def _variant_arrays(outputs, batch) -> dict[str, jax.Array]:
  """Log-probs [B] of the pair under the augmented prompt, and of one
  response under a better and a worse prompt."""
  arrays = {}
  group = batch.groups["augmented"]
  for prefix, role in _ROLES.items():
    sums = adapters.sequence_sums(outputs, (role, "augmented"), group)
    for index, side in enumerate(_SIDES):
      arrays[f"{prefix}aug_{side}_logps"] = jnp.where(
        batch.example_weight != 0, sums[:, index], -1.0
      )
  for name in ("better", "worse"):
    for prefix, value in single_sums(outputs, batch, name).items():
      arrays[f"{prefix}{name}_logps"] = value
  return arrays


def _extra(batch, name: str) -> jax.Array:
  """A whole number [B] of a batch's extras, 0 in rows that do not count."""
  if name not in batch.extras:
    raise errors.DataError(
      f"mapl: the batch has no extra {name!r}; use data.view=mapl"
    )
  value = jnp.where(batch.example_weight != 0, batch.extras[name], 0)
  return value.astype(jnp.int32)


def mapl(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """MAPL on a policy: DPO, and what added instructions should change.

    L = dpo + lambda_intra * intra + lambda_inter * inter

  An example without an intra or inter pair counts 0 in that part. With
  `keep_negative` false, pairs that added instructions turn around are left
  out of the inter part.
  """
  adapters.check_kwargs(name, MAPL_DEFAULTS, kwargs)
  settings = {**MAPL_DEFAULTS, **kwargs}
  beta = float(settings["beta"])

  def method_loss(outputs, batch, method_state, keys):
    del keys
    arrays = adapters.pair_arrays(outputs, batch)
    m = _pairs_per_example(batch)
    if m != 1:
      raise errors.DataError(f"mapl: {m} pairs an example, expected one")
    arrays.update(_variant_arrays(outputs, batch))
    direction, has_intra = _extra(batch, "direction"), _extra(batch, "intra")
    if not settings["keep_negative"]:
      direction = jnp.maximum(direction, 0)
    preferred = losses.dpo(
      *(arrays[a] for a in adapters.positional_names(losses.dpo)), beta=beta
    )
    intra = losses.mapl_intra_dpo(
      *(arrays[a] for a in adapters.positional_names(losses.mapl_intra_dpo)),
      beta=beta,
    )
    intra = jnp.where(has_intra > 0, intra, 0.0)
    named = {**arrays, "direction": direction}
    inter = losses.mapl_inter_dpo(
      *(named[a] for a in adapters.positional_names(losses.mapl_inter_dpo)),
      beta=beta,
      stop_gradient_original=bool(settings["stop_gradient_original"]),
    )
    values = (
      preferred
      + settings["lambda_intra"] * intra
      + settings["lambda_inter"] * inter
    )
    term = adapters.pairs_to_term(values, arrays["pair_valid"], batch)
    metrics = diagnostics.pair_metrics(
      arrays, batch, diagnostics.RewardScale(beta=beta)
    )
    weight = batch.example_weight
    metrics["mapl/preferred"] = types.weighted(preferred, weight)
    metrics["mapl/intra"] = types.weighted(intra, weight * (has_intra > 0))
    metrics["mapl/inter"] = types.weighted(inter, weight * (direction != 0))
    return objective_lib.LossResult({name: term}, method_state, metrics)

  groups = ("main", "augmented", "better", "worse")
  return method_lib.Method(
    inputs=groups,
    needs=needs(groups),
    loss=method_loss,
    record_kind="mapl",
  )
