# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Pairwise methods that need a sum over the whole vocabulary."""

import functools
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from prefjax import losses
from prefjax.kernels import integrands
from prefjax.methods import adapters, diagnostics
from prefjax.methods import method as method_lib
from prefjax.methods import objective as objective_lib


def _of_pairs(values, batch, arrays, fill: float):
  """(chosen, rejected) [B * M] from values of every response [B, K]."""
  pairs, _ = batch.main.pair_indices()
  valid = arrays["pair_valid"]
  return tuple(
    jnp.where(
      valid, adapters.select(values, pairs[..., side]).reshape(-1), fill
    )
    for side in (0, 1)
  )


def _counted(group):
  return (group.token_weights > 0) & jnp.asarray(group.token_mask, bool)


def _method(name, vocab, kwargs, loss_function, own, make):
  """A Method whose loss also takes two arrays made from a VocabNeed.

  Args:
    name: of the method; also of its VocabNeed.
    vocab: the need.
    kwargs: hyper-parameters.
    loss_function: the pairwise loss.
    own: names of the arguments that `make` provides.
    make: (outputs, batch, arrays) -> those arrays.
  """
  defaults = adapters.keyword_defaults(loss_function)
  adapters.check_kwargs(name, defaults, kwargs)
  bound = functools.partial(loss_function, **dict(kwargs))
  beta = float({**defaults, **kwargs}["beta"])
  arguments = adapters.positional_names(loss_function)

  def method_loss(outputs, batch, method_state, keys):
    del keys
    arrays = adapters.pair_arrays(outputs, batch)
    extra = dict(zip(own, make(outputs, batch, arrays), strict=True))
    values = bound(*({**arrays, **extra}[a] for a in arguments))
    term = adapters.pairs_to_term(values, arrays["pair_valid"], batch)
    metrics = diagnostics.pair_metrics(
      arrays, batch, diagnostics.RewardScale(beta=beta)
    )
    return objective_lib.LossResult({name: term}, method_state, metrics)

  return method_lib.Method(
    inputs=("main",),
    needs={
      adapters.POLICY: ("token_logps",),
      adapters.REFERENCE: ("token_logps",),
    },
    vocab={name: vocab},
    loss=method_loss,
  )


def tdpo(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """TDPO: each side's summed KL(reference || policy) over its tokens."""
  need = method_lib.VocabNeed(
    streams=(adapters.POLICY, adapters.REFERENCE),
    integrand=integrands.forward_kl,
    stopped=(1,),
  )

  def make(outputs, batch, arrays):
    kl = outputs["vocab", name]["total"]  # [B, K, R]
    sums = jnp.sum(jnp.where(_counted(batch.main), kl, 0.0), axis=-1)
    return _of_pairs(sums, batch, arrays, 0.0)

  return _method(
    name, need, kwargs, losses.tdpo, ("chosen_kl", "rejected_kl"), make
  )


def wpo(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """WPO: pairs weighted by how likely the policy is to write them."""
  need = method_lib.VocabNeed(
    streams=(adapters.POLICY,),
    integrand=integrands.log_collision,
    reduce="logsumexp",
    stopped=(0,),
  )

  def make(outputs, batch, arrays):
    group = batch.main
    b, k, r = group.response.shape
    weights = losses.wpo_weights(
      outputs[adapters.POLICY]["token_logps"].reshape(b * k, r),
      outputs["vocab", name]["total"].reshape(b * k, r),
      _counted(group).reshape(b * k, r),
    )
    return _of_pairs(weights.reshape(b, k), batch, arrays, 1.0)

  return _method(
    name, need, kwargs, losses.wpo, ("chosen_weights", "rejected_weights"), make
  )
