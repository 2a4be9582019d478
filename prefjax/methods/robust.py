# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Methods on pairs that know something of single records: noise, blindness."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from prefjax import losses
from prefjax.core import errors, types
from prefjax.methods import adapters, diagnostics, several_groups
from prefjax.methods import method as method_lib
from prefjax.methods import objective as objective_lib

FLIP_RATES = ("epsilon", "records")
RDPO_DEFAULTS = {
  **adapters.keyword_defaults(losses.rdpo),
  "flip_rates": "epsilon",
}
_CERTAIN = 0.5  # a label that is wrong as often as right says nothing


def rdpo(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """Robust DPO with one flip rate, or that of each record.

  `flip_rates="records"` takes the field flip_rate of the records in place of
  epsilon; pairs whose rate is 0.5 or more are left out.
  """
  adapters.check_kwargs(name, RDPO_DEFAULTS, kwargs)
  settings = {**RDPO_DEFAULTS, **kwargs}
  how = settings.pop("flip_rates")
  if how not in FLIP_RATES:
    raise errors.ConfigError(
      f"method.kwargs.flip_rates: {how!r} is not one of {', '.join(FLIP_RATES)}"
    )
  if how == "epsilon":
    return adapters.pairwise(name, losses.rdpo, settings)
  beta = float(settings["beta"])
  arguments = adapters.positional_names(losses.rdpo)

  def method_loss(outputs, batch, method_state, keys):
    del keys
    arrays = adapters.pair_arrays(outputs, batch)
    valid = arrays["pair_valid"]
    if "flip_rate" not in batch.extras:
      raise errors.DataError(
        f"{name}: the batch has no extra 'flip_rate'; records need the field"
        " flip_rate, or set method.kwargs.flip_rates=epsilon"
      )
    rates = jnp.where(
      batch.example_weight != 0, batch.extras["flip_rate"], 0.0
    ).astype(jnp.float32)
    m = valid.shape[0] // rates.shape[0]
    rates = jnp.repeat(rates, m)
    usable = rates < _CERTAIN
    values = losses.rdpo(
      *(arrays[a] for a in arguments),
      beta=beta,
      epsilon=jnp.where(usable, rates, 0.0),
    )
    term = adapters.pairs_to_term(values, valid & usable, batch)
    metrics = diagnostics.pair_metrics(
      arrays, batch, diagnostics.RewardScale(beta=beta)
    )
    metrics["flip_rate/mean"] = types.weighted(rates, valid)
    metrics["flip_rate/unusable"] = types.weighted(~usable, valid)
    return objective_lib.LossResult({name: term}, method_state, metrics)

  return method_lib.Method(
    inputs=("main",),
    needs=several_groups.needs(("main",)),
    loss=method_loss,
    extras=("flip_rate",),
  )


def bpo_blind(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """BPO: chosen over rejected, and over what was written without the image.

  The blind response is the third of a group; rows without one have only the
  first part.
  """
  bound, settings = several_groups.bind(name, losses.bpo_blind, kwargs)
  beta, blind_weight = float(settings["beta"]), float(settings["blind_weight"])
  arguments = adapters.positional_names(losses.bpo_blind)

  def method_loss(outputs, batch, method_state, keys):
    del keys
    group = batch.main
    if group.shape[1] != 3 or group.pairs is not None:
      raise errors.DataError(
        f"{name} needs chosen, rejected and blind responses, and some record"
        " with a blind one: write it to the field 'blind' (data.view=blind)"
      )
    arrays = adapters.pair_arrays(outputs, batch)
    counts = batch.example_weight != 0
    present = jnp.asarray(group.response_mask, bool)[:, 2] & counts
    for prefix, role_group in (
      ("", adapters.POLICY),
      ("ref_", adapters.REFERENCE),
    ):
      sums = adapters.sequence_sums(outputs, role_group, group)[:, 2]
      arrays[f"{prefix}blind_logps"] = jnp.where(present, sums, -1.0)
    values = bound(
      *(arrays[a] for a in arguments),
      blind_weight=jnp.where(present, blind_weight, 0.0),
    )
    term = adapters.pairs_to_term(values, arrays["pair_valid"], batch)
    metrics = diagnostics.pair_metrics(
      arrays, batch, diagnostics.RewardScale(beta=beta)
    )
    reward = {
      side: beta * (arrays[f"{side}_logps"] - arrays[f"ref_{side}_logps"])
      for side in ("chosen", "blind")
    }
    margin = reward["chosen"] - reward["blind"]
    weight = batch.example_weight * present
    metrics["rewards/blind"] = types.weighted(reward["blind"], weight)
    metrics["rewards/blind_margins"] = types.weighted(margin, weight)
    metrics["rewards/blind_accuracies"] = types.weighted(margin > 0, weight)
    return objective_lib.LossResult({name: term}, method_state, metrics)

  return method_lib.Method(
    inputs=("main",),
    needs=several_groups.needs(("main",)),
    loss=method_loss,
    record_kind="blind",
  )
