# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Methods with running statistics over the whole batch: BCO and beta-DPO.

They couple the examples of a batch, so the trainer gives them the outputs of
all micro-batches and devices at once; their statistics are trainer state.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from prefjax import losses
from prefjax.core import prng, types
from prefjax.methods import adapters, diagnostics, unpaired
from prefjax.methods import method as method_lib
from prefjax.methods import objective as objective_lib


def _mean_state(key) -> dict[str, jax.Array]:
  del key
  return {"mean": jnp.float32(0.0), "count": jnp.float32(0.0)}


def _both() -> dict[method_lib.RoleGroup, tuple[str, ...]]:
  return {
    adapters.POLICY: ("token_logps",),
    adapters.REFERENCE: ("token_logps",),
  }


def _without(loss, *names: str) -> dict[str, Any]:
  """Defaults of a loss less those that the method fills itself."""
  defaults = adapters.keyword_defaults(loss)
  return {k: v for k, v in defaults.items() if k not in names}


def _shown(value) -> types.WeightedSum:
  return types.WeightedSum(total=value, weight=jnp.float32(1.0))


BCO_DEFAULTS = _without(losses.bco_pair, "delta")
BCO_UNPAIRED_DEFAULTS = _without(losses.bco_unpaired, "delta")
BETA_DPO_DEFAULTS = {
  **_without(losses.beta_dpo, "margin_mean"),
  "drop": 0.2,
  "decay": 0.9,
}


def bco_pair(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """BCO on pairs; delta is the mean of all implicit rewards so far."""
  adapters.check_kwargs(name, BCO_DEFAULTS, kwargs)
  beta = float({**BCO_DEFAULTS, **kwargs}["beta"])

  def method_loss(outputs, batch, method_state, keys):
    del keys
    arrays = adapters.pair_arrays(outputs, batch)
    valid = arrays["pair_valid"]
    rewards = jnp.stack(
      [
        beta * (arrays[f"{side}_logps"] - arrays[f"ref_{side}_logps"])
        for side in ("chosen", "rejected")
      ]
    )
    # Updated before use, as published.
    state = losses.running_mean_update(
      method_state["mean"],
      method_state["count"],
      rewards,
      jnp.broadcast_to(valid, rewards.shape),
    )
    values = losses.bco_pair(
      arrays["chosen_logps"],
      arrays["rejected_logps"],
      arrays["ref_chosen_logps"],
      arrays["ref_rejected_logps"],
      beta=beta,
      delta=state["mean"],
    )
    term = adapters.pairs_to_term(values, valid, batch)
    metrics = diagnostics.pair_metrics(
      arrays, batch, diagnostics.RewardScale(beta=beta)
    )
    metrics["bco/delta"] = _shown(state["mean"])
    return objective_lib.LossResult({name: term}, state, metrics)

  return method_lib.Method(
    inputs=("main",),
    needs=_both(),
    loss=method_loss,
    init_state=_mean_state,
    coupled=True,
  )


def bco_unpaired(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """BCO on single labelled responses, with the same running mean."""
  adapters.check_kwargs(name, BCO_UNPAIRED_DEFAULTS, kwargs)
  beta = float({**BCO_UNPAIRED_DEFAULTS, **kwargs}["beta"])

  def method_loss(outputs, batch, method_state, keys):
    del keys
    arrays = unpaired.single_arrays(outputs, batch)
    rewards = beta * (arrays["logps"] - arrays["ref_logps"])
    state = losses.running_mean_update(
      method_state["mean"],
      method_state["count"],
      rewards,
      batch.example_weight != 0,
    )
    values = losses.bco_unpaired(
      arrays["logps"],
      arrays["ref_logps"],
      arrays["labels"],
      beta=beta,
      delta=state["mean"],
    )
    metrics = diagnostics.unpaired_metrics(
      rewards, arrays["logps"], arrays["labels"], batch.example_weight
    )
    metrics["bco/delta"] = _shown(state["mean"])
    return objective_lib.LossResult(
      {name: unpaired.single_term(values, batch)}, state, metrics
    )

  return method_lib.Method(
    inputs=("main",),
    needs=_both(),
    loss=method_loss,
    init_state=_mean_state,
    coupled=True,
    record_kind="unpaired",
  )


def beta_dpo(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """beta-DPO: one beta a batch from its margins, unusual pairs left out."""
  adapters.check_kwargs(name, BETA_DPO_DEFAULTS, kwargs)
  settings = {**BETA_DPO_DEFAULTS, **kwargs}
  drop, decay = float(settings.pop("drop")), float(settings.pop("decay"))
  bound = functools.partial(losses.beta_dpo, **settings)

  def init_state(key):
    del key
    return {"mean": jnp.float32(0.0), "std": jnp.float32(1.0)}

  def method_loss(outputs, batch, method_state, keys):
    arrays = adapters.pair_arrays(outputs, batch)
    valid = arrays["pair_valid"]
    pair = [
      arrays[f"{prefix}{side}_logps"]
      for prefix in ("", "ref_")
      for side in ("chosen", "rejected")
    ]
    margins = jax.lax.stop_gradient((pair[0] - pair[1]) - (pair[2] - pair[3]))
    state = losses.ema_moments(
      method_state["mean"],
      method_state["std"],
      margins,
      decay=decay,
      mask=valid,
    )
    m = valid.shape[0] // batch.example_weight.shape[0]
    pair_keys = jax.vmap(
      lambda key: jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(m))
    )(prng.fold_tag(keys, name)).reshape(-1)
    chosen = losses.beta_dpo_select(
      pair_keys,
      margins,
      state["mean"],
      state["std"],
      drop=drop,
      mask=valid,
    )
    selected = (chosen > 0) & valid
    result = bound(*pair, selected, margin_mean=state["mean"])
    term = adapters.pairs_to_term(result["losses"], selected, batch)
    metrics = diagnostics.pair_metrics(
      arrays, batch, diagnostics.RewardScale(beta=float(settings["beta"]))
    )
    metrics["beta_dpo/beta"] = _shown(result["beta"])
    return objective_lib.LossResult({name: term}, state, metrics)

  return method_lib.Method(
    inputs=("main",),
    needs=_both(),
    loss=method_loss,
    init_state=init_state,
    coupled=True,
  )
