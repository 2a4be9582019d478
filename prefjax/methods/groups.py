# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Methods on whole groups of K scored responses."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from prefjax.core import errors, types
from prefjax.methods import adapters, diagnostics
from prefjax.methods import method as method_lib
from prefjax.methods import objective as objective_lib


def listwise(
  name: str, loss: Callable[..., jax.Array], kwargs: Mapping[str, Any]
) -> method_lib.Method:
  """A Method from a loss on [B, K] arrays that returns one value a group.

  Args:
    name: the term's name.
    loss: takes any of logps, ref_logps, lengths, scores, mask, all [B, K].
    kwargs: hyper-parameters; unknown ones are an error.
  """
  defaults = adapters.keyword_defaults(loss)
  adapters.check_kwargs(name, defaults, kwargs)
  bound = functools.partial(loss, **dict(kwargs))
  arguments = tuple(dict.fromkeys([*adapters.positional_names(loss), "mask"]))
  uses_reference = "ref_logps" in arguments
  beta = float({**defaults, **kwargs}.get("beta", 1.0))

  def method_loss(outputs, batch, method_state, keys):
    del keys
    group = batch.main
    if group.scores is None:
      raise errors.DataError(
        f"{name} needs a score for every response: use records with scores"
        " and data.view=ranked"
      )
    arrays = {
      "logps": adapters.sequence_sums(outputs, adapters.POLICY, group),
      "lengths": group.lengths(),
      "scores": group.scores,
      "mask": jnp.asarray(group.response_mask, bool)
      & (batch.example_weight[:, None] != 0),
    }
    if uses_reference:
      arrays["ref_logps"] = adapters.sequence_sums(
        outputs, adapters.REFERENCE, group
      )
    values = bound(**{a: arrays[a] for a in arguments})
    term = types.Term(
      value=values,
      weight=jnp.asarray(batch.example_weight, jnp.float32),
      coefficient=jnp.float32(1.0),
    )
    metrics = diagnostics.pair_metrics(
      adapters.pair_arrays(outputs, batch),
      batch,
      diagnostics.RewardScale(beta=beta, per_token=not uses_reference),
    )
    return objective_lib.LossResult({name: term}, method_state, metrics)

  needs = {adapters.POLICY: ("token_logps",)}
  if uses_reference:
    needs[adapters.REFERENCE] = ("token_logps",)
  return method_lib.Method(
    inputs=("main",), needs=needs, loss=method_loss, record_kind="ranked"
  )
