# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Methods on single responses with a label: K = 1, the label is the score."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from prefjax.core import types
from prefjax.methods import adapters, diagnostics
from prefjax.methods import method as method_lib
from prefjax.methods import objective as objective_lib

_MISMATCHED = ("policy", "mismatched"), ("reference", "mismatched")


def single_arrays(outputs, batch) -> dict[str, jax.Array]:
  """logps, ref_logps and labels [B] of the one response."""
  group = batch.main
  return {
    "logps": adapters.sequence_sums(outputs, adapters.POLICY, group)[:, 0],
    "ref_logps": adapters.sequence_sums(outputs, adapters.REFERENCE, group)[
      :, 0
    ],
    "labels": group.scores[:, 0],
  }


def single_term(losses, batch) -> types.Term:
  return types.Term(
    value=losses,
    weight=jnp.asarray(batch.example_weight, jnp.float32),
    coefficient=jnp.float32(1.0),
  )


def unpaired(
  name: str, loss: Callable[..., jax.Array], kwargs: Mapping[str, Any]
) -> method_lib.Method:
  """A Method from loss(logps, ref_logps, labels, **kwargs) -> [B]."""
  defaults = adapters.keyword_defaults(loss)
  adapters.check_kwargs(name, defaults, kwargs)
  beta = float({**defaults, **kwargs}.get("beta", 1.0))
  bound = functools.partial(loss, **dict(kwargs))

  def method_loss(outputs, batch, method_state, keys):
    del keys
    arrays = single_arrays(outputs, batch)
    losses = bound(arrays["logps"], arrays["ref_logps"], arrays["labels"])
    metrics = diagnostics.unpaired_metrics(
      beta * (arrays["logps"] - arrays["ref_logps"]),
      arrays["logps"],
      arrays["labels"],
      batch.example_weight,
    )
    return objective_lib.LossResult(
      {name: single_term(losses, batch)}, method_state, metrics
    )

  return method_lib.Method(
    inputs=("main",),
    needs={
      adapters.POLICY: ("token_logps",),
      adapters.REFERENCE: ("token_logps",),
    },
    loss=method_loss,
    record_kind="unpaired",
  )


def kto(
  name: str,
  loss: Callable[..., jax.Array],
  reference_point: Callable[..., jax.Array],
  kwargs: Mapping[str, Any],
) -> method_lib.Method:
  """KTO: labels against a reference point from mismatched responses.

  The group 'mismatched' holds every prompt with the response of another
  example. It is made on the host from example ids, and the reference point is
  taken over the whole batch, so micro-batches do not change it.
  """
  defaults = adapters.keyword_defaults(loss)
  known = {k: v for k, v in defaults.items() if k != "reference_point"}
  adapters.check_kwargs(name, known, kwargs)
  beta = float({**known, **kwargs}["beta"])
  bound = functools.partial(loss, **dict(kwargs))

  def method_loss(outputs, batch, method_state, keys):
    del keys
    arrays = single_arrays(outputs, batch)
    other = batch.groups["mismatched"]
    sums = [
      adapters.sequence_sums(outputs, role_group, other)[:, 0]
      for role_group in _MISMATCHED
    ]
    point = reference_point(*sums, batch.example_weight > 0)
    losses = bound(
      arrays["logps"],
      arrays["ref_logps"],
      arrays["labels"],
      reference_point=point,
    )
    metrics = diagnostics.unpaired_metrics(
      beta * (arrays["logps"] - arrays["ref_logps"]),
      arrays["logps"],
      arrays["labels"],
      batch.example_weight,
    )
    metrics["kl"] = types.WeightedSum(total=point, weight=jnp.float32(1.0))
    return objective_lib.LossResult(
      {name: single_term(losses, batch)}, method_state, metrics
    )

  needs = {
    (role, group): ("token_logps",)
    for role in ("policy", "reference")
    for group in ("main", "mismatched")
  }
  return method_lib.Method(
    inputs=("main", "mismatched"),
    needs=needs,
    loss=method_loss,
    coupled=True,
    record_kind="kto",
  )
