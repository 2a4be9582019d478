# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Preference methods on fresh samples: online DPO, XPO, Nash-MD, RAFT."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from prefjax import losses, rl, selection
from prefjax.core import errors, types
from prefjax.methods import adapters, diagnostics, online
from prefjax.methods import method as method_lib
from prefjax.methods import objective as objective_lib

ONLINE_DPO_DEFAULTS = {"beta": 0.1, "loss": "dpo"}
XPO_DEFAULTS = {"beta": 0.1, "alpha": 1e-5}
NASH_MD_DEFAULTS = {"beta": 0.1, "mixture": 0.5, "sharpness": 0.0}
RAFT_DEFAULTS = {"top_k": 1, "min_score": None}


def _statistics(rollouts) -> dict[str, Any]:
  scores = jnp.asarray(rollouts.scores, jnp.float32)
  divergence = jnp.zeros_like(scores)
  if rollouts.ref_logps is not None:
    gap = jnp.asarray(rollouts.logps) - jnp.asarray(rollouts.ref_logps)
    divergence = jnp.sum(jnp.where(rollouts.mask, gap, 0.0), axis=-1)
  return {"scores": scores, "kl": divergence}


def _fields(rollouts) -> dict[str, Any]:
  """What every method gets: the mask as weights, scores, the reference."""
  mask = jnp.asarray(rollouts.mask)
  if rollouts.kept is not None:
    mask = mask & jnp.asarray(rollouts.kept)[:, None, None]
  group = {
    "token_weights": mask.astype(jnp.float32),
    "scores": jnp.asarray(rollouts.scores, jnp.float32),
  }
  if rollouts.ref_logps is not None:
    group["ref_token_logps"] = jnp.asarray(rollouts.ref_logps)
  return group


def _best_and_worst(scores) -> tuple[jax.Array, jax.Array]:
  """(pairs int32 [B, 1, 2] of the best and the worst, valid bool [B, 1])."""
  if scores.shape[1] == 2:
    found = rl.online_pairs(scores)
    pairs = jnp.stack([found["chosen"], found["rejected"]], -1)
    return pairs[:, None], found["valid"][:, None] > 0
  best = jnp.argmax(scores, axis=1)
  worst = jnp.argmin(scores, axis=1)
  pairs = jnp.stack([best, worst], -1).astype(jnp.int32)
  valid = jnp.max(scores, axis=1) > jnp.min(scores, axis=1)
  return pairs[:, None], valid[:, None]


