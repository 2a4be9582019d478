# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Pairwise methods that look at tokens, not only at their sums."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from prefjax import losses
from prefjax.core import prng
from prefjax.methods import adapters, diagnostics
from prefjax.methods import method as method_lib
from prefjax.methods import objective as objective_lib

_SIDES = ("chosen", "rejected")


def token_arrays(outputs, batch) -> dict[str, jax.Array]:
  """Token log-probs and masks over all pairs: [B * M, R].

  Keys are {,ref_}{chosen,rejected}_token_logps, {chosen,rejected}_mask (the
  tokens that count) and, where the batch has segments,
  {chosen,rejected}_segments. Tokens that do not count are 0.
  """
  group = batch.main
  pairs, valid = group.pair_indices()
  valid = valid & (batch.example_weight[:, None] != 0)
  counted = (group.token_weights > 0) & jnp.asarray(group.token_mask, bool)
  arrays = {}
  for side, name in enumerate(_SIDES):
    index = pairs[..., side]
    mask = adapters.select(counted, index) & valid[..., None]  # [B, M, R]
    arrays[f"{name}_mask"] = mask
    for prefix, role_group in (
      ("", adapters.POLICY),
      ("ref_", adapters.REFERENCE),
    ):
      logps = outputs.get(role_group, {}).get("token_logps")
      if logps is not None:
        logps = adapters.select(logps, index)
        arrays[f"{prefix}{name}_token_logps"] = jnp.where(mask, logps, 0.0)
    if group.segments is not None:
      arrays[f"{name}_segments"] = adapters.select(group.segments, index)
  return {
    name: value.reshape(-1, value.shape[-1]) for name, value in arrays.items()
  }


def _method(
  name: str,
  needs: Mapping[method_lib.RoleGroup, tuple[str, ...]],
  beta: float,
  loss: Callable[..., jax.Array],
) -> method_lib.Method:
  """A Method from loss(token arrays, pair arrays, keys [B * M]) -> [B * M]."""

  def method_loss(outputs, batch, method_state, keys):
    sums = adapters.pair_arrays(outputs, batch)
    tokens = token_arrays(outputs, batch)
    m = sums["pair_valid"].shape[0] // batch.example_weight.shape[0]
    # One key a pair: the example's, folded with the pair's place.
    numbers = jnp.arange(m)
    pair_keys = jax.vmap(
      lambda key: jax.vmap(lambda i: jax.random.fold_in(key, i))(numbers)
    )(prng.fold_tag(keys, name))
    values = loss(tokens, sums, pair_keys.reshape(-1))
    term = adapters.pairs_to_term(values, sums["pair_valid"], batch)
    metrics = diagnostics.pair_metrics(
      sums, batch, diagnostics.RewardScale(beta=beta)
    )
    return objective_lib.LossResult({name: term}, method_state, metrics)

  return method_lib.Method(inputs=("main",), needs=needs, loss=method_loss)


def _needs() -> dict[method_lib.RoleGroup, tuple[str, ...]]:
  return {
    adapters.POLICY: ("token_logps",),
    adapters.REFERENCE: ("token_logps",),
  }


def _start(name: str, loss, kwargs):
  """(bound loss, beta, names of its arrays), hyper-parameters checked."""
  defaults = adapters.keyword_defaults(loss)
  adapters.check_kwargs(name, defaults, kwargs)
  return (
    functools.partial(loss, **dict(kwargs)),
    float({**defaults, **kwargs}["beta"]),
    adapters.positional_names(loss),
  )


def ld_dpo(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """LD-DPO: tokens past the shorter length count less."""
  bound, beta, arguments = _start(name, losses.ld_dpo, kwargs)

  def loss(tokens, sums, keys):
    del sums, keys
    return bound(*(tokens[a] for a in arguments))

  return _method(name, _needs(), beta, loss)


def sampo(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """SamPO: as many tokens from the longer side as the shorter one has."""
  bound, beta, arguments = _start(name, losses.sampo, kwargs)

  def loss(tokens, sums, keys):
    del sums
    chosen = losses.sampo_masks(
      keys, tokens["chosen_mask"], tokens["rejected_mask"]
    )
    arrays = {
      **tokens,
      "chosen_select": chosen["chosen"],
      "rejected_select": chosen["rejected"],
    }
    return bound(*(arrays[a] for a in arguments))

  return _method(name, _needs(), beta, loss)


def step_dpo(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """Step-DPO: the tokens of one step count.

  The view gives the steps before it weight 0, so the step is what counts.
  """
  bound, beta, arguments = _start(name, losses.step_dpo, kwargs)

  def loss(tokens, sums, keys):
    del sums, keys
    arrays = {
      **tokens,
      "chosen_step_mask": tokens["chosen_mask"],
      "rejected_step_mask": tokens["rejected_mask"],
    }
    return bound(*(arrays[a] for a in arguments))

  return _method(name, _needs(), beta, loss)