def _pairwise_loss(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """The method on pairs that `loss` names."""
  from prefjax.methods import registry  # it imports the rows

  known = ("dpo", "ipo", "hinge", "simpo", "rdpo", "exo_pair", "nca_pair")
  if name not in known:
    raise errors.ConfigError(
      f"method.kwargs.loss: {name!r} is not one of {', '.join(known)}"
    )
  return registry.get(name, **kwargs)


def online_dpo(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """Fresh responses, the best and the worst of each prompt as a pair.

  With rounds of many prompts, several passes and train.reference_from =
  previous it is iterative DPO.

  Reference:
    Guo et al., "Direct Language Model Alignment from Online AI Feedback",
    arXiv:2402.04792.
  """
  adapters.check_kwargs(name, ONLINE_DPO_DEFAULTS, kwargs)
  settings = {**ONLINE_DPO_DEFAULTS, **kwargs}
  part = _pairwise_loss(settings["loss"], {"beta": settings["beta"]})
  reference = "reference" in part.roles()

  def prepare(rollouts, kl_coef):
    del kl_coef
    group = _fields(rollouts)
    group["pairs"], group["pair_valid"] = _best_and_worst(group["scores"])
    return online.Prepared(group, {}, _statistics(rollouts))

  return method_lib.Method(
    inputs=part.inputs,
    needs=part.needs,
    loss=part.loss,
    coupled=part.coupled,
    record_kind="prompt",
    online=online.Online(prepare=prepare, least=2, uses_reference=reference),
  )


def _sums(outputs, batch):
  """(policy, reference) log-probs of the responses, [B, K] each."""
  group = batch.main
  return tuple(
    adapters.sequence_sums(outputs, role, group)
    for role in (adapters.POLICY, adapters.REFERENCE)
  )


def _against(loss: Any, **how: Any) -> method_lib.Method:
  """One own response against one of another source, with a reference."""

  def prepare(rollouts, kl_coef):
    del kl_coef
    return online.Prepared(_fields(rollouts), {}, _statistics(rollouts))

  return method_lib.Method(
    inputs=("main",),
    needs={
      adapters.POLICY: ("token_logps",),
      adapters.REFERENCE: ("token_logps",),
    },
    loss=loss,
    record_kind="prompt",
    online=online.Online(
      prepare=prepare, samples=2, uses_reference=True, **how
    ),
  )


def xpo(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """XPO: the policy's response against one of the reference."""
  adapters.check_kwargs(name, XPO_DEFAULTS, kwargs)
  settings = {**XPO_DEFAULTS, **kwargs}

  def method_loss(outputs, batch, method_state, keys):
    del keys
    group = batch.main
    policy, reference = _sums(outputs, batch)
    scores = jnp.asarray(group.scores)
    kept = (scores[:, 0] != scores[:, 1]) & (batch.example_weight != 0)
    wins = scores[:, 0] > scores[:, 1]

    def at(values, k):
      return jnp.where(kept, values[:, k], -1.0)

    values = losses.xpo(
      at(policy, 0),
      at(reference, 0),
      at(policy, 1),
      at(reference, 1),
      wins,
      **settings,
    )
    term = types.Term(
      value=jnp.where(kept, values, 0.0),
      weight=batch.example_weight * kept,
      coefficient=jnp.float32(1.0),
    )
    first, second = (jnp.where(wins, a, b) for a, b in ((0, 1), (1, 0)))
    rows = jnp.arange(scores.shape[0])
    arrays = {
      "chosen_logps": policy[rows, first],
      "rejected_logps": policy[rows, second],
      "ref_chosen_logps": reference[rows, first],
      "ref_rejected_logps": reference[rows, second],
      "chosen_lengths": group.lengths()[rows, first],
      "rejected_lengths": group.lengths()[rows, second],
      "pair_valid": kept,
    }
    scale = diagnostics.RewardScale(beta=float(settings["beta"]))
    metrics = diagnostics.pair_metrics(arrays, batch, scale)
    metrics["policy_wins"] = types.weighted(wins, term.weight)
    return objective_lib.LossResult({name: term}, method_state, metrics)

  return _against(method_loss, source="reference")


def nash_md(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """Nash-MD: the policy's response against one of a mixture of models.

  `sharpness` turns scores into the probability of a win, the logistic of
  sharpness times their difference; 0 compares them.
  """
  adapters.check_kwargs(name, NASH_MD_DEFAULTS, kwargs)
  settings = {**NASH_MD_DEFAULTS, **kwargs}
  for key, high in (("mixture", 1.0), ("sharpness", float("inf"))):
    if not 0 <= settings[key] <= high:
      raise errors.ConfigError(
        f"method.kwargs.{key}: {settings[key]} is outside 0 .. {high}"
      )

  def method_loss(outputs, batch, method_state, keys):
    del keys
    group = batch.main
    mask = (jnp.asarray(group.token_weights) > 0) & (
      batch.example_weight[:, None, None] != 0
    )
    gap = jnp.asarray(group.scores)[:, 0] - jnp.asarray(group.scores)[:, 1]
    gap = jnp.where(batch.example_weight != 0, gap, 0.0)
    if settings["sharpness"]:
      win = jax.nn.sigmoid(settings["sharpness"] * gap)
    else:
      win = 0.5 * (1 + jnp.sign(gap))
    own, other = (
      jnp.where(mask, outputs[role]["token_logps"], 0.0)[:, 0]
      for role in (adapters.POLICY, adapters.REFERENCE)
    )
    values = losses.nash_md(own, other, win, mask[:, 0], beta=settings["beta"])
    term = types.Term(
      value=values,
      weight=jnp.asarray(batch.example_weight, jnp.float32),
      coefficient=jnp.float32(1.0),
    )
    metrics = {
      "win_prob": types.weighted(win, term.weight),
      "kl": types.weighted(jnp.sum(own - other, -1), term.weight),
      "logps/chosen": types.weighted(jnp.sum(own, -1), term.weight),
    }
    return objective_lib.LossResult({name: term}, method_state, metrics)

  mixture = float(settings["mixture"])
  return _against(method_loss, source="mixture", mixture=mixture)


def raft(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """Best-of-n distillation: maximum likelihood of the best own responses.

  Reference:
    Dong et al., "RAFT: Reward rAnked FineTuning for Generative Foundation
    Model Alignment", arXiv:2304.06767.
  """
  adapters.check_kwargs(name, RAFT_DEFAULTS, kwargs)
  settings = {**RAFT_DEFAULTS, **kwargs}

  def prepare(rollouts, kl_coef):
    del kl_coef
    group = _fields(rollouts)
    chosen = selection.rejection_select(group["scores"], **settings)
    group["response_mask"] = jnp.asarray(chosen) > 0
    statistics = _statistics(rollouts)
    statistics["selected"] = jnp.asarray(chosen, jnp.float32)
    return online.Prepared(group, {}, statistics)

  def method_loss(outputs, batch, method_state, keys):
    del keys
    group = batch.main
    kept = jnp.asarray(group.response_mask, bool) & (
      batch.example_weight[:, None] != 0
    )
    mask = (jnp.asarray(group.token_weights) > 0) & kept[..., None]
    logps = jnp.where(mask, outputs[adapters.POLICY]["token_logps"], 0.0)
    lengths = jnp.sum(mask, -1).astype(jnp.float32)
    value = -jnp.sum(logps, -1) / jnp.maximum(lengths, 1)  # [B, K]
    total = jnp.sum(lengths, axis=1)
    mean = jnp.sum(value * lengths, axis=1) / jnp.maximum(total, 1)
    term = types.Term(
      value=mean,
      weight=total * batch.example_weight,
      coefficient=jnp.float32(1.0),
    )
    tokens = kept * batch.example_weight[:, None]
    metrics = {
      "nll_loss": types.weighted(mean, term.weight),
      "logps/chosen": types.weighted(jnp.sum(logps, -1), tokens),
      "length/chosen": types.weighted(lengths, tokens),
    }
    return objective_lib.LossResult({name: term}, method_state, metrics)

  return method_lib.Method(
    inputs=("main",),
    needs={adapters.POLICY: ("token_logps",)},
    loss=method_loss,
    record_kind="prompt",
    online=online.Online(prepare=prepare),
  )
